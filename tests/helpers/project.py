"""The project's folder, clones of it, commands in it, and its conf/ composed."""

import os
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from pipeline.compose import compose

ROOT = Path(__file__).parents[2]
ROWS = ["vnet_16", "vnet_80", "cps", "cps_32", "mt_un", "mt_un_lovasz", "cps_alw"]


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
    with chdir(ROOT):
        compose(path, *overrides)
    return path


def as_committed(folder: Path) -> Path:
    """Where pages and metrics belong together: the project, or its last commit if runs were made here since."""
    if not call(ROOT, "git", "status", "--porcelain", "metrics"):
        return ROOT
    archive = folder / "committed.tar"
    call(ROOT, "git", "archive", f"--output={archive}", "HEAD", "README.md", "docs", "metrics")
    shutil.unpack_archive(archive, folder / "committed")
    return folder / "committed"
