"""Reads the project's git repository."""

import subprocess
from pathlib import Path


def git(*words: str, folder: Path = Path()) -> str:
    """The output of a git command. Raises OSError without git, subprocess.CalledProcessError if the command fails."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def commits_with(folder: str) -> list[str]:
    """The last commit here and that of each DVC experiment, newest first, that contain a folder."""
    names = git("for-each-ref", "--format=%(objectname)", "--sort=-committerdate", "refs/exps").split()
    commits = dict.fromkeys(["HEAD", *names])
    return [commit for commit in commits if git("ls-tree", "--name-only", commit, folder).strip()]


def is_commit(name: str) -> bool:
    """Whether a name is a local branch, tag or commit. Raises OSError without git."""
    words = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    return subprocess.run(words, capture_output=True).returncode == 0


def content(commit: str, path: Path) -> bytes | None:
    """The content of a file in a commit, or None if it does not exist there. Raises OSError without git."""
    done = subprocess.run(["git", "cat-file", "blob", f"{commit}:{path.as_posix()}"], capture_output=True)
    return done.stdout if done.returncode == 0 else None
