"""`python -m benchmarks.together`: the steps that several trainings make together on one GPU or CPU, and one alone.

On a CPU (`--device cpu --trainings 2`) the one alone has the threads of all.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

import torch

from benchmarks.gpu import WARM_UP, stepper, wait
from benchmarks.pairs import composed
from lassl.model.placement import place
from lassl.plumbing.errors import command
from lassl.plumbing.machine import keep_memory

SECONDS = 8.0  # for which steps are made
UNTIL_ALL_RUN = 20.0  # seconds


def steps_a_second(profile: str, device: str, threads: int, begin: float) -> float:
    """Make supervised steps for some seconds from an instant on; gives how many a second. Raises LasslError."""
    config = composed(profile, device=device, threads=threads)
    keep_memory()
    placed, step = place(config.compute).device, stepper(config, "supervised", None)
    for _ in range(WARM_UP):
        step()
    wait(placed)
    time.sleep(max(begin - time.time(), 0))
    started, made = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        step()
        made += 1
    wait(placed)
    return made / (time.perf_counter() - started)


def together(profile: str, device: str, count: int, threads: int) -> float:
    """Steps a second that so many trainings make in all, each a process of its own with so many threads."""
    begin = time.time() + UNTIL_ALL_RUN
    call = [sys.executable, "-m", "benchmarks.together", "--profile", profile, "--device", device]
    words = [*call, "--threads", str(threads), "--from", str(begin)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(float(process.communicate()[0]) for process in running)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; without a GPU, say what would be measured. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.together", description=__doc__)
    parser.add_argument("--profile", default="compact", help="whose steps are made (default compact)")
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--threads", type=int, default=1, help="of each of several trainings on a CPU (default 1)")
    parser.add_argument("--from", dest="begin", type=float, help="only print the steps a second from this instant on")
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        print(f"No GPU with CUDA here. With one, this lets {asked.trainings} trainings share it.")
        return
    if asked.begin is not None:
        print(steps_a_second(asked.profile, asked.device, asked.threads, asked.begin))
        return
    alone = together(asked.profile, asked.device, 1, asked.threads * asked.trainings)
    shared = together(asked.profile, asked.device, asked.trainings, asked.threads)
    print(
        f"Supervised steps a second at {asked.profile} scale: {alone:.1f} by one training, {shared:.1f} by "
        f"{asked.trainings} side by side, {shared / alone:.2f} times as many."
    )


if __name__ == "__main__":
    command(main)
