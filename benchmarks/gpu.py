"""`python -m benchmarks.gpu`: a GPU's training steps and windows, ours beside plain ones, and what a profile takes.

Plain is eager fp32 (no tf32) in contiguous memory, one forward pass at a time, its patches cut on the host. Ours is
what the profile says, its cases on the card. The card's own limits are a matrix product in our number format and a
copy. Without a GPU it says what it would do.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.pairs import STEPS, TITLES, composed, plain_step, random_batch
from lassl.data.label_split import LabelSplit
from lassl.data.patches import Batch, PatchSource
from lassl.evaluation.inference import Windows, sliding_window
from lassl.learning.base import Progress
from lassl.model.placement import Placement, place
from lassl.model.vnet import VNet
from lassl.plumbing.errors import command
from lassl.plumbing.machine import machine
from lassl.plumbing.tables import grid, significant
from lassl.settings.config import Config
from lassl.settings.sections import Method
from lassl.training.loop import first_state

CASE = (176, 144, 88)  # voxels of a case of noise: about the mean of the real ones
ROWS = {**STEPS, "lovasz": "mt_un_lovasz", "adaptive": "cps_alw"}
STEPS_TIMED, WARM_UP = 25, 3
HEADER = ["step of", "plain ms", "ours ms", "ratio", "compiled ms", "TFLOP", "share of the product", "GiB", "data ms"]


@dataclass(frozen=True)
class Timed:
    """A row's step: seconds plain (None: no such script), ours, compiled; FLOP, peak in bytes, seconds for its data."""

    plain: float | None
    ours: float
    compiled: float
    flop: int
    peak: int
    data: float

    def cells(self, name: str, product: float) -> list[str]:
        """The cells under HEADER; `product` in FLOP per second."""
        best = min(self.ours, self.compiled)
        return [
            name,
            significant(1e3 * self.plain) if self.plain else "",
            significant(1e3 * self.ours),
            f"{self.plain / best:.1f}" if self.plain else "",
            significant(1e3 * self.compiled),
            significant(self.flop / 1e12),
            f"{self.flop / best / product:.0%}",
            f"{self.peak / 2**30:.2f}",
            significant(1e3 * max(self.data, 0)),
        ]


def seconds(act: Callable[[], object], device: torch.device, times: int) -> float:
    """Time a call, the mean of `times` in a row after a warm-up, the device's work included."""
    for _ in range(WARM_UP):
        act()
    wait(device)
    started = time.perf_counter()
    for _ in range(times):
        act()
    wait(device)
    return (time.perf_counter() - started) / times


