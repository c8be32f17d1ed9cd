"""What stops a run is found before anything is made: rows that ask for too much, and another Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.project import ROOT, composed
from lassl.config import load
from lassl.plumbing.errors import LasslError
from pipeline import ready
from pipeline.counts import to_learn_from, too_few


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Settings of the tiny profile with changes, in a folder with its split file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/synthetic.csv").write_bytes((ROOT / "splits/synthetic.csv").read_bytes())
    return lambda *changes: load(composed("profile=tiny", *changes))


def test_rows_that_fit_the_cohort_are_ready(asked):
    assert too_few(asked()) == too_few(asked("mode=tuning")) == []
    assert [len(cases) for cases in to_learn_from(asked())] == [80, 80]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["method=cps", "counts.few.unlabeled=65"], "cps: asked for 16 labeled + 65 unlabeled cases, found 80"),
        (["method=vnet_80", "mode=tuning", "counts.all=80"], "vnet_80: asked for 80 labeled"),
        (["method=vnet_16", "mode=tuning", "cases.tuning=80"], "splits/synthetic.csv: 80 training cases, 80 with a"),
    ],
)
def test_counts_that_a_cohort_cannot_give_are_told_row_by_row(asked, changes, told):
    problems = too_few(asked(*changes))
    assert len(problems) == 1 and problems[0].startswith(told)


def test_the_stage_tells_them_before_anything_is_made(asked, tmp_path, monkeypatch):
    composed("profile=tiny", "counts.few.unlabeled=65").rename("params.yaml")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LasslError, match="65 unlabeled cases") as error:
        ready.main()
    assert len(str(error.value).splitlines()) > 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_stage_under_a_python_without_the_packages_says_so_in_a_line():
    for module in ("ready", "train", "repro"):
        command = [sys.executable, "-S", "-m", f"pipeline.{module}"]  # -S: Python's own library alone
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=without_packages())
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith(f"error: {sys.executable}: found a Python without the project's packages; ")


def without_packages() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HOME": str(Path("/nowhere"))}
