"""Where in a scan a structure is, by a rough mask of it."""

import numpy as np
from scipy import ndimage

from lassl.images.components import LARGE
from lassl.images.geometry import Array, Box, Geometry, Triple, Volume
from lassl.predict.settings import Crop

ALONE = 0.1  # least share of the largest component where a structure has one part; LARGE where it has several


def in_the_middle(mask: Array, geometry: Geometry, parts: int = 1) -> Array:
    """Keep connected components of a mask (X, Y, Z): of the large ones those whose centres are nearest to the middle.

    They are `parts` at most, as many as a structure has: one, or a left and a right one. A network that learned from
    crops takes other organs for its structure where it has never seen them, and they may well be the largest; scans are
    made around what is looked for. An empty mask stays empty.
    """
    components, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if not count:
        return mask
    sizes = np.bincount(components.ravel())[1:]
    large = 1 + np.flatnonzero(sizes >= (ALONE if parts == 1 else LARGE) * sizes.max())
    centers = np.array(ndimage.center_of_mass(mask, components, large))  # (n, 3), voxels
    middle = (np.array(mask.shape) - 1) / 2
    distances_mm = np.linalg.norm((centers - middle) * geometry.spacing_mm, axis=1)
    kept: Array = np.isin(components, large[np.argsort(distances_mm, kind="stable")[:parts]])
    return kept


def box_around(mask: Array, geometry: Geometry, crop: Crop) -> Box | None:
    """Crop a volume around a mask (X, Y, Z) as in training around a label; None for an empty mask."""
    if not mask.any():
        return None
    box = []
    sides = zip(ndimage.find_objects(mask.astype(np.uint8))[0], mask.shape, geometry.spacing_mm, strict=True)
    for (side, n, mm), least_mm, margin_mm in zip(sides, crop.least_mm, crop.margins_mm, strict=True):
        more = round(max(least_mm / mm - (side.stop - side.start), 0) / 2 + margin_mm / mm)
        box.append(slice(max(side.start - more, 0), min(side.stop + more, n)))
    x, y, z = box
    return x, y, z if crop.along_z else slice(0, mask.shape[2])


def expected_box(scan: Volume, crop: Crop) -> Triple:
    """Guess the voxels of `box_around` before anything was found: the least size with its margins."""
    sides = zip(scan.size, scan.geometry.spacing_mm, crop.least_mm, crop.margins_mm, strict=True)
    x, y, z = (min(n, max(round((least + 2 * margin) / mm), 1)) for n, mm, least, margin in sides)
    return x, y, z if crop.along_z else scan.size[2]
