"""The tables of docs/flaws.md, from runs whose differences can be checked by hand."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.project import ROOT, tracked
from helpers.runs import NAN, PROFILE, STATISTICS, cases, several, write_run
from lassl.evaluation.snapshots import COLUMNS
from lassl.pages.flaws import TESTS, empties, fields, selection, trained
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.results.runs import read_results
from lassl.results.table import table
from lassl.statistics.trainings import two_way


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A folder with conf/ to write runs to."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)


def write_table(run: Run, **statistics: str) -> None:
    """Write the table of a run's profile."""
    table(run.profile, STATISTICS.model_copy(update=statistics), ROOT / "metrics/published.yaml")


def lines(text: str, words: str) -> list[str]:
    """The lines of a table that have these words."""
    return [line for line in text.splitlines() if words in line]


def test_what_was_not_measured_is_said(workspace):
    write_run()
    assert selection() == fields() == trained("overlap") == "*Not measured yet.*"
    assert empties().startswith("*None of the 2 predictions in these profiles is empty, so this flaw changes nothing")


def test_a_flaw_without_a_file_is_told_with_the_flaws_that_there_are(workspace):
    with pytest.raises(LasslError, match=r"^conf/flaw/nothing\.yaml: not found; expected one of .*overlap"):
        trained("nothing")


def test_the_page_has_a_heading_for_every_flaw():
    heads = re.findall(r"^## .*`(\w+)`\)?$", (ROOT / "docs/flaws.md").read_text(), re.MULTILINE)
    assert sorted(heads) == sorted(path.stem for path in tracked("conf/flaw/*.yaml"))


FLAWED = {"variant": "-overlap", "options": {"weight_decay": 0.5}}  # not a training of the honest row made again


def test_a_flawed_run_is_compared_with_the_honest_one_of_the_same_draw_and_seed(workspace):
    write_run("cps", scores=cases((80, 90, 70)))
    write_table(write_run("cps", seed=1, scores=cases((0, 0, 0))))
    write_run("cps", scores=cases((82, 91, 73)), **FLAWED)
    write_run("mt_un", scores=cases((1, 1, 1)), **FLAWED)
    text = trained("overlap")
    (line,) = lines(text, f"| {PROFILE} | cps |")
    # differences 2, 1 and 3; the honest trainings are 80 apart: their SD is 80 / sqrt(2), a pair's sqrt(2) times that
    assert line == f"| {PROFILE} | cps | 1 | 80.00 | 82.00 | +2.00 | 80.00 |"
    assert not lines(text, "mt_un")
    Path("metrics", PROFILE, "table.json").unlink()
    assert lines(trained("overlap"), "| cps |") == [line.removesuffix("80.00 |") + "- |"]


def test_a_flaw_with_pairs_has_the_interval_and_p_that_count_trainings(workspace):
    pairs = [((80, 90, 70), (82, 91, 73)), ((70, 70, 70), (74, 73, 74))]
    for label_split, (honest, flawed) in enumerate(pairs):
        write_table(write_run("cps", label_split=label_split, scores=cases(honest)))
        write_run("cps", label_split=label_split, scores=cases(flawed), **FLAWED)
    (line,) = lines(trained("overlap"), f"| {PROFILE} | cps |")
    test = two_way(np.array([np.subtract(flawed, honest) for honest, flawed in pairs]))
    between = f"[{test.low:+.2f}, {test.high:+.2f}]"
    # no row was trained twice with one label split, so how much a pair moves is not known
    assert line == f"| {PROFILE} | cps | 2 | 75.00 | 77.83 | +2.83 {between}, p = {test.p_value:.3f} | - |"


