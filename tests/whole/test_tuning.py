"""Tuning: training cases are scored in the place of the test cases, which nobody reads; trials are kept and tabled."""

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers.command import lassl
from helpers.project import call, composed
from helpers.runs import cases, write_run
from helpers.trainings import settings
from lassl.data.prepared import open_prepared
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.publish import publish
from lassl.model.record import record_text
from lassl.plumbing.errors import LasslError
from lassl.results import search
from lassl.settings.config import Config, load
from lassl.settings.sections import Data
from lassl.training.train import train

pytestmark = pytest.mark.slow
ONE = ("-c", "user.name=test", "-c", "user.email=test@example.org")  # git's author


@pytest.fixture
def without_test_cases(tiny_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    """The tiny cohort without the files of its test cases."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "prepared"
    shutil.copytree(tiny_data.prepared, copy)
    for case in open_prepared(copy).split.test:
        (copy / f"{case}.h5").unlink()
    return tiny_data.model_copy(update={"cohort": str(copy)})


def tuning(data: Data, weight: float = 0.1) -> Config:
    """The tiny cohort in the tuning mode: three labeled cases, one unlabeled, two that are scored."""
    values = settings(data).model_dump() | {"variant": "-tuning", "fields_of_view": ()}
    values["cases"] |= {"tuning": 2}
    for method in values["methods"].values():
        method["unlabeled"] = min(method["unlabeled"], 1)
    values["methods"]["cps"]["options"]["weight"] = weight
    return Config.model_validate(values)


def tried(config: Config, method: str = "cps") -> None:
    """Train and score a run."""
    run = config.run(method, 0, 0)
    train(config, run)
    evaluate(config, run)
    publish(run)


def test_the_last_labeled_training_cases_take_the_place_of_the_test_cases(prepared, tiny_data):
    cohort = open_prepared(tiny_data.prepared, tuning=2)
    assert prepared.split.train == ("C0", "C1", "C2", "C3", "C4", "C5") and prepared.split.test == ("C6", "C7")
    assert cohort.split.train == ("C0", "C1", "C2", "C3") and cohort.split.test == ("C4", "C5")
    assert cohort.manifest_hash == prepared.manifest_hash
    with pytest.raises(LasslError, match="no case C6"):
        cohort.read_image("C6")


@pytest.mark.parametrize("count", [6, 7])
def test_a_cohort_with_nothing_left_to_train_on_is_refused(tiny_data, count):
    with pytest.raises(LasslError, match=f"cases.tuning: found {count}, but there are 6 training cases, of which 6"):
        open_prepared(tiny_data.prepared, tuning=count)


def test_a_run_is_trained_and_scored_without_the_test_cases(without_test_cases):
    config = tuning(without_test_cases)
    tried(config)
    run = config.run("cps", 0, 0)
    assert run.metrics.parts[1].endswith("-tuning")
    assert set(pd.read_csv(run.cases)["case"]) == {"C4", "C5"}
    assert yaml.safe_load(run.record.read_text())["settings"]["cases"]["tuning"] == 2
    with pytest.raises(LasslError, match="C6"):  # as it would be with the test cases
        tried(settings(without_test_cases))


@pytest.mark.parametrize(("tuned", "variant"), [(2, ""), (2, "-overlap"), (0, "-tuning"), (0, "-tuning-overlap")])
def test_scores_of_training_cases_have_a_folder_of_their_own(tiny_data, tuned, variant):
    values = settings(tiny_data).model_dump() | {"variant": variant}
    values["cases"] |= {"tuning": tuned}
    with pytest.raises(ValueError, match="mode=tuning"):
        Config.model_validate(values)


def test_the_mode_composes_for_both_tables_with_cases_left_to_score(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for method in ("table", "table_8"):
        config = load(composed("profile=compact", "mode=tuning", f"method={method}"))
        assert config.name == "compact-tuning" and config.cases.tuning == 16
        assert all(m.labeled + m.unlabeled <= 64 for m in config.methods.values())


def test_trials_of_other_settings_are_kept_beside_each_other_and_tabled(without_test_cases, capsys):
    subprocess.run(["git", "init", "-q"], check=True)
    folder = Path("metrics") / tuning(without_test_cases).name
    for weight in (0.1, 0.3, 0.1):
        tried(tuning(without_test_cases, weight))
        lassl("search")
    assert capsys.readouterr().out.splitlines()[-1] == f"{folder}/search.csv: 2 trials, 0 of them new"
    scores = pd.read_csv(folder / search.SCORES)
    means = scores[(scores["network"] == "first") & (scores["parts"] == "all")].groupby("key")["dice_percent"].mean()
    assert set(scores["run"]) == {"cps-d0-s0"} and len(means) == len((folder / search.RECORDS).read_text().splitlines())
    text = search.trials_table(folder)
    assert "weight 0.1" in text and "weight 0.3" in text
    assert sorted(float(line.split("|")[3].strip(" *")) for line in text.splitlines()[2:]) == pytest.approx(
        sorted(round(mean, 2) for mean in means), abs=0.006
    )
    assert text.count("**") >= 2


def gathered() -> Path:
    """The folder of two trials of one run, gathered one after the other."""
    for weight in (0.1, 0.3):
        run = write_run("cps", variant="-tuning", tuning=2, options={"options": {"weight": weight, "adaptive": False}})
        assert search.gather(run.metrics.parent, [(run.record.read_text(), run.cases.read_text())]) == 1
    return run.metrics.parent


def test_what_is_gathered_again_is_not_new_and_changes_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = gathered()
    before = [(folder / name).read_bytes() for name in (search.SCORES, search.RECORDS)]
    trials = search.read_trials(folder)
    again = [(record_text(trial.record), trial.text) for trial in reversed(trials)]
    assert search.gather(folder, again) == 0
    assert [(folder / name).read_bytes() for name in (search.SCORES, search.RECORDS)] == before
    (folder / search.RECORDS).unlink()
    assert search.gather(folder, again) == 2  # in whatever order they are found
    assert [(folder / name).read_bytes() for name in (search.SCORES, search.RECORDS)] == before


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        (
            search.SCORES,
            ",A,",
            ",B,",
            r"search\.csv: the lines of cps-d0-s0,\w{8} do not match .*search\.jsonl; restore",
        ),
        (search.SCORES, "cps-d0-s0,", "", r"search\.csv: the lines of cps-d0-s0,\w{8} do not match"),
        (
            search.RECORDS,
            '"profile"',
            '"profiles"',
            r"search\.jsonl: line 1: not a valid record of a run \(profile: Field required\)",
        ),
        (
            search.RECORDS,
            '"adaptive": false',
            '"adaptive": true',
            r"search\.csv: the lines of cps-d0-s0,\w{8} do not match",
        ),
    ],
)
def test_trials_that_were_edited_are_named_and_nothing_is_written(tmp_path, monkeypatch, name, old, new, told):
    monkeypatch.chdir(tmp_path)
    path = gathered() / name
    path.write_text(path.read_text().replace(old, new, 1))
    edited = path.read_text()
    with pytest.raises(LasslError, match=told):
        search.gather(path.parent, [])
    assert path.read_text() == edited


def test_a_trial_whose_table_has_other_columns_is_named_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = gathered()
    before = (folder / search.SCORES).read_text()
    run = write_run("mt_un", variant="-tuning", tuning=2, scores=cases().assign(more=1.0))
    with pytest.raises(
        LasslError, match=r"the cases of mt_un-d0-s0 have the columns case,.*,more, but those of another"
    ):
        search.gather(folder, [(run.record.read_text(), run.cases.read_text())])
    assert (folder / search.SCORES).read_text() == before


def test_a_record_whose_scores_are_in_no_commit_is_told_and_one_whose_scores_are_in_another_is_not(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    run = write_run("cps", variant="-tuning", tuning=2)
    folder, scores = run.metrics.parent, run.cases.read_text()
    run.cases.unlink()  # DVC's experiments keep the records of other rows, but not their scores
    call(tmp_path, "git", "init", "--quiet")
    call(tmp_path, "git", "add", "metrics")
    call(tmp_path, "git", *ONE, "commit", "--quiet", "--message", "of another row")
    assert search.gather(folder, search.sources(folder)) == 0 and not (folder / search.SCORES).exists()
    assert re.search(
        r"cps-d0-s0,\w{8} has a record but no scores and is left out; run it again", capsys.readouterr().err
    )
    call(tmp_path, "git", "rm", "--quiet", "-r", "--cached", "metrics")
    run.cases.write_text(scores)
    call(tmp_path, "git", "add", "metrics")
    call(tmp_path, "git", *ONE, "commit", "--quiet", "--message", "its own")
    call(tmp_path, "git", "update-ref", "refs/exps/another", "HEAD~1")
    run.cases.unlink()
    assert search.gather(folder, search.sources(folder)) == 1
    assert capsys.readouterr().err == "" and len(search.read_trials(folder)) == 1


def test_trials_are_sorted_by_the_value_of_their_settings():
    assert sorted([[1200, 0.1], [300, 0.1], [1200, 0.02]], key=search.order)[0] == [300, 0.1]
    assert search.order([True, "poly", None]) == [(1.0, ""), (0.0, "poly"), (0.0, "None")]


def test_lines_without_a_record_as_a_kill_between_both_files_leaves_them_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = gathered()
    records = folder / search.RECORDS
    whole, trials = records.read_text(), search.read_trials(folder)
    records.write_text(whole.splitlines(keepends=True)[0])
    assert search.read_trials(folder) == trials[:1]
    assert search.gather(folder, [(record_text(trials[1].record), trials[1].text)]) == 1
    assert records.read_text() == whole and search.read_trials(folder) == trials
