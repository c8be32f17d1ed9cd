"""`python -m benchmarks.costs`: the time of a training step of every method by that of the supervised one.

The two make steps by turns in one process, on patches of noise, in the middle of the training. The result goes to
docs/costs.yaml, which `make pages` shows.
"""

import argparse
from collections.abc import Sequence
from statistics import median

import torch
from tqdm import tqdm

from benchmarks.pairs import composed, method_step
from benchmarks.speed import seconds
from lassl.pages.methods import COSTS, Costs
from lassl.plumbing.errors import command
from lassl.plumbing.files import write_text
from lassl.plumbing.machine import machine
from lassl.plumbing.yaml_text import yaml_text
from lassl.settings.config import Config

BASELINE = "vnet_16"


def ratios(config: Config, turns: int) -> dict[str, float]:
    """Seconds of a step of each row by those of the baseline's next to it: the median of `turns` after a warm-up."""
    baseline = method_step(config.methods[BASELINE], config)
    found = {}
    for row, method in tqdm(config.methods.items(), desc=f"steps, {config.profile}", unit="row"):
        act = method_step(method, config)
        pairs = [(seconds(act, keep=True), seconds(baseline, keep=True)) for _ in range(turns + 1)]
        found[row] = round(median(ours / theirs for ours, theirs in pairs[1:]), 3)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all rows and write docs/costs.yaml. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--profile", default="compact", help="whose patches and network are taken (default compact)")
    parser.add_argument("--turns", type=int, default=5, help="of both steps, one after the other (default 5)")
    asked = parser.parse_args(arguments)
    config = composed(asked.profile, method="field")
    measured = ratios(config, asked.turns)  # first: it sets the threads
    device = machine(torch.device("cpu"))
    costs = Costs(
        profile=asked.profile,
        turns=asked.turns,
        baseline=BASELINE,
        device=device["device"],
        threads=device["threads"],
        torch=device["torch"],
        ratios=measured,
    )
    write_text(COSTS, yaml_text(costs.model_dump(mode="json")))


if __name__ == "__main__":
    command(main)
