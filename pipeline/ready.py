"""Stage `ready`: checks data and options, and leaves only the entries of this profile in dvc.lock."""

import os
import subprocess
from pathlib import Path

from lassl.methods import check, check_network
from lassl.plumbing.errors import LasslError, command, note
from lassl.plumbing.files import write_text
from lassl.plumbing.git import git
from lassl.plumbing.provenance import named_modules
from lassl.plumbing.tables import listed
from lassl.runs.label_counts import too_few
from lassl.runs.lockfile import sync_lock
from lassl.runs.outputs import in_the_way
from lassl.settings import conf_files, config, copies
from lassl.settings.config import Config
from lassl.settings.sections import VNET


def main() -> None:
    """Check data and options, move entries between dvc.lock and metrics/<profile>/stages.yaml, write build/ready.

    Raises LasslError for a missing split file, folder of scans or algorithm, for a wrong option of a method, for a
    network that fails or that a method cannot use, for rows that need more cases than the cohort has, for edits without
    effect, for values in conf/ that Hydra and DVC read differently, and for files and links that block results.
    """
    settings = config.load()
    check(settings.methods)
    check_network(settings.methods, settings.network, settings.patches.size)
    if settings.train.start:
        from lassl.model.start import read_start  # with torch, which most runs do not need here

        read_start(settings.train.start, settings.network)
    problems = list(conf_files.problems(Path("conf")))
    problems = problems or [*copies.edited(settings), *missing(settings), *in_the_way(settings)]
    if problems := problems or too_few(settings):
        raise LasslError("\n".join(problems))
    network = settings.network.name
    if network != VNET and not named_modules(network):
        todo = "DVC does not notice edits of it; move it into lassl/, or repeat its runs with `dvc repro -f`"
        note(f"note: params.yaml: network.name: {network} is not in lassl/, so {todo}")
    if unknown := unknown_to_git():
        todo = "`git add` them and run it again, or the experiment will lack them"
        note(f"note: {listed(unknown)}: not tracked by git, but an experiment keeps only tracked files; {todo}")
    sync_lock(settings)
    write_text(Path("build/ready"), "the data are there, and dvc.lock holds what params.yaml names\n")


def missing(settings: Config) -> list[str]:
    """Give a line for each missing input: the split file, the folder of scans, and files of algorithms."""
    copy = "exps" in Path.cwd().parts and ".dvc" in Path.cwd().parts  # a queued experiment, or one with --temp
    finding = "not found"
    if copy:
        finding += " in this copy of the project for an experiment, which has only what git tracks"
    problems = []
    if not settings.data.split.is_file():
        todo = "commit it first" if copy else "see docs/own-data.md for its format"
        problems.append(f"{settings.data.split}: {finding}; {todo}, or give an absolute path as data.split")
    if settings.drawn_elsewhere:
        problems.append(settings.drawn_elsewhere)
    elif not settings.drawn and not settings.data.folder.is_dir():
        todo = "" if copy else "put or link your scans there (`make la2018` downloads the real ones), or "
        problems.append(f"{settings.data.folder}: {finding}; {todo}give an absolute path as data.folder")
    for algorithm in sorted({method.algorithm for method in settings.methods.values()}):
        file = Path(f"lassl/methods/{algorithm}.py")
        if copy and not file.is_file():
            problems.append(f"{file}: {finding}; `git add` it, and the other new files of the method, first")
    return problems


def unknown_to_git() -> list[str]:
    """New, untracked files of settings and code, if a DVC experiment is running in the workspace."""
    if not os.environ.get("DVC_EXP_NAME"):
        return []
    try:
        return git("ls-files", "--others", "--exclude-standard", "conf", "lassl", "pipeline").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


if __name__ == "__main__":
    command(main)
