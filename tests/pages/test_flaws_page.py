"""The page of the flaws, from runs whose differences can be checked by hand, and the committed one."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.project import ROOT, committed
from helpers.runs import CONFIG, NAN, PROFILE, STATISTICS, cases, write_run
from lassl.evaluation.snapshots import COLUMNS
from lassl.pages.flaws import TESTS, page
from lassl.pages.public_code import NOT_RUN
from lassl.results.runs import read_results
from lassl.results.table import table
from lassl.statistics.trainings import two_way


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def test_the_committed_page_is_what_the_committed_runs_give(monkeypatch, tmp_path):
    monkeypatch.chdir(committed())
    assert Path("docs/flaws.md").read_text() == page(CONFIG.statistics)


def lines(words: str) -> list[str]:
    """The lines of the page that have these words."""
    return [line for line in page(STATISTICS).splitlines() if words in line]


def test_what_was_not_measured_is_said(workspace):
    write_run()
    text = page(STATISTICS)
    assert text.count("## ") == 10 and text.count("*Not measured yet.*") == 7
    assert "*None of the 2 predictions in these profiles is empty: nothing to count" in text


def test_flaws_of_other_code_that_cannot_be_run_are_told_in_sentences(workspace):
    write_run()
    text = page(STATISTICS)
    heads = ("(`test_selection`)", "## Choosing settings by test scores", "`empty_zero`", "## Cropping")
    places = [text.index(head) for head in heads]
    assert places == sorted(places)
    assert text.split("## Seen in public code, not run here\n")[1].count("\n- ") == len(NOT_RUN)


FLAWED = {"variant": "-overlap", "options": {"weight_decay": 0.5}}  # not a training of the honest row made again


def test_a_flawed_run_is_compared_with_the_honest_one_of_the_same_draw_and_seed(workspace):
    write_run("cps", scores=cases((80, 90, 70)))
    write_run("cps", seed=1, scores=cases((0, 0, 0)))
    write_run("cps", scores=cases((82, 91, 73)), **FLAWED)
    write_run("mt_un", scores=cases((1, 1, 1)), **FLAWED)
    (line,) = lines(f"| {PROFILE} | cps |")
    # differences 2, 1 and 3; the honest trainings are 80 apart: their SD is 80 / sqrt(2), a pair's sqrt(2) times that
    assert line == f"| {PROFILE} | cps | 1 | 80.00 | 82.00 | +2.00 | 80.00 |"
    assert not lines("mt_un")


def test_a_flaw_with_pairs_has_the_interval_and_p_that_count_trainings(workspace):
    pairs = [((80, 90, 70), (82, 91, 73)), ((70, 70, 70), (74, 73, 74))]
    for draw, (honest, flawed) in enumerate(pairs):
        write_run("cps", draw=draw, scores=cases(honest))
        write_run("cps", draw=draw, scores=cases(flawed), **FLAWED)
    (line,) = lines(f"| {PROFILE} | cps |")
    test = two_way(np.array([np.subtract(flawed, honest) for honest, flawed in pairs]))
    between = f"[{test.low:+.2f}, {test.high:+.2f}]"
    # no row was trained twice with one draw, so how much a pair moves is not known
    assert line == f"| {PROFILE} | cps | 2 | 75.00 | 77.83 | +2.83 {between}, p = {test.p_value:.3f} | - |"


def test_the_runs_of_the_tests_are_not_shown(workspace):
    write_run()
    before = page(STATISTICS)
    for profile in ("tiny", "tiny-overlap"):
        shutil.copytree(f"metrics/{PROFILE}", f"metrics/{profile}")
        for path in Path("metrics", profile, "records").iterdir():
            path.write_text(path.read_text().replace(f"profile: {PROFILE}\n", f"profile: {profile}\n"))
    assert profile.startswith(TESTS) and page(STATISTICS) == before and len(read_results("tiny")) == 1


@pytest.mark.parametrize("profile", ["tiny", "tiny-tuning", "compact-tuning"])
def test_git_ignores_no_metrics_so_that_an_experiment_carries_them(profile):
    ignored = subprocess.run(["git", "check-ignore", "--quiet", f"metrics/{profile}/cps-d0-s0.json"], cwd=ROOT)
    assert ignored.returncode == 1


def test_cases_of_other_fields_may_have_any_name(workspace):
    run = write_run("cps", scores=cases((80, 90)).assign(case=["NA", "007"]))
    run.field("whole").parent.mkdir()
    cases((60, 70)).assign(case=["NA", "007"]).to_csv(run.field("whole"), index=False)
    (line,) = lines("| whole |")
    assert "| 85.00 | 65.00 |" in line


def trajectory(*points: tuple[int, str, float]) -> pd.DataFrame:
    """The Dice of one case of a part after some steps."""
    return pd.DataFrame([(step, part, "A", dice) for step, part, dice in points], columns=list(COLUMNS))


def test_the_optimism_is_what_the_best_snapshot_on_the_test_cases_adds(workspace):
    write_run("cps", snapshots=trajectory((5, "test", 90), (10, "test", 86), (10, "held_out", 99)))
    write_run("cps", seed=1, snapshots=trajectory((5, "test", 70), (10, "test", 80)))
    (line,) = lines("| cps | 2 |")
    assert line == f"| {PROFILE} | cps | 2 | 83.00 | 85.00 | +2.00 | +4.00 |"


def test_empty_predictions_count_under_three_policies(workspace):
    write_run("cps", scores=cases((80, 0), (3, NAN)))
    write_run("mt_un", scores=cases((80, 70), (3, 4)))
    (line,) = lines("1 of 2")
    # the second volume's diagonal is 110; 95HD is twice the ASD in these runs
    assert line == f"| {PROFILE} | cps | 1 of 2 | 3.00 | 56.50 | 1.50 | 6.00 | 58.00 | 3.00 |"
    assert not lines("mt_un")


def test_another_field_is_set_beside_the_crop(workspace):
    run = write_run("cps", scores=cases((80, 90), (1, 2)))
    run.field("whole").parent.mkdir()
    cases((60, 70), (5, 6)).assign(field="whole").to_csv(run.field("whole"), index=False)
    (line,) = lines("| whole |")
    assert line == f"| {PROFILE} | cps | whole | 1 | 85.00 | 65.00 | 3.00 | 11.00 |"


def test_profiles_on_real_scans_come_first(workspace):
    synthetic = write_run("cps", scores=cases((80, 0), (3, NAN)))
    real = write_run("cps", scores=cases((80, 0), (3, NAN)), variant="-zz")
    for run, scans in ((synthetic, "synthetic"), (real, "real")):
        table(run.profile, STATISTICS.model_copy(update={"scans": scans}), ROOT / "metrics/published.yaml")
    assert [line.split(" | ")[0] for line in lines("1 of 2")] == [f"| {real.profile}", f"| {PROFILE}"]
