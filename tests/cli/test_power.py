"""`lassl power`: what a number of trainings can show."""

import pytest

from helpers.command import lassl
from helpers.project import ROOT
from helpers.runs import PROFILE, STATISTICS, cases, write_run
from lassl.plumbing.errors import LasslError
from lassl.results.table import table


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def told(capsys, profile: str = PROFILE, tabled: bool = True) -> str:
    """What the command prints of the runs that were written."""
    if tabled:
        table(profile, STATISTICS, ROOT / "metrics/published.yaml")
    capsys.readouterr()
    assert lassl("power", profile) == 0
    return capsys.readouterr().out


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|" and "---" not in line]


def test_pairs_have_intervals_and_a_line_tells_what_each_number_of_them_shows(workspace, capsys):
    for k, (baseline, other) in enumerate([((70, 70), (71, 73)), ((70, 71), (73, 72)), ((72, 70), (73, 74))], 1):
        write_run("vnet_16", label_split=k, seed=k, scores=cases(baseline), seconds=1798.5)  # and 1.5 of scoring
        write_run("cps", label_split=k, seed=k, scores=cases(other), seconds=1798.5)
    text = told(capsys)
    assert text.startswith(f"Profile {PROFILE}: 2 rows, 2 cases.\n\nThe difference of a pair varies by ")
    heads, difference, plan, *lines = rows(text)
    assert heads == ["Dice against V-Net & 16L", "pairs", "difference", "95 % interval", "p", "p, Holm"]
    assert difference[:3] == ["CPS & 16L+64UL", "3", "+2.17"] and difference[4] == difference[5]
    assert plan == ["pairs", "interval ±", "smallest difference, one test", "hours"]
    assert [line[0] for line in lines[:3]] == ["2", "3 (now)", "4"] and lines[1][-1] == "3.0"
    smallest = [float(line[2]) for line in lines]
    assert smallest == sorted(smallest, reverse=True)
    low, high = (float(end) for end in difference[3].strip("[]").split(", "))
    assert (high - low) / 2 == pytest.approx(float(lines[1][1]), abs=0.06)


def test_a_single_training_has_no_interval_and_what_is_not_known_is_said(workspace, capsys):
    write_run("vnet_16")
    write_run("cps")
    text = told(capsys)
    assert rows(text)[1] == ["CPS & 16L+64UL", "1", "+0.00", "-", "-", "-"]
    assert "One training per row says nothing about the methods." in text
    assert text.endswith("What more pairs could detect is unknown, because no row of this scale was trained twice.\n")


def test_trainings_made_again_elsewhere_tell_what_one_pair_could_show(workspace, capsys):
    write_run("vnet_16")
    write_run("cps", scores=cases((80, 90)))
    write_run("cps", seed=1, scores=cases((84, 92)), variant="-seeds")
    text = told(capsys)
    assert "The difference between two trainings varies by 3.00 points (SD); what patients add is unknown." in text
    assert rows(text)[3][0] == "1 (now)" and rows(text)[4][0] == "2"


def test_without_a_baseline_nothing_is_compared(workspace, capsys):
    write_run("cps")
    assert "No row shares a label split and seed with the baseline, so nothing can be compared." in told(capsys)


def test_a_profile_without_a_table_is_named_with_its_remedy(workspace):
    with pytest.raises(LasslError, match=r"metrics/nothing/table\.json: not found; create it with `dvc repro`"):
        lassl("power", "nothing")


def test_runs_of_a_row_that_is_newer_than_the_table_are_told_with_the_remedy(workspace, capsys):
    write_run("vnet_16")
    told(capsys)
    write_run("cps")
    with pytest.raises(
        LasslError,
        match=rf"^metrics/{PROFILE}/table\.json: found no row for cps, expected one for each row with runs in "
        rf"metrics/{PROFILE}/records; make the table again with `lassl tables {PROFILE}`$",
    ):
        lassl("power", PROFILE)


def test_the_power_of_the_committed_repeats_is_that_of_their_table(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = told(capsys, "repeats", tabled=False)
    foot = "3 pairs can detect a difference of 5.2 points with 80 % power, or 12.0 in a family of 8 tests."
    assert foot in text and foot in (ROOT / "metrics/repeats/table.md").read_text()
    assert ["3 (now)", "3.9", "5.2", "12.0"] in [line[:4] for line in rows(text)]
