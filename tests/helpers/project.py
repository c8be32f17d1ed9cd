"""The project's folder, clones of it, commands in it, and its conf/ composed."""

import os
import shutil
import subprocess
import sys
from contextlib import chdir
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from lassl.settings.compose import compose

ROOT = Path(__file__).parents[2]
_FOLDER = TemporaryDirectory(prefix="lassl-tests-")  # until this process ends
PARAMS_FILE = Path(_FOLDER.name, "params.yaml")  # what conf/ gives by default, whatever the checkout's params.yaml says
ROWS = ["vnet_16", "vnet_80", "cps", "cps_32", "mt_un", "mt_un_lovasz", "cps_alw"]


def default_params() -> dict[str, Any]:
    """The content of params.yaml that conf/ gives by default; each call gives a copy of its own."""
    params: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text())
    return params


def activated() -> dict[str, str]:
    """The environment with this Python's tools first in PATH, as in an activated .venv."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def call(folder: Path, *command: str) -> str:
    """Run a command in a folder with this Python's tools first in PATH; gives what it printed."""
    done = subprocess.run(command, cwd=folder, env=activated(), capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def words_of(*changes: str) -> list[str]:
    """Options of `dvc exp run` that make these changes."""
    return [word for change in changes for word in ("-S", change)]


def clone(folder: Path) -> Path:
    """Make a clone of the project at its last commit."""
    call(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
    call(folder, "git", "config", "user.name", "test")
    call(folder, "git", "config", "user.email", "test@example.org")
    return folder


def composed(*overrides: str) -> Path:
    """Compose conf/ with overrides into a file of the current folder."""
    path = Path(f"params{''.join(overrides)}.yaml").resolve()
    shutil.copy(params_of(*overrides), path)
    return path


@cache
def params_of(*overrides: str) -> Path:
    """What conf/ gives with overrides: a file that is made once and that nobody may change."""
    path = Path(_FOLDER.name, f"params-{len(os.listdir(_FOLDER.name))}.yaml")
    with chdir(ROOT):
        compose(path, *overrides)
    return path


@cache
def committed() -> Path:
    """Where pages and metrics belong together: the project, or its last commit if metrics/ changed since."""
    if not call(ROOT, "git", "status", "--porcelain", "metrics"):
        return ROOT
    archive = Path(_FOLDER.name, "committed.tar")
    call(ROOT, "git", "archive", f"--output={archive}", "HEAD", "README.md", "conf", "docs", "metrics")
    shutil.unpack_archive(archive, archive.with_suffix(""))
    return archive.with_suffix("")


def tracked(pattern: str) -> list[Path]:
    """The project's files of a pattern that git tracks: not those of a method that somebody is about to write."""
    return [ROOT / name for name in call(ROOT, "git", "ls-files", pattern).splitlines() if (ROOT / name).is_file()]


with chdir(ROOT):
    compose(PARAMS_FILE)
