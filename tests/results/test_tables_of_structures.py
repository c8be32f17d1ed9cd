"""Tables of runs with several structures: the mean over the structures of each case, and a part for each."""

from pathlib import Path

import pytest

from helpers.project import ROOT
from helpers.runs import NAN, PROFILE, STATISTICS, built, cases, plain, several, write_run
from lassl.plumbing.errors import LasslError
from lassl.results import details, markdown, terminal
from lassl.results.document import read_table
from lassl.results.remarks import structures
from lassl.results.runs import read_external, read_results
from lassl.results.search import trial_of
from lassl.results.table import table


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


BASE = {"one": (80, 90, 70), "two": (60, NAN, 0)}  # means of cases: 70, 90, 35
OTHER = {"one": (90, 90, 80), "two": (70, NAN, 60)}  # 80, 90, 70


def test_the_scores_of_a_row_are_means_over_the_structures_of_each_case():
    write_run(scores=several(**BASE))
    row = plain()["rows"]["cps"]
    assert row["scores"]["dice"]["mean"] == 65 and row["scores"]["dice"]["std"] == 27.8388
    assert row["scores"]["asd"]["mean"] == pytest.approx((7 + 9 + 7) / 3, abs=1e-4)  # the empty one has no distance
    assert (row["cases"], row["failed"]) == (3, 1)
    assert row["variants"] == {
        "network, all": {m: row["scores"][m]["mean"] for m in ("dice", "jaccard", "asd", "hd95")}
    }
    assert row["failures"]["diagonal"]["asd"] == pytest.approx((7 + 9 + (7 + 120) / 2) / 3, abs=1e-4)


def test_each_structure_has_its_own_means_failures_and_absences_over_all_runs():
    write_run(seed=0, scores=several(**BASE))
    write_run(seed=1, scores=several(**OTHER))
    found = plain()["rows"]["cps"]["structures"]
    assert list(found) == ["one", "two"]
    assert found["one"]["scores"]["dice"] == {"mean": 83.3333, "std": 7.6376} and found["one"]["absent"] == 0
    assert found["two"]["scores"]["dice"] == {"mean": 47.5, "std": 24.7487}  # 65 and 30
    assert (found["two"]["failed"], found["two"]["absent"]) == (1, 1)


def test_differences_and_their_tests_are_of_the_means_of_cases():
    write_run("vnet_16", scores=several(**BASE))
    write_run("cps", scores=several(**OTHER))
    found = plain()["rows"]["cps"]["against_baseline"]["dice"]
    assert (found["difference"], found["cases"]) == (15, 3)  # 10, 0 and 35
    means = [cases((70, 90, 35)), cases((80, 90, 70))]
    for method, scores in zip(("vnet_16", "cps"), means, strict=True):
        for seed in (0, 1):
            write_run(method, seed=seed, scores=scores)
    alone = plain()["rows"]["cps"]["against_baseline"]["dice"]
    for method, dice in (("vnet_16", BASE), ("cps", OTHER)):
        for seed in (0, 1):
            write_run(method, seed=seed, scores=several(**dice))
    assert plain()["rows"]["cps"]["against_baseline"]["dice"] == alone and alone["trainings"]


def test_a_table_of_one_structure_has_no_word_of_several():
    write_run(scores=cases((80, 90)))
    content = built()
    assert "structures" not in plain()["rows"]["cps"] and structures(content) == []
    assert "structure" not in markdown.table(content) + details.details(content)


def test_details_have_a_line_for_each_row_and_structure():
    write_run("vnet_16", scores=several(**BASE))
    write_run("cps", scores=several(**OTHER))
    text = details.details(built())
    part = text[text.index("## By structure") : text.index("## More measures")]
    assert "| V-Net & 16L | one | 80.00 ± 10.00 |" in part and "| 0 | 0 |" in part
    (line,) = (line for line in part.splitlines() if line.startswith("| V-Net & 16L | two |"))
    assert line.split(" | ")[2] == "30.00 ± 42.43" and line.endswith("| 1 | 1 |")


def test_table_and_terminal_say_what_a_score_is_and_which_structures_references_lack(capsys):
    write_run("vnet_16", scores=several(**BASE))
    text = table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    told = (
        "The score of a case is the mean over its structures (one, two); details.md has each of them. A structure is "
        "left out of the cases whose reference lacks it: two in 1 of 3."
    )
    assert told in text
    assert 'Distances leave out empty predictions of a structure; the column "failed" counts them.' in text
    terminal.show(PROFILE)
    shown = " ".join(capsys.readouterr().out.split())
    assert told in shown and "Empty predictions of a structure: V-Net & 16L 1." in shown
    assert read_table(PROFILE) == built()


def test_runs_of_other_structures_are_not_in_one_table():
    write_run("vnet_16", scores=several(**BASE))
    write_run("cps", scores=several(one=(80, 90, 70)))
    told = r"vnet_16-d0-s0\.csv: found the structures one, two, but .*cps-d0-s0\.csv has the structures one,"
    with pytest.raises(LasslError, match=told):
        read_results(PROFILE)
    write_run("cps", scores=cases((80, 90, 70)))
    with pytest.raises(LasslError, match=r"cps-d0-s0\.csv has one structure, so they cannot be in one table; run both"):
        read_results(PROFILE)


def test_masks_from_elsewhere_that_were_scored_as_one_structure_are_noted_and_not_in_the_table(capsys):
    from lassl.evaluation.external_record import ScoredFolder, write_external

    write_run("cps", scores=several(**BASE))
    (ours,) = read_results(PROFILE)
    rows = several(two=OTHER["two"], one=OTHER["one"]).assign(network="external")  # in another order
    write_external(Path("metrics/external"), "both", "Both", ScoredFolder(rows, "aa", "bb"))
    single = cases((80, 90, 70), network="external")
    write_external(Path("metrics/external"), "single", "Single", ScoredFolder(single, "aa", "bb"))
    found = read_external(ours)
    assert list(found) == ["both"] and found["both"].reported_cases()["dice_percent"].tolist() == [80, 90, 70]
    told = "records/single.yaml: has one structure, the runs the structures one, two: not in their table; see --values"
    assert told in capsys.readouterr().err
    assert list(built().rows) == ["cps", "external/both"]


def test_the_lowest_dice_of_a_trial_is_that_of_a_case():
    run = write_run(scores=several(**BASE), tuning=4)
    trial = trial_of(Path("metrics"), run.record.read_text(), run.cases.read_text())
    assert trial.lowest == 35 and trial.scores["dice"] == 65
