"""`python -m benchmarks.speed`: our code against a plain one, in one process and alternating, and against the limit."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from benchmarks.pairs import (
    STEPS,
    TITLES,
    Act,
    Pair,
    Setting,
    composed,
    inference_pair,
    loading_pair,
    our_step,
    scans,
    scoring_pair,
    step_pair,
)
from lassl.plumbing.errors import command
from lassl.plumbing.machine import keep_memory, machine, peak_memory_mib
from lassl.plumbing.tables import grid, significant
from lassl.settings.config import Config

PAIRS = {name: partial(step_pair, name) for name in STEPS} | {
    "inference": inference_pair,
    "scoring": scoring_pair,
    "loading": loading_pair,
}
ROWS = (*PAIRS, "memory")
NATIVE_ONLY = {"inference", "scoring", "memory"}  # done at full resolution, or not telling at another
REPEATS = {"paper": 3, "compact": 10, "tiny": 2}  # of a network's work; others are quick
HEADER = ["what", "scale", "plain s", "ours s", "ratio", "min..max", "GFLOP", "share of the limit"]
GPU_MIB = 11e9 / 2**20


@dataclass(frozen=True)
class Timing:
    """A row: seconds (plain, ours) of each repetition, and the FLOP of ours, 0 where a network has no part."""

    row: str
    pair: Pair
    scale: str
    seconds: list[tuple[float, float]]
    flop: int

    @property
    def plain(self) -> float:
        """Median of the plain seconds."""
        return median(plain for plain, _ in self.seconds)

    @property
    def ours(self) -> float:
        """Median of our seconds."""
        return median(ours for _, ours in self.seconds)


def measure(row: str, pair: Pair, scale: str, repeats: int) -> Timing:
    """Time both ways by turns. The first turn is the warm-up, in which the FLOP are counted.

    Ours runs twice in a turn and the second time counts: the first takes back the memory that it keeps from step to
    step in a training, which the plain way made the allocator give away.
    """
    counter = FlopCounterMode(display=False)
    times = []
    for warm in tqdm([False] + repeats * [True], desc=f"{pair.what}, {scale}", unit="turn"):
        plain = seconds(pair.plain, keep=False)
        with nullcontext() if warm or pair.dtype is None else counter:
            seconds(pair.ours, keep=True)
        if warm:
            times.append((plain, seconds(pair.ours, keep=True)))
    timing = Timing(row, pair, scale, times, counter.get_total_flops())
    medians = f"plain {significant(timing.plain)} s, ours {significant(timing.ours)} s"
    print(f"{pair.what}, {scale}: {medians}", file=sys.stderr)
    return timing


def seconds(act: Act, keep: bool) -> float:
    """Time one call, with freed memory kept (a part of our speed) or given back as by default."""
    keep_memory(keep)
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def product_speed(dtype: torch.dtype, size: int) -> float:
    """FLOP per second of a square matrix product, the best of ten: what a network's convolutions could reach."""
    a = torch.randn(size, size).to(dtype)
    best = min(seconds(lambda: a @ a, keep=True) for _ in range(10))
    return 2 * size**3 / best


def peak_mib(row: str, config: Config) -> int:
    """Run two of our training steps; gives the most memory that this process has had resident, in MiB."""
    keep_memory(True)
    act = our_step(row, config)
    act()
    act()
    return peak_memory_mib(torch.device("cpu"))


def memory_cells(row: str, tiny: bool) -> list[str]:
    """Measure the peak memory of a method's step in a process of its own."""
    call = [sys.executable, "-m", "benchmarks.speed", "--memory", row, *(["--tiny"] if tiny else [])]
    peak = int(subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return [TITLES[row], f"{peak:,}", "yes" if peak < GPU_MIB else "no"]


def timing_cells(timing: Timing, peaks: dict[torch.dtype, float]) -> list[str]:
    """Write the cells of one row under HEADER; `peaks` are FLOP per second."""
    ratios = [plain / ours for plain, ours in timing.seconds]
    dtype = timing.pair.dtype
    return [
        timing.pair.what,
        timing.scale,
        significant(timing.plain),
        significant(timing.ours),
        f"{timing.plain / timing.ours:.2f}",
        f"{min(ratios):.2f}..{max(ratios):.2f}",
        significant(timing.flop / 1e9) if dtype else "",
        f"{timing.flop / timing.ours / peaks[dtype]:.0%}" if dtype else "",
    ]


def notes(timings: Sequence[Timing], peaks: dict[torch.dtype, float], size: int) -> list[str]:
    """Tell what the limit was, and what loading is beside a step."""
    lines = [f"Limit: {peak / 1e9:.0f} GFLOP/s, {dtype} product of {size}^2." for dtype, peak in peaks.items()]
    steps = {timing.scale: timing.ours for timing in timings if timing.row == "supervised"}
    for timing in timings:
        if timing.row == "loading" and timing.scale in steps:
            share = timing.ours / steps[timing.scale]
            lines.append(f"Loading a batch takes {share:.2%} of our supervised step ({timing.scale}).")
    return lines


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--scale", nargs="+", choices=["paper", "compact"], default=["paper", "compact"])
    parser.add_argument("--repeats", type=int, help="turns after the warm-up (default 10, networks at paper scale 3)")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], help="default: that of the profile")
    parser.add_argument("--tiny", action="store_true", help="a scale that says nothing, to try the program")
    parser.add_argument("--memory", choices=STEPS, help="only print the peak MiB of this method's step, at paper scale")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print the tables. Raises LasslError."""
    asked = options(arguments)
    if asked.memory:
        print(peak_mib(asked.memory, composed("tiny" if asked.tiny else "paper")))
        return
    scales = ["tiny"] if asked.tiny else asked.scale
    print(", ".join(f"{key} {value}" for key, value in machine(torch.device("cpu")).items()))
    # before the others, while this process is small
    measured = STEPS if "memory" in asked.rows and scales != ["compact"] else {}
    bar = tqdm(measured, desc="memory", unit="method", disable=not measured)
    memory = [memory_cells(row, asked.tiny) for row in bar]
    if set(asked.rows) - {"memory"}:
        with TemporaryDirectory() as folder:
            compare(asked.rows, scales, asked.precision, asked.repeats, Path(folder))
    if memory:
        print("\n" + grid(["method", "peak MiB", "below 11 GB"], memory))


def compare(
    chosen: Sequence[str], scales: Sequence[str], precision: str | None, repeats: int | None, folder: Path
) -> None:
    """Measure each row at each scale that it is for; prints the scans' name, a table and its notes."""
    prepared = scans(folder, tiny=scales == ["tiny"])
    size = 256 if scales == ["tiny"] else 2048
    timings: list[Timing] = []
    peaks: dict[torch.dtype, float] = {}
    for scale in scales:
        setting = Setting(composed(scale, precision), prepared, folder)
        for row, make in PAIRS.items():
            if row not in chosen or (scale == "compact" and row in NATIVE_ONLY):
                continue
            pair = make(setting)
            timings.append(measure(row, pair, scale, repeats or (REPEATS[scale] if pair.dtype else 10)))
            if pair.dtype:
                peaks[pair.dtype] = max(peaks.get(pair.dtype, 0), product_speed(pair.dtype, size))
    case = prepared.cases[prepared.split.test[0]]
    print(f"Inference and scoring: case {case.case} of {prepared.folder}, {'x'.join(map(str, case.shape))} voxels.\n")
    print(grid(HEADER, [timing_cells(timing, peaks) for timing in timings]) + "\n")
    print("\n".join(notes(timings, peaks, size)))


if __name__ == "__main__":
    command(main)
