"""`python -m benchmarks.locks`: what DVC's lock file costs: the tiny pipeline with and without what was ever committed.

Each way runs in a clone of its own at the last commit: with an empty dvc.lock and nothing put away; as committed; and
with a thousand invented runs of another profile beside it, put away as the stage `ready` leaves them.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from lassl.plumbing.errors import command
from lassl.plumbing.tables import grid, significant
from pipeline.lockfile import LOCK, add_entries, read_entries, stages_file

WAYS = ("empty", "as committed", "and 1,000 runs")


def call(folder: Path, *words: str) -> float:
    """Run a command in a folder; gives the seconds that it took."""
    started = time.perf_counter()
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def invented(stages: dict[str, Any], count: int) -> dict[str, Any]:
    """Entries of runs that never were, made from those of one that was."""
    entries: dict[str, Any] = {}
    for name, entry in stages.items():
        if "-cps-0-0" in name:
            text = yaml.safe_dump(entry).replace("quick", "many")
            for seed in range(count):
                entries[name.replace("quick", "many").replace("-cps-0-0", f"-cps-0-{seed}")] = yaml.safe_load(
                    text.replace("cps-d0-s0", f"cps-d0-s{seed}")
                )
    return entries


def prepared(folder: Path, way: str) -> Path:
    """A clone of the project whose lock is as the way says, committed."""
    call(Path(), "git", "clone", "--quiet", ".", str(folder))
    for key in ("name", "email"):
        call(folder, "git", "config", f"user.{key}", "benchmark@example.org")
    if way == "empty":
        (folder / LOCK).unlink()
        for path in folder.glob("metrics/*/stages.yaml"):
            path.unlink()
    if way == "and 1,000 runs":
        add_entries(folder / stages_file("many"), invented(read_entries(folder / LOCK), 1000))
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "--quiet", "--allow-empty", "--message", way)
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the pipeline and a second `dvc repro` in each way; prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.locks", description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    asked = parser.parse_args(arguments)
    lines, first = [], 0.0
    with TemporaryDirectory() as folder:
        for i, way in enumerate(asked.ways):
            project = prepared(Path(folder) / str(i), way)
            whole = call(project, "dvc", "exp", "run", "-S", "profile=tiny")
            first = first or whole
            nothing = min(call(project, "dvc", "repro") for _ in range(3))
            lines.append([way, significant(whole), f"{whole / first:.2f}", significant(nothing)])
            print(f"{way}: {lines[-1][1:]}", file=sys.stderr)
    print(grid(["what dvc.lock and metrics/ hold", "tiny pipeline s", "ratio", "nothing to do s"], lines))


if __name__ == "__main__":
    command(main)
