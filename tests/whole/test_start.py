"""What a command waits for before it begins: modules that it has no use for are not loaded."""

import subprocess
import sys

import pytest
import yaml

from helpers.project import ROOT, clone

pytestmark = pytest.mark.slow

SLOW = (
    *("torch", "SimpleITK", "medpy", "pandas", "h5py", "networkx", "plotly", "dvc", "nibabel"),
    *("scipy.stats", "scipy.ndimage", "scipy.spatial"),
)
USES = {  # of SLOW, when a stage begins; more is loaded where a form of scans or a test asks for it
    "ready": {"h5py"},
    "code": set(),
    "phantom": {"scipy.ndimage", "scipy.spatial"},
    "prepare": {"scipy.ndimage", "h5py", "SimpleITK"},
    "train": {"torch", "pandas", "h5py"},
    "evaluate": {"SimpleITK", "torch", "pandas", "h5py", "medpy", "scipy.ndimage", "scipy.spatial", "scipy.stats"},
    "publish": set(),
    "fields_of_view": {
        *("torch", "pandas", "h5py", "medpy", "scipy.ndimage", "scipy.spatial", "scipy.stats", "SimpleITK"),
    },
    "table": {"pandas"},
    "report": {"torch", "pandas", "h5py", "plotly", "scipy.ndimage", "scipy.spatial", "SimpleITK"},
}


def loaded(*words: str) -> set[str]:
    """The slow modules that Python has at the end of a program, which is run in the project's folder."""
    tell = f"import atexit, sys; atexit.register(lambda: print(*(n for n in {SLOW} if n in sys.modules), sep='\\n'))"
    done = subprocess.run(
        [sys.executable, "-c", f"{tell}; {'; '.join(words)}"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.splitlines()) & set(SLOW)


@pytest.mark.parametrize(
    "name",
    ["", "predict", "export", "evaluate", "runs", "collect", "power", "doctor", "compose", "repro", "show", "pages"],
)
def test_help_is_told_without_loading_what_the_work_takes(name):
    assert loaded("from lassl.cli.main import run", f"run({[*name.split(), '--help']})") == set()


def test_the_doctor_loads_torch_and_not_what_makes_or_reads_images(tmp_path):
    folder = clone(tmp_path / "project")
    words = f"examine(Path({str(folder)!r}))"
    assert loaded("from pathlib import Path", "from lassl.cli.check_project import examine", words) == {
        *("torch", "h5py", "dvc"),
    }


def test_it_is_known_what_every_stage_uses():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert set(stages) == set(USES)


@pytest.mark.parametrize("stage", USES)
def test_a_stage_loads_nothing_that_it_has_no_use_for(stage):
    assert loaded(f"import pipeline.{stage}") <= USES[stage]


def test_the_hashes_of_the_code_are_made_without_loading_that_code():
    done = "from lassl.plumbing.provenance import fingerprint; from lassl.methods import module_of"
    assert loaded(done, "fingerprint('pipeline.train', module_of('mean_teacher'))") == set()
