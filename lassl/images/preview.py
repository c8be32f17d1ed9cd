"""A small picture of a scan with a mask: three planes through the mask, oriented as radiologists expect."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from lassl.images.geometry import Array, Box, Volume
from lassl.images.grids import turned
from lassl.images.names import utf8
from lassl.images.structures import classes_in
from lassl.plumbing.files import whole

Picture = NDArray[np.uint8]  # (rows, columns, 3)
WIDTH, GAP = 900, 6  # pixels: of the picture at most, and between its planes
AROUND_MM = 40.0  # shown around the mask, so that one sees where in the body it is
LETTER = (255, 255, 255)
# colors of outlines, of the first structure, of the next one, ..., and again; they differ for all kinds of sight
LINES = ((255, 90, 40), (86, 180, 233), (240, 228, 66), (0, 200, 140), (230, 130, 200), (0, 114, 178))
LINE = LINES[0]
# axis to the right and axis downwards or upwards (an image's rows go down; feet are at its bottom), and the sides
PLANES = ((0, 1, False, "RLAP"), (0, 2, True, "RLSI"), (1, 2, True, "APSI"))  # left, right, top, bottom
FONT = {  # 5 x 7 pixels, a row is a binary number
    "R": (30, 17, 17, 30, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "I": (14, 4, 4, 4, 4, 4, 14),
}


def write_preview(path: Path, scan: Volume, mask: Array, values: Sequence[int] = (1,)) -> None:
    """Write a PNG of an axial, a coronal and a sagittal plane of a scan, with the outline of a mask (X, Y, Z).

    Each structure, which has one of `values` in the mask, has an outline of its own color, see LINES. The planes go
    through the middle of the mask, or of the scan where the mask is empty. The file is whole or absent.
    """
    with whole(path) as temporary:
        image = sitk.GetImageFromArray(preview(scan, mask, values), isVector=True)
        sitk.WriteImage(image, utf8(temporary), useCompression=True)


def preview(scan: Volume, mask: Array, values: Sequence[int] = (1,)) -> Picture:
    """Draw what `write_preview` writes: patient's right at the left, front and head at the top; sizes are in mm.

    Axes of an oblique scan are named by the sides that they run towards most nearly.
    """
    inside = turned(Volume(classes_in(mask, {str(value): (value,) for value in values}), scan.geometry), "LPS")
    gray = turned(scan, "LPS")
    spacing = gray.geometry.spacing_mm
    voxels = np.argwhere(inside.array)
    middle = np.percentile(voxels, 50, axis=0, method="lower") if len(voxels) else np.array(gray.array.shape) // 2
    box = _around(voxels, gray)
    shown = gray.array[box].astype(np.float32)
    low, high = np.percentile(shown, (1, 99.5))
    shown = np.clip((shown - low) / max(high - low, 1e-9), 0, 1)
    parts = [(inside.array[box] == index).astype(np.float32) for index in range(1, 1 + len(values))]
    sides_mm = np.multiply(shown.shape, spacing)
    pixel_mm = sum(sides_mm[across] for across, *_ in PLANES) / (WIDTH - 2 * GAP - len(PLANES))
    drawn = []
    for across, along, upwards, letters in PLANES:
        (axis,) = {0, 1, 2} - {across, along}
        at = int(middle[axis]) - box[axis].start
        size = [max(int(sides_mm[a] / pixel_mm), 1) for a in (along, across)]
        planes = (np.take(array, at, axis).T for array in (shown, *parts))
        pixels, *filled = (_resized(plane[::-1] if upwards else plane, size) for plane in planes)
        drawn.append(_plane(pixels, [each > 0.5 for each in filled], letters))
    return _beside(drawn)


def _around(voxels: NDArray[np.int64], scan: Volume) -> Box:
    """The box of a mask's voxels (N, 3) with AROUND_MM on all sides; the whole scan if there are none."""
    if not len(voxels):
        x, y, z = (slice(0, n) for n in scan.array.shape)
        return x, y, z
    more = np.ceil(AROUND_MM / np.array(scan.geometry.spacing_mm)).astype(int)
    low, high = np.maximum(voxels.min(0) - more, 0), np.minimum(voxels.max(0) + 1 + more, scan.array.shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def _resized(plane: NDArray[np.float32], size: Sequence[int]) -> NDArray[np.float32]:
    """Interpolate a plane (rows, columns) linearly at `size` pixels that cover it."""
    places = [(np.arange(n) + 0.5) * old / n - 0.5 for n, old in zip(size, plane.shape, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    result: NDArray[np.float32] = ndimage.map_coordinates(plane, grid, order=1, mode="nearest")
    return result


def _plane(gray: NDArray[np.float32], structures: Sequence[NDArray[np.bool_]], letters: str) -> Picture:
    """Draw a plane in [0, 1], the outline of each structure, and the sides: left, right, top, bottom."""
    picture = np.repeat((255 * gray).round().astype(np.uint8)[:, :, None], 3, axis=2)
    for inside, color in zip(structures, cycle(LINES)):
        picture[inside & ~ndimage.binary_erosion(inside, iterations=2)] = color
    glyphs = [_glyph(letter) for letter in letters]
    (high, wide, _), (rows, columns) = glyphs[0].shape, gray.shape
    if rows < 3 * high or columns < 3 * wide:
        return picture  # too small for letters
    row, column = (rows - high) // 2, (columns - wide) // 2
    corners = ((row, 0), (row, columns - wide), (0, column), (rows - high, column))
    for glyph, (top, left) in zip(glyphs, corners, strict=True):
        picture[top : top + high, left : left + wide] = glyph
    return picture


def _glyph(letter: str) -> Picture:
    """Draw a letter on black, twice as large as in FONT."""
    bits = np.array([[row >> (4 - n) & 1 for n in range(5)] for row in FONT[letter]], bool)
    filled = np.kron(np.pad(bits, 1), np.ones((2, 2), bool))
    return np.where(filled[:, :, None], LETTER, (0, 0, 0)).astype(np.uint8)


def _beside(pictures: Sequence[Picture]) -> Picture:
    """Put pictures beside each other, in the middle of the height, on black."""
    height = max(len(picture) for picture in pictures)
    columns = sum(picture.shape[1] for picture in pictures) + GAP * (len(pictures) - 1)
    canvas = np.zeros((height, columns, 3), np.uint8)
    start = 0
    for picture in pictures:
        top = (height - len(picture)) // 2
        canvas[top : top + len(picture), start : start + picture.shape[1]] = picture
        start += picture.shape[1] + GAP
    return canvas
