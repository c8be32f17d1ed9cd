"""Signed distance maps of labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

CROSS = ((3, 1, 1), (1, 3, 1), (1, 1, 3))  # neighbors along x, y, z


def signed_distance(label: Tensor) -> Tensor:
    """Distance to the foreground's surface, positive outside, negative inside: (N, X, Y, Z) of 0 and 1 -> float32.

    The surface, at distance 0, consists of the foreground voxels with a background neighbor along an axis. In each
    patch, outside distances are divided by their maximum, and so are inside distances; the range is [-1, 1] (DTC, Luo
    et al. 2021, normalized as in its code, which however measures inside distances to the nearest background voxel).
    Without foreground all values are 1, without background -1.
    """
    outside = label == 0
    neighbors = [F.max_pool3d(outside[:, None].float(), k, 1, [n // 2 for n in k]) for k in CROSS]
    surface = ~outside & (torch.stack(neighbors).amax(0)[:, 0] > 0)
    distance = distance_to(surface)
    return normalized(distance * outside) - normalized(distance * ~outside)


def normalized(distance: Tensor) -> Tensor:
    """Divide distances (N, X, Y, Z) by the maximum of each patch, if it is above 0."""
    return distance / distance.amax((1, 2, 3), keepdim=True).clamp(min=1)  # no distance lies between 0 and 1


def distance_to(seeds: Tensor) -> Tensor:
    """Exact Euclidean distance in voxels to the nearest True in each patch: boolean (N, X, Y, Z) -> float32.

    Works axis by axis with the least sum of squares along each line (Saito and Toriwaki 1994), on any device. If a
    patch has no True, all its voxels get the same distance, larger than any in a patch.
    """
    squared = torch.where(seeds, 0.0, float(sum(n**2 for n in seeds.shape[1:])))
    for axis in (1, 2, 3):
        lines = squared.movedim(axis, 0).contiguous()  # (n, N, ., .)
        place = torch.arange(len(lines), device=seeds.device).view(-1, 1, 1, 1)
        squared = torch.stack([(lines + (place - i).square()).amin(0) for i in range(len(lines))], axis)
    return squared.sqrt()
