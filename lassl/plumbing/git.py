"""What git knows of the project."""

import subprocess
from pathlib import Path


def git(*words: str, folder: Path = Path()) -> str:
    """What a git command prints. Raises OSError without git, subprocess.CalledProcessError where the command fails."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def commits_with(folder: str) -> list[str]:
    """The last commit here and that of each experiment of DVC, newest first, that hold a folder."""
    names = git("for-each-ref", "--format=%(objectname)", "--sort=-committerdate", "refs/exps").split()
    commits = dict.fromkeys(["HEAD", *names])
    return [commit for commit in commits if git("ls-tree", "--name-only", commit, folder).strip()]
