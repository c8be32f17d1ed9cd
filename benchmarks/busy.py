"""`python -m benchmarks.busy`: a training step on a machine with other work, with threads that wait as ours do or spin.

Processes start together and make steps at the same time; each tells its median. The plain way spins as GNU OpenMP does
when left alone, ours as our entry points set it.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

import torch

from benchmarks.pairs import composed, our_step
from lassl.plumbing.errors import command
from lassl.plumbing.machine import keep_memory, machine
from lassl.plumbing.tables import grid, significant

SPIN = {"plain": {"GOMP_SPINCOUNT": "300000"}, "ours": {}}  # the former is libgomp's own default
HEADER = ["what", "how", "plain s", "min..max", "ours s", "plain, times alone", "ours, times alone", "ratio"]
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


def measured(profile: str, turns: int, seconds: float) -> Iterator[list[str]]:
    """Give the cells of a line of the table under HEADER for each way to share the machine."""
    alone: dict[str, float] = {}
    for title, count, others in (("alone", 1, 0), ("beside two busy processes", 1, 2), ("four side by side", 4, 0)):
        if profile == "compact" and count > 1:
            continue
        times: dict[str, list[float]] = {way: [] for way in SPIN}
        for _ in range(turns):
            for way, environment in SPIN.items():
                times[way].append(together(profile, count, environment, seconds, others))
        plain, ours = (median(times[way]) for way in SPIN)
        alone = alone or {"plain": plain, "ours": ours}
        spread = f"{min(times['plain']):.3g}..{max(times['plain']):.3g}"
        slowed = [f"{plain / alone['plain']:.1f}x", f"{ours / alone['ours']:.1f}x"]
        yield [TITLES[profile], title, significant(plain), spread, significant(ours), *slowed, f"{plain / ours:.2f}"]


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
        for cells in measured(profile, asked.turns, asked.seconds):
            print(f"{', '.join(cells[:2])}: {cells[2:]}", file=sys.stderr)
            lines.append(cells)
    print(grid(HEADER, lines))


if __name__ == "__main__":
    command(main)
