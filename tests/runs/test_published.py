"""The checkpoints that were published with UA-MT: brought from a repository of the same layout, adopted, scored."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from helpers.lineage import network
from helpers.project import ROOT
from helpers.runs import cases, write_run
from helpers.trainings import settings
from lassl.data.prepared import open_prepared
from lassl.plumbing.errors import LasslError
from lassl.runs import published
from lassl.runs.published import fetch, score

pytestmark = pytest.mark.slow

NAMES = ["uamt", "uamt_unlabel", "uamt_vnet"]


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def repository(tmp_path):
    """A git repository with three checkpoints of random weights where those of UA-MT are."""
    folder = tmp_path / "UA-MT"
    for seed, name in enumerate(("UAMT", "UAMT_unlabel", "vnet_supervisedonly_dp"), 2):
        (folder / "model" / name).mkdir(parents=True)
        torch.save(network("uamt", seed=seed)[0], folder / "model" / name / "iter_6000.pth")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "weights"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=folder, check=True)
    return str(folder)


@pytest.fixture
def real(tiny_data):
    """Settings of the tiny cohort, as if its scans were real ones; windows as published, so that there is one way."""
    windows = {"patches": {"size": (112, 112, 80)}, "evaluate": {"stride": (18, 18, 4)}}
    return settings(tiny_data, statistics={"scans": "real", "published": True}, **windows)


def test_the_checkpoints_are_brought_adopted_and_scored_and_stand_in_the_table(repository, real, capsys):
    fetch(real, repository)
    files = [f"{name}.{suffix}" for name in NAMES for suffix in ("pt", "pth")]
    assert sorted(path.name for path in Path("models/imported").iterdir()) == sorted(files)
    write_run("vnet_16", scores=cases((70, 80)).assign(case=list(open_prepared(real.data.prepared).split.test)))
    (Path("metrics") / "published.yaml").write_text((ROOT / "metrics/published.yaml").read_text())
    score(real)
    scored = sorted(path.stem for path in Path("metrics/external").glob("*.csv"))
    assert scored == NAMES
    assert len({Path(f"metrics/external/{name}.csv").read_text() for name in NAMES}) == 3
    lines = Path(f"metrics/{real.name}/table.md").read_text().splitlines()
    row = next(n for n, line in enumerate(lines) if line.startswith("| **UA-MT (published weights)** | "))
    assert lines[row + 1].startswith("| published, last | 88.88 |  | 80.21 | 2.26 | 7.32 |")
    assert any(line.startswith("| **V-Net of UA-MT (published weights)** | ") for line in lines)
    assert any("Yu et al. 2019 (UA-MT (published weights))" in line for line in lines)
    assert "Results of profile" in capsys.readouterr().out


def test_without_runs_of_the_profile_the_scores_are_there_all_the_same(repository, real, capsys, monkeypatch):
    monkeypatch.setattr(published, "CHECKPOINTS", published.CHECKPOINTS[:1])
    fetch(real, repository)
    score(real)
    assert Path("metrics/external/records/uamt.yaml").is_file()
    assert f"profile {real.name} has no runs yet" in capsys.readouterr().err


def test_a_checkpoint_that_is_here_is_not_brought_again(repository, real, capsys):
    fetch(real, repository)
    fetch(real, "nowhere")
    assert capsys.readouterr().err.count("downloading") == 3


def test_models_and_scores_of_other_weights_under_their_names_stay(repository, real, monkeypatch):
    monkeypatch.setattr(published, "CHECKPOINTS", published.CHECKPOINTS[:1])
    fetch(real, repository)
    score(real)
    fetch(real, repository)  # what was made of the same weights is made again
    torch.save(network("uamt", seed=9)[0], "models/imported/uamt.pth")
    for path in (Path("models/imported/uamt.pt"), Path("metrics/external/records/uamt.yaml")):
        before = path.read_bytes()
        with pytest.raises(LasslError, match=f"{path}: belongs to other weights than models/imported/uamt.pth"):
            fetch(real, repository)
        assert path.read_bytes() == before
        path.unlink()


def test_without_network_it_says_what_failed_and_how_to_do_it_by_hand(real):
    with pytest.raises(LasslError) as error:
        fetch(real, "https://127.0.0.1:9/UA-MT")
    told = str(error.value)
    assert told.startswith("https://127.0.0.1:9/UA-MT: cannot be copied (") and "\n" not in told
    assert "save the file yourself as models/imported/uamt.pth" in told
    assert list(Path("models/imported").iterdir()) == []


def test_a_repository_without_the_file_is_told(repository, real):
    subprocess.run(["git", "rm", "--quiet", "-r", "model/UAMT_unlabel"], cwd=repository, check=True)
    words = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "less"]
    subprocess.run(words, cwd=repository, check=True)
    with pytest.raises(LasslError, match=r"UA-MT: it has no folder 'model/UAMT_unlabel/iter_6000\.pth'; try again"):
        fetch(real, repository)
    assert sorted(path.name for path in Path("models/imported").iterdir()) == ["uamt.pt", "uamt.pth"]


def test_synthetic_scans_are_refused_before_anything_is_brought(tiny_data):
    with pytest.raises(LasslError, match=r"params\.yaml: found profile quick, whose scans are synthetic; expected"):
        fetch(settings(tiny_data), "nowhere")
    assert not Path("models").exists()


def test_make_published_calls_it_as_a_program(repository, real):
    recipe = "lassl published fetch && dvc repro prepare && lassl published score\n"
    assert f"\t$(RUN) {recipe}" in (ROOT / "Makefile").read_text()
    values = real.model_dump(mode="json")
    Path("params.yaml").write_text(yaml.safe_dump(values | {"data": values["data"] | {"cohort": "tiny"}}))
    command = [sys.executable, "-m", "lassl.cli.main", "published"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "fetch", repository], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"models/imported/{name}.pt" for name in NAMES] and done.returncode == 0
    done = subprocess.run([*command, "score", repository], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"error: found the repository {repository}, but only `lassl published fetch` takes one\n"
