"""`python -m benchmarks.roofline`: the operations and bytes of a supervised step by level of the network, from shapes.

A level is a grid: the encoder and the decoder share it, and halving and doubling belong to the finer of their two.
Every layer reads and writes its volumes once in each pass: a convolution forward, for the gradient of its weights and
for that of its input; a batch norm with its ReLU eight times (statistics, values, and the same of the gradients). What
can be fused into these is left out: skips, dropout, losses. Nothing is measured; the limits default to those that an
NVIDIA H200 reached in a bf16 matrix product and in a copy.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, prod
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.pairs import composed
from lassl.model.vnet import VNet
from lassl.plumbing.errors import command
from lassl.plumbing.tables import grid, significant
from lassl.settings.config import Config

NORM_PASSES = 8  # over the volume: 3 forward (read, read, write), 5 backward (read two, read two, write)
HEADER = ["level", "grid", "channels", "GFLOP", "share", "GB convolutions", "FLOP per byte", "GB norms", "least ms"]


@dataclass(frozen=True)
class Work:
    """A layer's operations and bytes in a training step, at its level; `voxels` is the level's grid."""

    level: int
    voxels: tuple[int, ...]
    channels: int
    norm: bool
    flop: int
    bytes: int

    def seconds(self, bandwidth: float, speed: float) -> float:
        """The least time at so many bytes and FLOP a second."""
        return max(self.flop / speed, self.bytes / bandwidth)


def work(module: nn.Module, x: Tensor, y: Tensor, size: Sequence[int], width: int) -> Work:
    """What a layer does that maps x to y, both (N, C, X, Y, Z); `size` is that of a patch, `width` of level 0."""
    fine = max(x, y, key=lambda volume: volume.shape[2])
    level, voxels = round(log2(size[0] / fine.shape[2])), tuple(fine.shape[2:])
    if isinstance(module, nn.BatchNorm3d):
        return Work(level, voxels, width * 2**level, True, 0, NORM_PASSES * x.numel() * x.element_size())
    assert isinstance(module, nn.Conv3d | nn.ConvTranspose3d)
    outer = x.numel() * module.out_channels if module.transposed else y.numel() * module.in_channels
    passes = 2 if module.in_channels == 1 else 3  # nobody asks for the gradient of the image
    moved = x.numel() * x.element_size() + y.numel() * y.element_size()
    return Work(level, voxels, width * 2**level, False, passes * 2 * outer * prod(module.kernel_size), passes * moved)


def step_work(config: Config, batch: int, dtype: torch.dtype = torch.bfloat16) -> list[Work]:
    """The layers' work in a supervised step on so many patches; torch's meta device has shapes and no values."""
    found: list[Work] = []

    def note_work(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        found.append(work(module, inputs[0], output, config.patches.size, config.network.width))

    with torch.device("meta"):
        network = VNet(config.network).to(dtype)
        for module in network.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d | nn.BatchNorm3d):
                module.register_forward_hook(note_work)
        network(torch.empty(batch, 1, *config.patches.size, dtype=dtype))
    return found


def cells(name: str, works: Sequence[Work], whole: Sequence[Work], bandwidth: float, speed: float) -> list[str]:
    """The cells of a level under HEADER; bandwidth in bytes, speed in FLOP per second."""
    first, convolutions = works[0], [work for work in works if not work.norm]
    flop, moved = sum(work.flop for work in works), sum(work.bytes for work in convolutions)
    one = len({work.level for work in works}) == 1
    return [
        name,
        "x".join(map(str, first.voxels)) if one else "",
        str(first.channels) if one else "",
        significant(flop / 1e9),
        f"{flop / sum(work.flop for work in whole):.0%}",
        f"{moved / 1e9:.2f}",
        significant(flop / moved),
        f"{sum(work.bytes for work in works if work.norm) / 1e9:.2f}",
        f"{1e3 * sum(work.seconds(bandwidth, speed) for work in works):.2f}",
    ]


def table(works: Sequence[Work], bandwidth: float, speed: float) -> str:
    """A line for each level, and their sum; bandwidth in bytes, speed in FLOP per second."""
    levels = {level: [work for work in works if work.level == level] for level in sorted({w.level for w in works})}
    named = {str(level): found for level, found in levels.items()} | {"all": list(works)}
    return grid(HEADER, [cells(name, found, works, bandwidth, speed) for name, found in named.items()])


def limits(parser: argparse.ArgumentParser) -> None:
    """Add the limits of a card to a command line."""
    parser.add_argument("--bandwidth", type=float, default=4.2, metavar="TB/S", help="(default 4.2: an H200)")
    parser.add_argument("--tflops", type=float, default=806.0, metavar="TFLOP/S", help="(default 806: an H200, bf16)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description=__doc__)
    parser.add_argument("--profile", default="paper", help="whose patches and network are taken (default paper)")
    parser.add_argument("--batch", type=int, help="patches of a step (default: as the profile has it)")
    limits(parser)
    asked = parser.parse_args(arguments)
    config = composed(asked.profile)
    batch = asked.batch or config.methods["vnet_16"].batch.labeled
    print(table(step_work(config, batch), 1e12 * asked.bandwidth, 1e12 * asked.tflops))


if __name__ == "__main__":
    command(main)
