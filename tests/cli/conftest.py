"""What tests of the command line share: a project with a trained run."""

from pathlib import Path

import pytest

from helpers.trainings import settings
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.publish import publish
from lassl.settings.sections import Data
from lassl.training.train import train


@pytest.fixture(scope="session")
def project(tiny_data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained and evaluated run of two networks."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = settings(tiny_data, train={"steps": 3})
        run = config.run("cps", 0, 0)
        train(config, run)
        evaluate(config, run)
        publish(run)
    return folder


@pytest.fixture
def in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is the working directory."""
    monkeypatch.chdir(project)


@pytest.fixture
def raw(tiny_data: Data) -> Path:
    """The raw image of a test case."""
    return tiny_data.folder / "C6" / "lgemri.nrrd"
