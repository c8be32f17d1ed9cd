"""Axial slices as small pictures, and masks in them as outlines."""

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from lassl.images.geometry import Array, Box

Plane = NDArray[np.generic]  # (X, Y)
MARGIN = 12  # voxels around the masks in a slice
SLICES = 40  # at most, of a case
QUALITY = 70  # of a JPEG picture


def box_around(masks: Sequence[Array]) -> Box:
    """The part of a volume that holds all masks (X, Y, Z), one of them not empty, with a margin in the slice."""
    voxels = np.argwhere(np.logical_or.reduce(masks))
    margin = np.array([MARGIN, MARGIN, 1])
    low = np.maximum(voxels.min(0) - margin, 0)
    high = np.minimum(voxels.max(0) + margin + 1, masks[0].shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def chosen_slices(z: slice, most: int = SLICES) -> list[int]:
    """Numbers of the slices to show: all, or every second, third, ... of them."""
    return list(range(z.start, z.stop, -(-(z.stop - z.start) // most)))


def gray_range(volume: Array) -> tuple[float, float]:
    """The values shown black and white: the first and the 99.5th percentile."""
    low, high = np.percentile(volume, (1, 99.5))
    return float(low), float(high)


def picture(plane: Plane, low: float, high: float) -> str:
    """A slice (X, Y) as the data URI of a gray JPEG, x to the right and y downwards; `low` is black, `high` white."""
    gray = np.clip((plane.T.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1) * 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.jpg"
        image = sitk.GetImageFromArray(gray.round().astype(np.uint8))
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=QUALITY)
        return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


def outline(mask: Plane) -> str:
    """The borders between inside and outside of a mask (X, Y) as an SVG path, in voxels from the slice's corner."""
    inside = np.pad(mask.astype(np.int8), 1)
    across = np.diff(inside, axis=1)[1:-1] != 0  # [x, y]: a border above voxel (x, y), along x
    along = np.diff(inside, axis=0)[:, 1:-1] != 0  # [x, y]: a border to the left of voxel (x, y), along y
    lines = [f"M{start},{y}h{length}" for y, start, length in _runs(across.T)]
    return "".join(lines + [f"M{x},{start}v{length}" for x, start, length in _runs(along)])


def _runs(borders: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Unbroken runs in each line of (lines, places): line, start, length."""
    edges = np.diff(np.pad(borders, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return [(int(n), int(a), int(b - a)) for (n, a), (_, b) in zip(starts, ends, strict=True)]
