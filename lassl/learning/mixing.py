"""Mixes patches: puts a box of one patch into another."""

import torch
from torch import Tensor


def half_box(size: torch.Size, generator: torch.Generator) -> Tensor:
    """A box of half the volume with random proportions and place, True inside: boolean (X, Y, Z) on the CPU.

    This is CutMix for segmentation (French et al. 2020) with a third axis. The sides are 2^-d of the patch's, rounded
    to voxels; the three d are uniform among those that sum to 1. The generator must be on the CPU.
    """
    d = -torch.rand(3, generator=generator).log()
    sides = [max(round(n * 2.0**-e), 1) for n, e in zip(size, (d / d.sum()).tolist(), strict=True)]
    return box_of(size, sides, generator)


def box_of(size: torch.Size, sides: list[int], generator: torch.Generator) -> Tensor:
    """A box with the given sides (voxels, at most the size) at a random place, True inside: boolean (X, Y, Z)."""
    inside = torch.zeros(size, dtype=torch.bool)
    starts = [int(torch.randint(n - s + 1, (), generator=generator)) for n, s in zip(size, sides, strict=True)]
    inside[tuple(slice(a, a + s) for a, s in zip(starts, sides, strict=True))] = True
    return inside


def cutmix(patches: Tensor, inside: Tensor) -> Tensor:
    """Put into each patch (N, ..., X, Y, Z) the box of its partner; partners are the N >= 2 patches in reverse order.

    The middle one of an odd number is its own partner and does not change.
    """
    return torch.where(inside.to(patches.device), patches.flip(0), patches)