def wait(device: torch.device) -> None:
    """Let the device finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def limits(device: torch.device, dtype: torch.dtype, size: int) -> tuple[float, float]:
    """FLOP per second of a square matrix product, and bytes per second read and written by a copy."""
    a, b = torch.randn(size, size, device=device).to(dtype), torch.empty(size**2 * 8, dtype=torch.uint8, device=device)
    other = torch.empty_like(b)
    product = 2 * size**3 / seconds(lambda: a @ a, device, 10)
    return product, 2 * b.nbytes / seconds(lambda: other.copy_(b), device, 10)


def noise_source(config: Config, method: Method, device: torch.device) -> PatchSource:
    """A source of patches of noise, its cases on a device, without any file."""

    class Noise:
        def read_image(self, case: str) -> np.ndarray:
            return np.random.default_rng(0).standard_normal(CASE, np.float32)

        def read_label(self, case: str) -> np.ndarray:
            return (np.random.default_rng(1).random(CASE) > 0.9).astype(np.uint8)

    label_split = LabelSplit(("a", "b", "c", "d"), ("e", "f", "g", "h"))
    source = PatchSource(Noise(), label_split, config.patches, method.batch, 0)
    source.bring_to(device)
    return source


def stepper(config: Config, row: str, source: PatchSource | None, mode: str | None = None) -> Callable[[], object]:
    """Make a call that trains a step as lassl.training.loop does, on patches of a source or on one batch of noise.

    With `mode`, which is torch.compile's, networks that are compiled are compiled so.
    """
    method, placement = config.methods[ROWS[row]], place(config.compute, config.patches.size)
    state = first_state(config, method, placement, seed=0)
    for network in state.algorithm.networks.values() if mode and placement.compiled else ():
        network.compile(dynamic=False, mode=mode)
    ready = random_batch(config.patches.size, method.batch)
    fixed = Batch(ready.image.to(placement.device), ready.label.to(placement.device))
    rates = [config.train.lr] * len(state.optimizer.param_groups)

    def step() -> None:
        batch = source[state.step] if source else fixed
        state.advance(batch, Progress(state.step, config.train.steps, 0, 0), rates, placement)

    return step


def timed(config: Config, row: str, times: int) -> Timed:
    """Time a row's step in all ways. Raises LasslError."""
    device = place(config.compute).device
    eager = config.model_copy(update={"compute": config.compute.model_copy(update={"compile": False})})
    compiled = config.model_copy(update={"compute": config.compute.model_copy(update={"compile": True})})
    method = config.methods[ROWS[row]]
    plain = None
    if row in STEPS:
        host, act = noise_source(config, method, torch.device("cpu")), plain_step(row, config)
        numbers = iter(range(10**9))

        def with_its_patches() -> None:
            batch = host[next(numbers)]
            batch.image.to(device), batch.label.to(device)
            act()

        plain = seconds(with_its_patches, device, max(times // 3, 1))
    counter = FlopCounterMode(display=False)
    act = stepper(eager, row, None)
    with counter:
        act()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ours = seconds(act, device, times)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    fed = seconds(stepper(eager, row, noise_source(config, method, device)), device, times)
    fast = seconds(stepper(compiled, row, None), device, times)
    return Timed(plain, ours, fast, counter.get_total_flops(), peak, fed - ours)


def windows_line(config: Config) -> str:
    """Time the windows over a case: ours in batches, plain one by one. Raises LasslError."""
    placement = place(config.compute, config.patches.size)
    windows, network = Windows.of(config), VNet(config.network).eval()
    image = torch.randn(CASE, device=placement.device)
    plainly = Placement(placement.device, torch.float32, False)
    spent = []
    for where, way in ((plainly, replace(windows, batch=1)), (placement, windows)):
        act = partial(sliding_window, where.module(network), image, way, where)
        spent.append(seconds(act, placement.device, 1))
    plain, ours = spent
    return f"Windows over a case of {'x'.join(map(str, CASE))} voxels: plain {plain:.2f} s, ours {ours:.2f} s."


def estimate(config: Config, rows: dict[str, Timed]) -> str:
    """Say how long the seven rows of a profile train, one after the other, and the most memory that one takes."""
    by_method = {method: rows[name] for name, method in ROWS.items()}
    by_method |= {"vnet_80": rows["supervised"], "cps_32": rows["cps"]}
    best = {method: min(row.ours, row.compiled) + max(row.data, 0) for method, row in by_method.items()}
    hours = config.train.steps * sum(best.values()) / 3600
    memory = max(row.peak for row in rows.values()) / 2**30
    rows_of = f"The seven rows of {config.profile}, {config.train.steps} steps each"
    return f"{rows_of}, train for {hours:.1f} h one after the other, in {memory:.1f} GiB."


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; without a GPU, say what would be measured. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--profile", default="paper", help="whose steps are timed (default paper)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--device", default="cuda", help="cpu: to try the program, with --profile tiny")
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        print(f"No GPU with CUDA here. With one, this times a step of {', '.join(ROWS)} at {asked.profile} scale,")
        print("plain, ours and compiled, with its memory and share of the card's limit, and the windows over a case;")
        print("then it says how long the seven rows will train.")
        return
    config = composed(asked.profile, device=asked.device)
    placement = place(config.compute, config.patches.size)
    cuda, times = placement.device.type == "cuda", STEPS_TIMED if asked.device == "cuda" else 1
    product, copy = limits(placement.device, placement.dtype, 8192 if cuda else 256)
    print(", ".join(f"{key} {value}" for key, value in machine(placement.device).items()))
    print(f"Limit: {product / 1e12:.3g} TFLOP/s by a {placement.name} product, {copy / 1e12:.3g} TB/s by a copy.\n")
    rows = {row: timed(config, row, times) for row in asked.rows}
    print(grid(HEADER, [row.cells(TITLES.get(name, ROWS[name]), product) for name, row in rows.items()]) + "\n")
    print(windows_line(config))
    if rows.keys() == ROWS.keys():
        print(estimate(config, rows))


if __name__ == "__main__":
    command(main)
