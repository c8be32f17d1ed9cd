"""Stage `ready`: checks that data and options are as needed, and keeps dvc.lock to the runs that params.yaml names."""

from pathlib import Path

from lassl import config
from lassl.config import Config
from lassl.methods import check
from lassl.plumbing.errors import LasslError, command
from lassl.plumbing.files import write_text
from pipeline.lockfile import settle


def main() -> None:
    """Check data and options, move entries between dvc.lock and metrics/<profile>/stages.yaml, write build/ready.

    Raises LasslError for a split file or a folder of scans that is not there, and for a wrong option of a method.
    """
    settings = config.load()
    check(settings.methods)
    if problems := missing(settings):
        raise LasslError("\n".join(problems))
    settle(settings)
    write_text(Path("build/ready"), "the data are there, and dvc.lock holds what params.yaml names\n")


def missing(settings: Config) -> list[str]:
    """A line for the split file and one for the folder of scans, where they are not there."""
    copy = "exps" in Path.cwd().parts and ".dvc" in Path.cwd().parts  # of an experiment in the queue, or with --temp
    finding = "not found"
    if copy:
        finding += " in this copy of the project for one experiment, which has only what git tracks"
    problems = []
    if not settings.data.split.is_file():
        todo = "commit it first" if copy else "see docs/own-data.md for its form"
        problems.append(f"{settings.data.split}: {finding}; {todo}, or give an absolute path as data.split")
    synthetic = settings.data.folder.name in settings.phantom.cohorts
    if not synthetic and not settings.data.folder.is_dir():
        todo = "" if copy else "put or link your scans there (`make la2018` brings the real ones), or "
        problems.append(f"{settings.data.folder}: {finding}; {todo}give an absolute path as data.folder")
    return problems


if __name__ == "__main__":
    command(main)
