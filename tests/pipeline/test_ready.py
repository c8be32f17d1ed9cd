"""What the first stage finds before anything is made."""

import subprocess
from pathlib import Path

import pytest

from helpers.runs import CONFIG
from pipeline.ready import missing, too_few, unknown_to_git


@pytest.fixture(autouse=True)
def split(tmp_path, monkeypatch) -> None:
    """The split file of the configuration, with 40 training cases."""
    monkeypatch.chdir(tmp_path)
    CONFIG.data.split.parent.mkdir(parents=True)
    CONFIG.data.split.write_text("case,split\n" + "".join(f"C{i},train\n" for i in range(40)) + "T,test\n")


def with_counts(labeled: int, unlabeled: int, tuning: int = 0):
    """The configuration with a row of these counts, and so many cases that the tuning mode scores."""
    row = CONFIG.methods["cps"].model_copy(update={"labeled": labeled, "unlabeled": unlabeled})
    cases = CONFIG.cases.model_copy(update={"tuning": tuning})
    return CONFIG.model_copy(update={"methods": {"mine": row}, "cases": cases})


def test_rows_that_ask_for_as_many_cases_as_there_are_pass():
    assert too_few(with_counts(16, 24)) == [] == too_few(with_counts(16, 16, tuning=8))


def test_a_row_with_the_counts_of_its_profile_is_sent_to_the_profile():
    assert too_few(with_counts(16, 25)) == [
        f"params.yaml: methods.mine: asks for 16 labeled + 25 unlabeled cases, but {CONFIG.data.split} has 40 training "
        "cases; lower `counts` in the profile"
    ]


@pytest.mark.parametrize(
    "tuning, todo",
    [
        (0, "lower them in conf/method/mine.yaml"),
        (8, "write ${counts.few.labeled} and ${counts.few.unlabeled} in conf/method/mine.yaml, which that mode lowers"),
    ],
)
def test_a_row_with_numbers_of_its_own_is_sent_to_its_file(tuning, todo):
    Path("conf/method").mkdir(parents=True)
    Path("conf/method/mine.yaml").write_text("labeled: 16\nunlabeled: 30\n")
    (line,) = too_few(with_counts(16, 30, tuning))
    assert line.endswith(f"; {todo}") and ("less the 8 that the tuning mode scores" in line) == bool(tuning)


def test_a_split_file_that_is_not_there_is_told_once():
    CONFIG.data.split.unlink()
    assert too_few(with_counts(16, 64)) == [] and len(missing(with_counts(16, 64))) == 1


def test_a_method_that_git_does_not_know_is_missed_in_the_copy_of_an_experiment(tmp_path, monkeypatch):
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    CONFIG.data.split.parent.mkdir(parents=True)
    CONFIG.data.split.touch()
    (line,) = missing(with_counts(16, 16))
    assert line.startswith("lassl/methods/cross_pseudo.py: not found in this copy of the project") and "git add" in line
    Path("lassl/methods").mkdir(parents=True)
    Path("lassl/methods/cross_pseudo.py").touch()
    assert missing(with_counts(16, 16)) == []


def test_new_files_are_named_while_an_experiment_is_made_and_only_there(monkeypatch):
    for name in ("conf/method/mine.yaml", "lassl/methods/mine.py", "data/raw/scan"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    monkeypatch.setenv("DVC_EXP_NAME", "some-name")
    assert unknown_to_git() == []  # no repository
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert unknown_to_git() == ["conf/method/mine.yaml", "lassl/methods/mine.py"]
    subprocess.run(["git", "add", "conf", "lassl"], check=True)
    assert unknown_to_git() == []
    subprocess.run(["git", "reset", "--quiet"], check=False)
    monkeypatch.delenv("DVC_EXP_NAME")
    assert unknown_to_git() == []
