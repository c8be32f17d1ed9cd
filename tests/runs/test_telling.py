"""What `make repro` tells of DVC, and at its end."""

import re
import subprocess
import sys

import pytest

from helpers.project import ROOT
from helpers.runs import CONFIG
from lassl.runs import repro
from lassl.runs.telling import closing, stages_told

DVC = """Stage 'ready' didn't change, skipping
Running stage 'prepare@synthetic':
> python -m pipeline.prepare
Updating lock file 'dvc.lock'
Stage 'train@quick-cps-0-0' is cached - skipping run, checking out outputs

To track the changes with git, run:

\tgit add dvc.lock

Running stage 'code':
Use `dvc push` to send your updates to remote storage.
"""


def test_of_what_dvc_says_the_stages_that_run_are_told_and_its_errors(capfd):
    code = f"import sys; print({DVC!r}); print('ERROR: failed', file=sys.stderr)"
    with stages_told() as stdout:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=stdout)
    out, err = capfd.readouterr()
    assert out == "" and "ERROR: failed\n" in err
    assert err.replace("ERROR: failed\n", "").splitlines() == [
        "Running stage 'prepare@synthetic'",
        "Running stage 'code'",
    ]


@pytest.mark.slow
def test_the_words_that_are_looked_for_are_those_of_dvc(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo a table\n    outs: [{b: {cache: false}}]\n")
    (tmp_path / "b").touch()
    subprocess.run([repro.SCRIPTS / "dvc", "init", "--quiet", "--no-scm"], check=True)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: touch b; echo a table\n    outs: [{b: {cache: false}}]\n"
    )
    repro.dvc("repro")
    out, err = capfd.readouterr()
    assert "Running stage 'one'" in err and "a table" not in out + err
    repro.dvc("repro")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("brought", [False, True])
def test_the_end_tells_the_time_and_what_comes_next(tmp_path, monkeypatch, brought):
    monkeypatch.chdir(tmp_path)
    if brought:
        (tmp_path / "data/raw/la2018").mkdir(parents=True)
    text = closing(CONFIG, 245.4)
    assert text.startswith("Took 4:05. Open the page in a browser.\n")
    assert ("  make la2018\n" in text) is not brought and "  dvc exp run -S profile=compact\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_end_of_real_scans_does_not_send_to_real_scans():
    statistics = CONFIG.statistics.model_copy(update={"scans": "real"})
    text = closing(CONFIG.model_copy(update={"statistics": statistics}), 60)
    assert "Next" not in text and "  git add dvc.lock params.yaml metrics" in text


def test_make_repro_shows_the_scores_once():
    recipe = re.search(r"^repro:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe and recipe[1].splitlines() == ["\t@$(RUN) lassl repro"]
