"""Volumes at a lower resolution."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lassl.images.geometry import Array


def pooled_image(image: Array, pool: int) -> Array:
    """Mean of pool x pool x pool voxels of an image, float32 (X, Y, Z) or (C, X, Y, Z); the image itself for 1."""
    return image if pool == 1 else pool_image(torch.from_numpy(image), pool).numpy()


def pooled_label(label: Array, pool: int) -> Array:
    """Pool a label, uint8 (X, Y, Z) of classes: the class with the largest share of pool x pool x pool voxels.

    Of equal shares a structure wins over the background, and the first structure over the next ones. With one
    structure, it is where at least half of the voxels are foreground.
    """
    if pool == 1:
        return label
    voxels, structures = torch.from_numpy(label), int(label.max())
    if structures <= 1:
        return (pool_image(voxels.float(), pool) >= 0.5).to(torch.uint8).numpy()
    classes = [*range(1, structures + 1), 0]
    shares = torch.stack([pool_image((voxels == each).float(), pool) for each in classes])
    return ((shares.argmax(0) + 1) % (structures + 1)).to(torch.uint8).numpy()


def pool_image(image: Tensor, pool: int) -> Tensor:
    """Mean of pool x pool x pool voxels: (X, Y, Z) or (C, X, Y, Z) -> sizes divided by `pool`, rounded up.

    The last voxel along an axis averages the voxels that are left, even if the axis is shorter than `pool`.
    """
    block = [min(pool, n) for n in image.shape[-3:]]
    channels = image if image.ndim == 4 else image[None]
    pooled = F.avg_pool3d(channels[None], block, pool, ceil_mode=True, count_include_pad=False)[0]
    return pooled if image.ndim == 4 else pooled[0]
