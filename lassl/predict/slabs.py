"""Slabs: pieces of a scan along an axis, as long as the memory allows."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lassl.evaluation.inference import window_starts
from lassl.images.geometry import Geometry, Triple, Volume
from lassl.images.grids import covering
from lassl.plumbing.errors import LasslError
from lassl.predict.task import Task


@dataclass(frozen=True)
class Slab:
    """A piece along an axis, in voxels of the scan: what the networks see of it, and what is kept."""

    seen: slice
    kept: slice


def plan(scan: Volume, task: Task) -> tuple[int, list[Slab]]:
    """Choose the axis (the longest in mm) to cut a scan along, and its slabs: as few as the memory allows.

    The scan's axes are those of the training. Slabs begin a multiple of the window's stride apart and overlap by one
    window; what is kept of them is cut in the middle of the overlap. Raises LasslError when not even one window fits.
    """
    spacing, settings = scan.geometry.spacing_mm, task.settings
    axis = int(np.argmax(np.multiply(scan.size, spacing)))
    n = scan.size[axis]
    pooled = settings.pool * settings.spacing_mm[axis] / spacing[axis]  # a pooled voxel of the training, in the scan's
    overlap, step = math.ceil(settings.window[axis] * pooled), max(round(settings.stride[axis] * pooled), 1)
    bound = task.memory_gib * 2**30
    lengths = [n, *range(overlap + (n - overlap) // step * step, overlap, -step)]
    length = next((length for length in lengths if needed_bytes(scan, axis, length, task) <= bound), None)
    if length is None:
        least = needed_bytes(scan, axis, min(lengths), task) / 2**30
        raise LasslError(
            f"a scan of {scan.size} voxels takes at least {least:.2g} GiB, with one window at a time; found a "
            f"bound of {task.memory_gib:g} GiB: raise --memory (memory_gib)"
        )
    advance = max(length - overlap, 1)
    starts = range(0, n - length + advance, advance)
    cuts = [0, *(start + overlap // 2 for start in starts[1:]), n]
    seen = [slice(start, min(start + length, n)) for start in starts]
    return axis, [Slab(s, slice(a, b)) for s, (a, b) in zip(seen, pairwise(cuts), strict=True)]


def needed_bytes(scan: Volume, axis: int, length: int, task: Task) -> int:
    """Estimate, from above, what the arrays of a scan take at most when slabs are `length` voxels long along an axis.

    What is held throughout, for each voxel of the scan: twice its number format (as read, and turned), and 4 bytes for
    each map; a structure has one, and until its entropy is known another one for the passes. To this comes the
    hungriest of the stages below, in bytes for each voxel of the whole scan, of a slab, and of the slab in the grid of
    the training (`native`, which is as large as the window at least). What networks use inside is not counted: it
    depends on window and batch alone. Further channels are held throughout, too, and of a slab as float32.
    """
    x, y, z = (length if a == axis else n for a, n in enumerate(scan.size))
    settings, networks, structures = task.settings, len(task.networks), task.structures
    pool, maps = settings.pool, structures * len(task.maps)
    grid = covering((x, y, z), scan.geometry, settings.orientation, settings.spacing_mm)
    whole, slab = math.prod(scan.size), x * y * z
    clipped = 8 * whole if settings.clip else 0  # in float32, as made and as kept
    native = math.prod(max(n, pool * w) for n, w in zip(grid.size, settings.window, strict=True))
    further = 8 * (task.channels - 1) * (slab + native)
    probabilities = structures * (networks + (networks > 1))  # of several networks also their mean
    pooled = 8 + 8 * structures * (1 + networks)
    stages = (
        12 * whole + clipped,  # the standard deviation, in float64; in the end a map, turned back, is copied as often
        (36 + 8 * structures) * whole * (structures > 1),  # all maps turned back; the class of each voxel
        (max(24, 12 * (1 + structures)) + 4 * maps) * slab + clipped,  # normalization, in float64; entropy
        12 * (slab + native),  # resampling
        4 * slab + (4 * probabilities + 8 * maps - 4 * structures) * native + pooled * native // pool**3,  # windows
        (8 + 4 * maps) * (slab + native),  # the way back
    )
    return held_bytes(scan, task) + further + max(stages)


def held_bytes(scan: Volume, task: Task) -> int:
    """Estimate what is held of a scan throughout: it, as read and turned, and its maps."""
    return 2 * scan.array.nbytes + 4 * math.prod(scan.size) * sum(task.maps.values())


def windows_to_see(size: Triple, geometry: Geometry, task: Task) -> int:
    """Count the windows that the networks of a task see of a volume of `size` voxels, in all passes."""
    settings = task.settings
    grid = covering(size, geometry, settings.orientation, settings.spacing_mm)
    pooled = (math.ceil(n / settings.pool) for n in grid.size)
    sides = zip(pooled, settings.window, settings.stride, strict=True)
    windows = math.prod(len(window_starts(max(n, window), window, stride)) for n, window, stride in sides)
    return windows * len(task.networks) * (1 + task.passes)
