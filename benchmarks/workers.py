"""`python -m benchmarks.workers`: what DVC's lock costs many workers in one checkout: 90 runs of a second each by 8.

The stages are those of dvc.yaml in a clone at the last commit, with commands that wait for a second in all and write
next to nothing, so that what is left is DVC: to start, to load the project, to wait for the lock and to hold it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from lassl import config
from lassl.plumbing.errors import command
from lassl.plumbing.tables import grid, significant
from pipeline.runs import asked, stages_of

ITEM = "${item.profile}/${item.method}-d${item.draw}-s${item.seed}"
WRITES = {  # what the command of each stage does instead
    "train": f"sleep 0.8; mkdir -p models/${{item.profile}} curves/{ITEM}; echo {ITEM} | "
    f"tee models/{ITEM}.pt > curves/{ITEM}/loss.tsv",
    "evaluate": f"sleep 0.2; mkdir -p predictions/{ITEM}; echo {ITEM} > predictions/{ITEM}/mask",
    "publish": "; ".join(
        f"mkdir -p metrics/${{item.profile}}/{folder}; echo {ITEM} > metrics/${{item.profile}}/{folder}"
        f"${{item.method}}-d${{item.draw}}-s${{item.seed}}.{end}"
        for folder, end in (("", "csv"), ("snapshots/", "csv"), ("records/", "yaml"), ("", "json"))
    ),
}
HEADER = ["seconds of a run, medians", "its own work", "waiting for the lock", "holding it", "of it CPU"]
HEADER += ["starting DVC", "in all"]


def prepared(folder: Path, seeds: int) -> None:
    """Make a clone in which 3 x `seeds` runs of one method are asked for, with all that they depend on."""
    subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
    stages = yaml.safe_load((folder / "dvc.yaml").read_text("utf-8"))
    for stage, instead in WRITES.items():
        stages["stages"][stage]["cmd"] = instead
    (folder / "dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False), "utf-8")
    changes = ["profile=tiny", "method=vnet_16", "draws=[0,1,2]", f"seeds={list(range(seeds))}".replace(" ", "")]
    for words in (["python", "-m", "pipeline.compose", *changes], ["dvc", "repro", "prepare"]):
        subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def work(pattern: str) -> dict[str, float]:
    """Make the stages of a pattern in this process as `cluster/run` lets DVC do; gives the seconds that went where."""
    started = time.perf_counter()
    from dvc.cli import main as dvc
    from dvc.lock import Lock
    from dvc.stage import run

    seconds = {"work": 0.0, "waiting": 0.0, "holding": 0.0, "computing": 0.0}
    since, computed, (take, leave, execute) = 0.0, 0.0, (Lock.lock, Lock.unlock, run._run)

    def of_the_project(lock: Any) -> bool:
        return Path(lock.lockfile).name == "lock"  # beside it there is one of .dvc/tmp/rwlock, taken for an instant

    def timed_take(lock: Any) -> None:
        nonlocal since, computed
        asked = time.perf_counter()
        take(lock)
        if of_the_project(lock):
            since, computed = time.perf_counter(), time.process_time()
            seconds["waiting"] += since - asked

    def timed_leave(lock: Any) -> None:
        if of_the_project(lock) and lock.is_locked:
            seconds["holding"] += time.perf_counter() - since
            seconds["computing"] += time.process_time() - computed
        leave(lock)

    def timed_execute(*words: Any, **options: Any) -> None:
        began = time.perf_counter()
        execute(*words, **options)
        seconds["work"] += time.perf_counter() - began

    Lock.lock, Lock.unlock, run._run = timed_take, timed_leave, timed_execute
    if code := dvc(["--wait-for-lock", "repro", "--quiet", "--single-item", "--glob", pattern]):
        sys.exit(code)
    return seconds | {"all": time.perf_counter() - started}


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the runs; prints the medians of where their time went, and the time of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=30, help="of three draws each: 90 runs")
    parser.add_argument("--work", metavar="PATTERN", help="only make the stages of this pattern")
    given = parser.parse_args(arguments)
    if given.work:
        print(json.dumps(work(given.work)))
        return
    with TemporaryDirectory() as name:
        folder = Path(name) / "project"
        prepared(folder, given.seeds)
        settings = config.load(folder / "params.yaml")
        lines = ["*@" + stages_of(settings, run)[0].split("@")[1] for run in asked(settings).values()]
        one = f"{sys.executable} -m benchmarks.workers --work"
        each = ["xargs", "-P", str(given.workers), "-I{}", "sh", "-c", f"{one} '{{}}'"]
        started = time.perf_counter()
        done = subprocess.run(each, cwd=folder, input="\n".join(lines), check=True, capture_output=True, text=True)
        whole = time.perf_counter() - started
    runs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    typical = {key: median(run[key] for run in runs) for key in runs[0]}
    starting = typical["all"] - sum(typical[key] for key in ("work", "waiting", "holding"))
    shown = [*(typical[key] for key in ("work", "waiting", "holding", "computing")), starting, typical["all"]]
    print(grid(HEADER, [[f"{len(runs)} by {given.workers} workers", *map(significant, shown)]]))
    print(f"\nall: {whole:.0f} s")


if __name__ == "__main__":
    command(main)