def test_the_runs_of_the_tests_are_not_shown(workspace):
    write_run()
    before = empties()
    for profile in ("tiny", "tiny-overlap"):
        shutil.copytree(f"metrics/{PROFILE}", f"metrics/{profile}")
        for path in Path("metrics", profile, "records").iterdir():
            path.write_text(path.read_text().replace(f"profile: {PROFILE}\n", f"profile: {profile}\n"))
    assert profile.startswith(TESTS) and empties() == before and len(read_results("tiny")) == 1


@pytest.mark.parametrize("profile", ["tiny", "tiny-tuning", "compact-tuning"])
def test_git_ignores_no_metrics_so_that_an_experiment_carries_them(profile):
    ignored = subprocess.run(["git", "check-ignore", "--quiet", f"metrics/{profile}/cps-d0-s0.json"], cwd=ROOT)
    assert ignored.returncode == 1


def test_cases_of_other_fields_may_have_any_name(workspace):
    run = write_run("cps", scores=cases((80, 90)).assign(case=["NA", "007"]))
    run.field("whole").parent.mkdir()
    cases((60, 70)).assign(case=["NA", "007"]).to_csv(run.field("whole"), index=False)
    (line,) = lines(fields(), "| whole |")
    assert "| 85.00 | 65.00 |" in line


def trajectory(*points: tuple[int, str, float]) -> pd.DataFrame:
    """The Dice of one case of a part after some steps."""
    return pd.DataFrame([(step, part, "A", dice) for step, part, dice in points], columns=list(COLUMNS))


def test_the_optimism_is_what_the_best_snapshot_on_the_test_cases_adds(workspace):
    write_run("cps", snapshots=trajectory((5, "test", 90), (10, "test", 86), (10, "held_out", 99)))
    write_run("cps", seed=1, snapshots=trajectory((5, "test", 70), (10, "test", 80)))
    (line,) = lines(selection(), "| cps | 2 |")
    assert line == f"| {PROFILE} | cps | 2 | 83.00 | 85.00 | +2.00 | +4.00 |"


def test_empty_predictions_count_under_three_policies(workspace):
    write_run("cps", scores=cases((80, 0), (3, NAN)))
    write_run("mt_un", scores=cases((80, 70), (3, 4)))
    (line,) = lines(empties(), "1 of 2")
    # the second volume's diagonal is 110; 95HD is twice the ASD in these runs
    assert line == f"| {PROFILE} | cps | 1 of 2 | 3.00 | 56.50 | 1.50 | 6.00 | 58.00 | 3.00 |"
    assert not lines(empties(), "mt_un")


def test_another_field_is_set_beside_the_crop(workspace):
    run = write_run("cps", scores=cases((80, 90), (1, 2)))
    run.field("whole").parent.mkdir()
    cases((60, 70), (5, 6)).assign(field="whole").to_csv(run.field("whole"), index=False)
    (line,) = lines(fields(), "| whole |")
    assert line == f"| {PROFILE} | cps | whole | 1 | 85.00 | 65.00 | 3.00 | 11.00 |"


def test_profiles_on_real_scans_come_first(workspace):
    synthetic = write_run("cps", scores=cases((80, 0), (3, NAN)))
    real = write_run("cps", scores=cases((80, 0), (3, NAN)), variant="-zz")
    write_table(synthetic, scans="synthetic")
    write_table(real, scans="real")
    assert [line.split(" | ")[0] for line in lines(empties(), "1 of 2")] == [f"| {real.profile}", f"| {PROFILE}"]


def test_of_several_structures_the_means_of_cases_are_compared_and_each_prediction_is_counted(workspace):
    run = write_run("vnet_16", scores=several(one=(80, 90), two=(60, NAN)))  # means of cases: 70 and 90
    run.field("whole").parent.mkdir()
    several(one=(70, 50), two=(0, NAN)).assign(field="whole").to_csv(run.field("whole"), index=False)  # 35 and 50
    (line,) = lines(fields(), "| whole |")
    assert line.split(" | ")[4:6] == ["80.00", "42.50"]
    assert empties().startswith("*None of the 3 predictions")
