"""The record of a run: typed, read back as it was written, older ones too."""

import pytest
import yaml

from helpers.project import committed
from lassl.model.record import Cohort, read_record, record_text
from lassl.plumbing.errors import LasslError
from lassl.settings.earlier_names import ALGORITHMS

RECORDS = sorted(committed().glob("metrics/*/records/*-d*-s*.yaml"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: str(path.relative_to(committed())))
def test_every_committed_record_is_read_and_written_as_it_is_but_for_names_that_changed(path):
    written = yaml.safe_load(path.read_text())
    if "draw" in written:
        written["label_split"] = written.pop("draw")
    method = written["settings"]["method"]
    method["algorithm"] = ALGORITHMS.get(method["algorithm"], method["algorithm"])
    assert yaml.safe_load(record_text(read_record(path))) == written


def test_a_record_of_now_has_the_names_of_now():
    text = record_text(read_record(committed() / "metrics/compact/records/bcp-d0-s0.yaml"))
    assert yaml.safe_load(text)["label_split"] == 0 and yaml.safe_load(text)["settings"]["method"]["algorithm"] == "bcp"


def test_an_older_record_tells_of_no_grid_and_the_format_that_was_asked_for():
    record = read_record(committed() / "metrics/compact/records/vnet_80-d0-s0.yaml")
    assert record.cohort.spacing_mm is None and record.training.precision is None
    assert record.precision == record.settings.compute.precision == "bf16"


def test_the_grid_of_a_cohort_is_part_of_its_record():
    cohort = Cohort(name="a", hash="b", spacing_mm=(1.0, 1.0, 2.0), orientation="LPS")
    assert cohort.plain() == {"name": "a", "hash": "b", "spacing_mm": [1.0, 1.0, 2.0], "orientation": "LPS"}


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("labeled:", "labelled:"), lambda text: "a: [", lambda text: ""]
)
def test_what_is_no_record_is_refused_by_name(tmp_path, change):
    path = tmp_path / "cps-d0-s0.yaml"
    path.write_text(change(RECORDS[0].read_text()))
    with pytest.raises(LasslError, match=r"cps-d0-s0.yaml: not a valid record of a run .*restore it from git") as error:
        read_record(path)
    assert "\n" not in str(error.value)


def test_a_record_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LasslError, match=r"none.yaml: cannot be read .*dvc repro"):
        read_record(tmp_path / "none.yaml")
