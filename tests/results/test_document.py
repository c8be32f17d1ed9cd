"""A table.json is read as it was written, or refused with the place of its first fault."""

import json
from pathlib import Path

import pytest

from helpers.project import committed
from helpers.runs import PROFILE, cases, plain, write_run
from lassl.plumbing.errors import LasslError
from lassl.results.document import Table, read_table

COMMITTED = sorted(path.parent.name for path in committed().glob("metrics/*/table.json"))


@pytest.mark.parametrize("profile", COMMITTED)
def test_a_committed_table_is_written_as_it_was_read(profile, monkeypatch):
    monkeypatch.chdir(committed())
    text = Path(f"metrics/{profile}/table.json").read_text()
    assert json.dumps(read_table(profile).plain(), indent=1) + "\n" == text


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What the table.json of two rows holds, and a function that writes it and gives what is said of it."""
    monkeypatch.chdir(tmp_path)
    write_run("vnet_16", scores=cases((70, 80)))
    write_run("cps")
    path = Path("metrics") / PROFILE / "table.json"

    def told(content):
        path.write_text(json.dumps(content))
        with pytest.raises(LasslError) as error:
            read_table(PROFILE)
        (line,) = str(error.value).splitlines()
        assert line.startswith(f"{path}: not a table of results (") and line.endswith(
            "); restore it from git, or create it again with `dvc repro`"
        )
        return line

    return plain(), told


ROW = ("rows", "cps")
DICE = (*ROW, "scores", "dice")


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("cohort",), None, "cohort: Input should be a valid string"),
        ((*DICE, "mean"), "80", "rows.cps.scores.dice.mean: Input should be a valid number"),
        ((*DICE, "mean"), float("nan"), "rows.cps.scores.dice.mean: Input should be a finite number"),
        ((*DICE, "median"), 80.0, "rows.cps.scores.dice.median: Extra inputs are not permitted"),
        ((*ROW, "scores"), {}, "rows.cps.scores: found nothing, expected dice, jaccard, asd, hd95"),
        ((*ROW, "failures"), {}, "rows.cps.failures: found nothing, expected excluded, diagonal, zero"),
        ((*ROW, "published"), {"dice": 80.5}, "rows.cps.published.chosen: Field required"),
        ((*ROW, "against_baseline"), None, "rows.cps.against_baseline: missing, although row V-Net & 16L exists"),
        (("design", "pairs"), 1.5, "design.pairs: Input should be a valid integer"),
        (("statistics", "scans"), "mine", "statistics.scans: Input should be 'real' or 'synthetic'"),
        (("lacking",), [], "lacking: Input should be an object"),
    ],
)
def test_a_damaged_table_is_told_in_one_line_with_the_place_and_the_remedy(written, place, value, reason):
    content, told = written
    *way, last = place
    part = content
    for key in way:
        part = part[key]
    part[last] = value
    assert f"({reason}" in told(content)


def test_a_table_that_is_not_one_is_told_in_one_line(written):
    _, told = written
    assert "Input should be an object" in told([])
    assert "profile: Field required" in told({})


def test_a_table_is_read_only(written):
    table = Table(**written[0])
    with pytest.raises(ValueError, match="frozen"):
        table.profile = "other"
