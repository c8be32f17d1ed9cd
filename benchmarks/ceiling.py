"""`python -m benchmarks.ceiling`: what a supervised step is made of, and how near it is to its layers alone.

Each layer of the V-Net is run by itself, forward and backward, on noise of the shape, format and layout that it meets
in the step. Convolutions are held against the matrix product; norms with their activation move memory. The sum of both
is a ceiling that only fused or fewer operations could pass.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from benchmarks.pairs import composed, our_step, random_batch
from benchmarks.speed import product_speed
from lassl.config import Config
from lassl.model.batch_norm import BatchNorm3d
from lassl.model.placement import Placement, place
from lassl.model.vnet import VNet
from lassl.plumbing.errors import command
from lassl.plumbing.machine import keep_memory, machine
from lassl.plumbing.tables import grid, significant

CONVOLUTIONS, NORMS = (nn.Conv3d, nn.ConvTranspose3d), (nn.BatchNorm3d,)
Layer = tuple[str, tuple[Any, ...], tuple[int, ...]]  # kind, its arguments, the input's shape


def layers(config: Config) -> Counter[Layer]:
    """The convolutions and norms of a step, with the shapes that they see, and how often each occurs."""
    counts: Counter[Layer] = Counter()

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, CONVOLUTIONS):
            arguments = (module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding)
            counts[type(module).__name__, arguments, tuple(inputs[0].shape)] += 1
        elif isinstance(module, NORMS):
            counts["BatchNorm3d", (module.num_features,), tuple(inputs[0].shape)] += 1

    network = VNet(config.network)
    for module in network.modules():
        module.register_forward_pre_hook(note)
    with torch.no_grad():
        network(random_batch(config.patches.size, config.methods["vnet_16"].batch).image)
    return counts


def alone(layer: Layer, placement: Placement) -> Callable[[], object]:
    """Make a call that runs a layer forward and backward; a norm with the ReLU that follows it."""
    kind, arguments, shape = layer
    made = {"Conv3d": nn.Conv3d, "ConvTranspose3d": nn.ConvTranspose3d, "BatchNorm3d": BatchNorm3d}[kind](*arguments)
    module = placement.module(made).train()
    first = shape[1] == 1  # the image needs no gradient
    x = placement.tensor(torch.randn(shape))
    if kind == "BatchNorm3d" and placement.dtype != torch.float32:
        x = x.to(placement.dtype)
    x.requires_grad_(not first)

    def run() -> None:
        with placement.autocast():
            y = module(x)
            y = torch.relu_(y) if kind == "BatchNorm3d" else y
        wanted = [p for p in (x, *module.parameters()) if p.requires_grad]
        torch.autograd.grad(y, wanted, torch.ones_like(y))

    return run


def seconds(act: Callable[[], object], repeats: int) -> float:
    """The median time of a call, after one that does not count."""
    act()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return median(times)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the step and its layers; prints a table. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceiling", description=__doc__)
    parser.add_argument("--scale", choices=["paper", "compact", "tiny"], default="paper")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], help="default: that of the profile")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args(arguments)
    config = composed(asked.scale, asked.precision)
    placement = place(config.compute, config.patches.size)
    keep_memory()
    act, counter = our_step("supervised", config), FlopCounterMode(display=False)
    with counter:
        act()
    flop, whole = counter.get_total_flops(), seconds(act, asked.repeats)
    spent = {"convolutions": 0.0, "norms with ReLU": 0.0}
    for layer, count in tqdm(layers(config).items(), desc="layers", unit="layer"):
        part = "norms with ReLU" if layer[0] == "BatchNorm3d" else "convolutions"
        spent[part] += count * seconds(alone(layer, placement), asked.repeats)
    peak = product_speed(placement.dtype, 256 if asked.scale == "tiny" else 2048)
    ceiling = sum(spent.values())
    print(", ".join(f"{key} {value}" for key, value in machine(torch.device("cpu")).items()))
    print(f"{asked.scale}, {placement.name} ({placement.reason}); {peak / 1e9:.0f} GFLOP/s by a matrix product\n")
    lines = [
        ["the step", significant(whole), "", f"{flop / whole / peak:.0%}"],
        *([part, significant(s), f"{s / whole:.0%}", f"{flop / s / peak:.0%}" if part == "convolutions" else ""]
          for part, s in spent.items()),
        ["both, the ceiling", significant(ceiling), f"{ceiling / whole:.0%}", f"{flop / ceiling / peak:.0%}"],
    ]  # fmt: skip
    print(grid(["what", "s", "of the step", "share of the limit"], lines))


if __name__ == "__main__":
    command(main)
