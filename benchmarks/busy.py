"""`python -m benchmarks.busy`: a training step on a machine with other work, with threads that wait as ours do or spin.

Processes start together and make steps at the same time; each tells its median. The plain way spins as GNU OpenMP does
when left alone, ours as `import lassl` sets it.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

import torch

from benchmarks.rows import composed, our_step
from lassl.plumbing.errors import command
from lassl.plumbing.machine import keep_memory, machine
from lassl.plumbing.tables import grid, significant

SPIN = {"plain": {"GOMP_SPINCOUNT": "300000"}, "ours": {}}  # the former is libgomp's own default
TITLES = {"quick": "supervised step, quick size", "compact": "supervised step, compact size"}


def work(profile: str, seconds: float) -> float:
    """Make steps for some seconds once a line comes on stdin; gives their median in seconds."""
    act = our_step("supervised", composed(profile))
    keep_memory(True)
    act()
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.perf_counter() + seconds
    times: list[float] = []
    while time.perf_counter() < end or len(times) < 3:
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return median(times)


def together(profile: str, count: int, environment: dict[str, str], seconds: float, others: int) -> float:
    """Run `count` such processes at once beside `others` busy ones; gives the median of their medians."""
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} | environment
    call = [sys.executable, "-m", "benchmarks.busy", "--work", profile, "--seconds", str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(others)]
    try:
        workers = [subprocess.Popen(call, env=clean, **pipes) for _ in range(count)]  # type: ignore[call-overload]
        for worker in workers:
            worker.stdout.readline()
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return median(float(worker.communicate()[0]) for worker in workers)
    finally:
        for process in busy:
            process.kill()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure alone, beside busy processes and side by side; prints a table. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    parser.add_argument("--scale", nargs="+", choices=TITLES, default=["quick", "compact"])
    parser.add_argument("--seconds", type=float, default=15, help="that the steps of a figure take (default 15)")
    parser.add_argument("--turns", type=int, default=3, help="of both ways, one after the other (default 3)")
    parser.add_argument("--work", choices=TITLES, help="only make steps and print their median")
    asked = parser.parse_args(arguments)
    if asked.work:
        print(work(asked.work, asked.seconds))
        return
    print(", ".join(f"{key} {value}" for key, value in machine(torch.device("cpu")).items()) + "\n")
    lines = []
    for profile in asked.scale:
        alone: dict[str, float] = {}
        for title, count, others in (("alone", 1, 0), ("beside two busy processes", 1, 2), ("four side by side", 4, 0)):
            if profile == "compact" and count > 1:
                continue
            turns: dict[str, list[float]] = {way: [] for way in SPIN}
            for _ in range(asked.turns):
                for way, environment in SPIN.items():
                    turns[way].append(together(profile, count, environment, asked.seconds, others))
            found = {way: median(values) for way, values in turns.items()}
            alone = alone or found
            times = [f"{found[way] / alone[way]:.1f}x" for way in SPIN]
            spread = f"{min(turns['plain']):.3g}..{max(turns['plain']):.3g}"
            cells = [
                significant(found["plain"]),
                spread,
                significant(found["ours"]),
                *times,
                f"{found['plain'] / found['ours']:.2f}",
            ]
            lines.append([TITLES[profile], title, *cells])
            print(f"{TITLES[profile]}, {title}: {lines[-1][2:]}", file=sys.stderr)
    header = ["what", "how", "plain s", "min..max", "ours s", "plain, times alone", "ours, times alone", "ratio"]
    print(grid(header, lines))


if __name__ == "__main__":
    command(main)
