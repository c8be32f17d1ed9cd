"""Applies a network that sees one window to a whole volume."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lassl.data.pooling import pooled_image
from lassl.images.geometry import Array, Triple
from lassl.learning import margins
from lassl.model.placement import Placement
from lassl.model.trained import ENSEMBLE
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config

Network = Callable[[Tensor], Tensor]  # (B, C, *window) -> logits (B, 1 + S, *window)


@dataclass(frozen=True)
class Windows:
    """How a network covers a volume: pooling, size and stride of windows in pooled voxels, windows per pass."""

    pool: int
    size: Triple
    stride: Triple
    batch: int

    @classmethod
    def of(cls, config: Config) -> Self:
        """The windows that params.yaml sets for evaluation."""
        return cls(config.patches.pool, config.patches.size, config.evaluate.stride, config.evaluate.batch)


def foregrounds(
    networks: Mapping[str, nn.Module], image: Array, windows: Windows, placement: Placement
) -> dict[str, Array]:
    """Probability of each structure, float32 (S, X, Y, Z) in [0, 1], of each network at the image's own resolution.

    The image is normalized, float32 (X, Y, Z), or (C, X, Y, Z) of several channels. With several networks, their mean
    comes last, as ENSEMBLE. Raises LasslError if the stride would skip voxels.
    """
    pooled = torch.from_numpy(pooled_image(image, windows.pool)).to(placement.device)
    maps = {name: sliding_window(network, pooled, windows, placement) for name, network in networks.items()}
    if len(maps) > 1:
        maps[ENSEMBLE] = torch.stack(list(maps.values())).mean(0)
    return {name: upsample(p, windows.pool, image.shape[-3:]).cpu().numpy() for name, p in maps.items()}


def decided(probabilities: Array) -> Array:
    """The most probable class of each voxel, uint8 (X, Y, Z), 0 for background: probabilities (S, X, Y, Z).

    Of one structure it is where the probability is above one half.
    """
    if len(probabilities) == 1:
        one: Array = (probabilities[0] > 0.5).astype(np.uint8)
        return one
    background = 1 - probabilities.sum(0)
    best = probabilities.argmax(0)
    several: Array = np.where(probabilities.max(0) > background, best + 1, 0).astype(np.uint8)
    return several


@torch.inference_mode()
def sliding_window(network: Network, image: Tensor, windows: Windows, placement: Placement) -> Tensor:
    """Probability of each structure, float32 (S, X, Y, Z), in an image of pooled voxels: the mean over windows.

    The image is (X, Y, Z), or (C, X, Y, Z) of several channels. Both are on the device of the placement; the image may
    be smaller than a window. Each forward pass takes a batch of windows. Raises LasslError if the stride would skip
    voxels.
    """
    window = windows.size
    if any(s > w for s, w in zip(windows.stride, window, strict=True)):
        raise LasslError(
            f"evaluate.stride is {windows.stride} but the window is {window}; use strides of at most the window's size"
        )
    image, inside = _pad(image, window)
    starts = [window_starts(n, w, s) for n, w, s in zip(image.shape[-3:], window, windows.stride, strict=True)]
    boxes = [tuple(slice(a, a + w) for a, w in zip(corner, window, strict=True)) for corner in product(*starts)]
    places: list[tuple[Any, ...]] = [(..., *box) for box in boxes]
    total = torch.zeros(0)
    for first in range(0, len(places), windows.batch):
        group = places[first : first + windows.batch]
        seen = torch.stack([image[place] for place in group])
        patches = placement.tensor(seen.unsqueeze(1) if seen.ndim == 4 else seen)  # (B, C, *window)
        with placement.autocast():
            logits = network(patches)
        foregrounds = margins.foregrounds(logits)
        if not first:
            total = image.new_zeros((foregrounds.shape[1], *image.shape[-3:]))
        for place, probability in zip(group, foregrounds, strict=True):
            total[place] += probability
    return (total / _coverage(starts, window, image))[:, *inside]


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First voxels of the windows along an axis of `length` >= `window` voxels, `stride` apart.

    The last window is moved back to end at the border.
    """
    return [*range(0, length - window, stride), length - window]


def _pad(image: Tensor, window: Triple) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad an image smaller than the window with zeros; also returns the place of the image in the result."""
    missing = [max(w - n, 0) for n, w in zip(image.shape[-3:], window, strict=True)]
    before = [m // 2 for m in missing]
    pairs = [(b, m - b) for b, m in zip(before, missing, strict=True)]
    inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape[-3:], strict=True))
    return F.pad(image, [p for pair in reversed(pairs) for p in pair]), inside  # F.pad lists the last axis first


def _coverage(starts: list[list[int]], window: Triple, like: Tensor) -> Tensor:
    """The number of windows that cover each voxel: the product of the counts along the three axes."""
    counts = [like.new_zeros(n) for n in like.shape[-3:]]
    for count, axis, w in zip(counts, starts, window, strict=True):
        for start in axis:
            count[start : start + w] += 1
    x, y, z = counts
    return x[:, None, None] * y[:, None] * z


def upsample(probability: Tensor, pool: int, size: Triple) -> Tensor:
    """Interpolate maps (S, ...) of pooled voxels trilinearly at the `size` voxels of the volume before pooling.

    Raises ValueError if the maps do not have the size of such a volume pooled by `pool`.
    """
    expected = tuple(math.ceil(n / pool) for n in size)
    if (found := tuple(probability.shape[1:])) != expected:
        raise ValueError(f"the maps have size {found}, expected {expected} ({size} pooled by {pool})")
    native = F.interpolate(probability[None], scale_factor=pool, mode="trilinear", align_corners=False)
    return native[0][:, *(slice(n) for n in size)]
