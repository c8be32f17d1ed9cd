"""Mixing patches: a box of one patch is put into another."""

import torch
from torch import Tensor


def half_box(size: torch.Size, generator: torch.Generator) -> Tensor:
    """A box of half the volume at random proportions and place, True inside: boolean (X, Y, Z) on the CPU.

    CutMix as French et al. 2020 take it to segmentation, with a third axis. The sides are 2^-d of the patch's, d of the
    three axes uniform among those that sum up to 1; they are rounded to voxels. The generator is a CPU's.
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
    """Put into each patch (N, ..., X, Y, Z) the box of its partner, the N patches in reverse; N of 2 or more.

    The middle one of an odd number is its own partner and stays as it is.
    """
    return torch.where(inside.to(patches.device), patches.flip(0), patches)
