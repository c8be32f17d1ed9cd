"""Where the figures of a report come from: code, data, machines, settings."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lassl.plumbing.git import git
from lassl.results.runs import Result

MADE = (":!metrics", ":!dvc.lock")  # what runs write is no change of the code


def commit(folder: Path = Path()) -> str:
    """The commit that is checked out; "dirty" if files differ from it, other than those that runs write."""
    try:
        head = git("rev-parse", "HEAD", folder=folder).strip()
        changed = git("status", "--porcelain", "--", ".", *MADE, folder=folder).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown: no git repository here"
    return f"{head} (dirty)" if changed else head


def run_lines(results: Sequence[Result]) -> list[dict[str, str]]:
    """What each run ran on and how long, in words: a cell by its head; times in minutes and seconds."""
    return [run_line(result) for result in results]


def run_line(result: Result) -> dict[str, str]:
    """One run's line; a dash for the hash of weights that an older record does not have."""
    training, evaluation = result.record.training, result.record.evaluation
    return {
        "run": result.names.name,
        "training [min]": f"{training.seconds / 60:.1f}",
        "evaluation [s]": str(evaluation.seconds),
        "peak memory [GiB]": f"{training.peak_memory_mib / 1024:.1f}",
        "machine": f"{training.device}, {training.threads} threads",
        "versions": f"python {training.python}, torch {training.torch}, numpy {training.numpy}",
        "data": result.record.cohort.hash[:12],
        "weights": result.record.weights_sha256[:12] or "-",
    }
