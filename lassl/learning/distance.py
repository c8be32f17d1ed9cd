"""Signed distance maps of labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

CROSS = ((3, 1, 1), (1, 3, 1), (1, 1, 3))  # neighbors along x, y, z


def signed_distance(label: Tensor) -> Tensor:
    """Distance to the foreground's surface, positive outside, negative inside: (N, X, Y, Z) of 0 and 1 -> float32.

    The surface, whose distance is 0, are the foreground voxels with a background neighbor along an axis. Per patch, the
    distances outside are divided by the largest of them, and so are those inside: the range is [-1, 1] (DTC, Luo et al.
    2021, as its code normalizes; that takes the distance to the nearest background voxel inside, off the surface).
    Without foreground all is 1, without background all is -1.
    """
    outside = label == 0
    neighbors = [F.max_pool3d(outside[:, None].float(), k, 1, [n // 2 for n in k]) for k in CROSS]
    surface = ~outside & (torch.stack(neighbors).amax(0)[:, 0] > 0)
    distance = distance_to(surface)
    return normalized(distance * outside) - normalized(distance * ~outside)


def normalized(distance: Tensor) -> Tensor:
    """Divide distances (N, X, Y, Z) by the largest of each patch, if any is above 0."""
    return distance / distance.amax((1, 2, 3), keepdim=True).clamp(min=1)  # no distance lies between 0 and 1


def distance_to(seeds: Tensor) -> Tensor:
    """Exact Euclidean distance in voxels to the nearest True in each patch: boolean (N, X, Y, Z) -> float32.

    Axis by axis, the least sum of squares along each line (Saito and Toriwaki 1994), which runs on any device. Where a
    patch has no True, all its voxels get one distance, larger than any in a patch.
    """
    squared = torch.where(seeds, 0.0, float(sum(n**2 for n in seeds.shape[1:])))
    for axis in (1, 2, 3):
        lines = squared.movedim(axis, 0).contiguous()  # (n, N, ., .)
        place = torch.arange(len(lines), device=seeds.device).view(-1, 1, 1, 1)
        squared = torch.stack([(lines + (place - i).square()).amin(0) for i in range(len(lines))], axis)
    return squared.sqrt()
