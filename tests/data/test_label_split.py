"""The label splits that committed runs had: they stay the same whatever is renamed or moved."""

import pytest

from helpers.project import ROOT, committed
from lassl.data.label_split import choose_cases
from lassl.data.split_file import read_split
from lassl.model.record import read_record

SPLITS = {path.stem: read_split(path) for path in (ROOT / "splits").glob("*.csv")}
SPLITS["brains_six"] = SPLITS["brains"]  # the same scans, with labels of six structures
RECORDS = sorted(committed().glob("metrics/*/records/*.yaml"))


def test_there_are_runs_of_the_fields_label_split_and_of_seeded_ones():
    assert {read_record(path).label_split for path in RECORDS} >= {0, 1, 2}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: str(path.relative_to(committed())))
def test_a_committed_run_had_the_labeled_cases_that_are_chosen_today(path):
    record = read_record(path)
    split, method, cases = SPLITS[record.cohort.name], record.settings.method, record.settings.cases
    chosen = choose_cases(
        split.train, set(split.train), method.labeled, method.unlabeled, record.label_split, cases.held_out
    )
    assert (chosen.labeled, chosen.held_out) == (record.labeled, record.held_out)
