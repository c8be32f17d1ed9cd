"""From a network that sees a window to the mask of a whole volume."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lassl.data.pooling import pooled_image
from lassl.images.geometry import Array, Triple
from lassl.learning.margins import margin
from lassl.model.placement import Placement
from lassl.model.trained import ENSEMBLE
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config

Network = Callable[[Tensor], Tensor]  # (B, 1, *window) -> logits (B, 2, *window)


@dataclass(frozen=True)
class Windows:
    """How a network goes over a volume: pooling, size and stride of its windows in pooled voxels, windows a pass."""

    pool: int
    size: Triple
    stride: Triple
    batch: int

    @classmethod
    def of(cls, config: Config) -> Self:
        """The windows of params.yaml's evaluation."""
        return cls(config.patches.pool, config.patches.size, config.evaluate.stride, config.evaluate.batch)


def foregrounds(
    networks: Mapping[str, nn.Module], image: Array, windows: Windows, placement: Placement
) -> dict[str, Array]:
    """Foreground probability, float32 (X, Y, Z) in [0, 1], of each network at the image's own resolution.

    The image is normalized, float32 (X, Y, Z). Of several networks the mean is given too, as ENSEMBLE, the last one.
    Raises LasslError for a stride that would skip voxels.
    """
    pooled = torch.from_numpy(pooled_image(image, windows.pool)).to(placement.device)
    maps = {name: sliding_window(network, pooled, windows, placement) for name, network in networks.items()}
    if len(maps) > 1:
        maps[ENSEMBLE] = torch.stack(list(maps.values())).mean(0)
    return {name: upsample(p, windows.pool, image.shape).cpu().numpy() for name, p in maps.items()}


@torch.inference_mode()
def sliding_window(network: Network, image: Tensor, windows: Windows, placement: Placement) -> Tensor:
    """Foreground probability, float32 (X, Y, Z), of an image (X, Y, Z) of pooled voxels: the mean over its windows.

    Both are on the device of the placement; the image may be smaller than a window. A batch of windows is one forward
    pass. Raises LasslError for a stride that would skip voxels.
    """
    window = windows.size
    if any(s > w for s, w in zip(windows.stride, window, strict=True)):
        raise LasslError(
            f"evaluate.stride is {windows.stride}, the window {window}; expected no stride above the window's size"
        )
    image, inside = _pad(image, window)
    starts = [window_starts(n, w, s) for n, w, s in zip(image.shape, window, windows.stride, strict=True)]
    places = [tuple(slice(a, a + w) for a, w in zip(corner, window, strict=True)) for corner in product(*starts)]
    total = torch.zeros(image.shape, device=image.device)
    for first in range(0, len(places), windows.batch):
        group = places[first : first + windows.batch]
        patches = placement.tensor(torch.stack([image[place] for place in group]).unsqueeze(1))  # (B, 1, *window)
        with placement.autocast():
            logits = network(patches)
        foreground = margin(logits).sigmoid()  # two classes: softmax is a sigmoid
        for place, probability in zip(group, foreground, strict=True):
            total[place] += probability
    return (total / _coverage(starts, window, total))[inside]


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First voxels of the windows along an axis of `length` >= `window` voxels, `stride` apart.

    The last window is moved back to end at the border.
    """
    return [*range(0, length - window, stride), length - window]


def _pad(image: Tensor, window: Triple) -> tuple[Tensor, tuple[slice, ...]]:
    """Zeros around an image smaller than the window, and where the image is in the result."""
    missing = [max(w - n, 0) for n, w in zip(image.shape, window, strict=True)]
    before = [m // 2 for m in missing]
    pairs = [(b, m - b) for b, m in zip(before, missing, strict=True)]
    inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape, strict=True))
    return F.pad(image, [p for pair in reversed(pairs) for p in pair]), inside  # F.pad lists the last axis first


def _coverage(starts: list[list[int]], window: Triple, like: Tensor) -> Tensor:
    """How many windows cover each voxel: the product of the counts along the three axes."""
    counts = [like.new_zeros(n) for n in like.shape]
    for count, axis, w in zip(counts, starts, window, strict=True):
        for start in axis:
            count[start : start + w] += 1
    x, y, z = counts
    return x[:, None, None] * y[:, None] * z


def upsample(probability: Tensor, pool: int, size: Triple) -> Tensor:
    """Interpolate a map of pooled voxels trilinearly at the `size` voxels of the volume before pooling.

    Raises ValueError for a map that has not the size of such a volume pooled by `pool`.
    """
    expected = tuple(math.ceil(n / pool) for n in size)
    if probability.shape != expected:
        raise ValueError(f"the map is {tuple(probability.shape)}; {size} pooled by {pool} is {expected}")
    native = F.interpolate(probability[None, None], scale_factor=pool, mode="trilinear", align_corners=False)
    return native[0, 0][tuple(slice(n) for n in size)]
