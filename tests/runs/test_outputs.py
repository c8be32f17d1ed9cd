"""What is in the way of the pipeline's results is found before anything is made or removed."""

import shutil
from pathlib import Path

import pytest
import yaml

from helpers.command import lassl
from helpers.project import PARAMS_FILE, ROOT
from helpers.runs import CONFIG
from lassl.cli import check_project
from lassl.data.phantom import phantom
from lassl.plumbing.errors import LasslError
from lassl.runs.outputs import in_the_way
from lassl.settings.config import NAME
from pipeline import phantom as phantom_stage
from pipeline import ready, train

RUN = "cps-d0-s0"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A project's folder with the committed params.yaml, which wants phantoms."""
    (tmp_path / "project/splits").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    shutil.copy(PARAMS_FILE, "params.yaml")
    shutil.copy(ROOT / "splits/synthetic.csv", "splits")


def write(path: str, text: str = "") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def with_params(**changes) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    for section, change in changes.items():
        params[section] = params[section] | change if isinstance(change, dict) else change
    Path("params.yaml").write_text(yaml.safe_dump(params))


def test_nothing_is_in_the_way_in_an_empty_folder_or_beside_what_was_made_here():
    assert in_the_way(CONFIG) == []
    for path in ("data/prepared/synthetic/manifest.json", f"predictions/quick/{RUN}/record.yaml",
                 f"curves/quick/{RUN}/loss.tsv", "report/quick/index.html"):  # fmt: skip
        write(path)
    phantom(["P0"], Path("data/raw/synthetic"), (20, 18, 16), seed=0)
    assert in_the_way(CONFIG) == []


@pytest.mark.parametrize(
    "path",
    ["data/prepared/synthetic/mine.h5", f"predictions/quick/{RUN}/mask.nrrd", f"curves/quick/{RUN}/notes.txt",
     "report/quick/thesis.tex", "data/raw/synthetic/P000/lgemri.nrrd", "data/raw/synthetic/notes.txt"],
)  # fmt: skip
def test_somebody_elses_folder_in_the_place_of_a_result_is_told_before_dvc_would_remove_it(monkeypatch, path):
    write(path, "years of work")
    (line,) = in_the_way(CONFIG)
    folder = line.split(":")[0]
    assert path.startswith(folder) and "found a folder that lassl did not write" in line
    for begin in (ready.main, lambda: lassl("repro")):
        with pytest.raises(LasslError, match=folder):
            begin()
    assert [f.mark for f in check_project.outputs(CONFIG, Path())] == ["missing"]
    assert Path(path).read_text() == "years of work"


@pytest.mark.parametrize(
    "link",
    ["models", "models/quick", "curves", "predictions", "metrics", "report", "data", "data/prepared", "data/raw"],
)
def test_a_link_to_another_disk_is_told_before_anything_is_trained(tmp_path, link):
    (tmp_path / "large").mkdir()
    Path(link).parent.mkdir(exist_ok=True)
    Path(link).symlink_to(tmp_path / "large")
    (line,) = in_the_way(CONFIG)
    assert line.startswith(f"{link}: found a link to {tmp_path / 'large'}") and "cache.type symlink" in line
    with pytest.raises(LasslError, match=f"^{link}: found a link"):
        ready.main()
    assert [str(f)[:9].strip() for f in check_project.outputs(CONFIG, Path())] == ["missing"]


@pytest.mark.parametrize("link", ["models", "curves", "predictions", "metrics"])
def test_a_training_does_not_begin_where_dvc_would_refuse_its_results(tmp_path, monkeypatch, link):
    (tmp_path / "large").mkdir()
    Path(link).symlink_to(tmp_path / "large")
    monkeypatch.setattr("sys.argv", ["train", "cps", "0", "0"])
    monkeypatch.setattr(train, "train", lambda *_: pytest.fail("it trained"))
    with pytest.raises(LasslError, match=f"^{link}: found a link"):
        train.main()


def test_raw_scans_may_lie_behind_a_link(tmp_path):
    for case in (f"P{i:03d}" for i in range(100)):
        for name in ("lgemri.nrrd", "laendo.nrrd"):
            write(f"{tmp_path}/scans/{case}/{name}")
    Path("data/raw").mkdir(parents=True)
    Path("data/raw/la2018").symlink_to(tmp_path / "scans")
    with_params(data={"cohort": "la2018", "folder": "data/raw/la2018"}, phantom={"cohorts": []})
    ready.main()
    assert Path("build/ready").is_file()


def test_phantoms_are_never_drawn_over_scans_that_settings_name():
    write("mine/P000/lgemri.nrrd", "a patient")
    with_params(data={"folder": "mine"})
    told = r"data.folder: found mine, but phantom.cohorts is \['synthetic'\], whose scans are drawn in data/raw/syn"
    for begin in (ready.main, phantom_stage.main):
        with pytest.raises(LasslError, match=told):
            begin()
    assert Path("mine/P000/lgemri.nrrd").read_text() == "a patient"


@pytest.mark.parametrize("name", [".", "..", "../raw", "/data", "a/b", "", "a\nb"])
@pytest.mark.parametrize("key", ["profile", "data.cohort", "phantom.cohorts"])
def test_what_becomes_a_folders_name_is_one(key, name):
    section, _, word = key.partition(".")
    with_params(**{section: {word: [name] if word == "cohorts" else name} if word else name})
    with pytest.raises(LasslError) as told:
        ready.main()
    assert str(told.value) == f"params.yaml: {key}: found {name!r}, {NAME}"
