"""Volumes as the page's script reads them: scans as sheets of small pictures, masks as lengths of runs."""

import base64
import tempfile
from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from lassl.images.geometry import Array, Box

MARGIN = 12  # voxels around the masks
QUALITY = 32  # of a JPEG picture; of 20 real scans they take half of the page
SMOOTH = 15  # of a picture without fine structure


def box_around(masks: Sequence[Array]) -> Box:
    """The part of a volume that holds all masks (X, Y, Z), one of them not empty, with a margin."""
    voxels = np.argwhere(np.logical_or.reduce(masks))
    low = np.maximum(voxels.min(0) - MARGIN, 0)
    high = np.minimum(voxels.max(0) + MARGIN + 1, masks[0].shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def step_of(box: Box, most: float) -> int:
    """Every how many voxels a box is shown along each axis, so that at most so many are."""
    sizes = [side.stop - side.start for side in box]
    step = 1
    while np.prod([float(ceil(size / step)) for size in sizes]) > most:
        step += 1
    return step


def thinned(box: Box, step: int) -> Box:
    """The box with every so many voxels alone."""
    x, y, z = (slice(side.start, side.stop, step) for side in box)
    return x, y, z


def gray_range(volume: Array) -> tuple[float, float]:
    """The values shown black and white: the first and the 99.5th percentile."""
    low, high = np.percentile(volume, (1, 99.5))
    return float(low), float(high)


def sheet(volume: Array, low: float, high: float, quality: int = QUALITY) -> dict[str, Any]:
    """Slices across z of a volume (X, Y, Z) side by side in one gray JPEG; `low` is black, `high` white.

    A slice has x to the right and y downwards; the sheet has `columns` of them, filled row by row.
    """
    gray = np.clip((volume.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1) * 255
    width, height, slices = volume.shape
    columns = ceil(sqrt(slices))
    tiles = np.zeros((columns * ceil(slices / columns), height, width), np.uint8)
    tiles[:slices] = gray.round().transpose(2, 1, 0)
    picture = tiles.reshape(-1, columns, height, width).swapaxes(1, 2).reshape(-1, columns * width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.jpg"
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(path), useCompression=True, compressionLevel=quality)
        jpeg = base64.b64encode(path.read_bytes()).decode()
    return {"size": list(volume.shape), "columns": columns, "jpeg": f"data:image/jpeg;base64,{jpeg}"}


def runs(mask: Array) -> list[int]:
    """Lengths of the runs of a mask (X, Y, Z), x fastest and z slowest: outside, inside, outside, ...; 0 for none."""
    flat = np.concatenate([[False], np.asarray(mask, bool).ravel(order="F")])
    places = np.flatnonzero(np.diff(flat))
    lengths: list[int] = np.diff(np.concatenate([[0], places, [mask.size]])).tolist()
    return lengths
