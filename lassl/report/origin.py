"""Where the figures of a report come from: code, data, machines, settings."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lassl.results.runs import Result

MADE = (":!metrics", ":!dvc.lock")  # what runs write is no change of the code


def commit(folder: Path = Path()) -> str:
    """The commit that is checked out; "dirty" if files differ from it, other than those that runs write."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", ".", *MADE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown: no git repository here"
    return f"{head} (dirty)" if changed else head


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def run_lines(results: Sequence[Result]) -> list[dict[str, str]]:
    """What each run ran on and how long, in words; a dash for what its record does not have."""
    return [run_line(r.names.name, r.record) for r in results]


def run_line(name: str, record: dict[str, Any]) -> dict[str, str]:
    """One run's line; times in minutes (training) and seconds (evaluation)."""
    training, evaluation = record["training"], record["evaluation"]
    versions = [f"{what} {training[what]}" for what in ("python", "torch", "numpy") if what in training]
    memory = f"{training['peak_memory_mib'] / 1024:.1f}" if "peak_memory_mib" in training else "-"
    return {
        "run": name,
        "training [min]": f"{training['seconds'] / 60:.1f}",
        "evaluation [s]": str(evaluation.get("seconds", "-")),
        "peak memory [GiB]": memory,
        "machine": f"{training['device']}, {training.get('threads', '-')} threads",
        "versions": ", ".join(versions) or "-",
        "data": record["cohort"]["hash"][:12],
        "weights": record.get("weights_sha256", "-")[:12],
    }


def as_yaml(result: Result) -> str:
    """A run's whole record: its settings among it."""
    text: str = yaml.safe_dump(result.record, sort_keys=False)
    return text
