"""`lassl.score`: how well a mask agrees with a reference, by every measure of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from lassl.evaluation import metrics
from lassl.images.geometry import Geometry, Volume, grid_mismatch
from lassl.images.structures import classes_in, listed_values, values_of_no_mask
from lassl.images.volumes import read_volume, volume_of
from lassl.plumbing.errors import LasslError

Mask = str | Path | sitk.Image | NDArray[Any]
Named = Mapping[str, int | Sequence[int]]  # values of structures by their names


@overload
def score(
    mask: Mask, reference: Mask, *, spacing_mm: Sequence[float] | None = None, structures: None = None
) -> dict[str, float]: ...


@overload
def score(
    mask: Mask, reference: Mask, *, spacing_mm: Sequence[float] | None = None, structures: Named
) -> pd.DataFrame: ...


def score(
    mask: Mask, reference: Mask, *, spacing_mm: Sequence[float] | None = None, structures: Named | None = None
) -> dict[str, float] | pd.DataFrame:
    """Compare a mask with a reference on the same grid; gives the fields of a case's scores by name.

    With `structures`, such as {"hippocampus": (47, 48), "thalamus": 59}, mask and reference have several values; it
    gives a table with a row for each structure. One that the reference lacks has no scores, all are NaN; other values
    are background.

    Each is a path (NRRD, NIfTI, MetaImage), an image of SimpleITK, or an array (X, Y, Z), whose values are 0 and 1, or
    0 and 255. Two arrays need `spacing_mm`, the size of a voxel along x, y, z; one array beside an image has the
    image's. SimpleITK.GetArrayFromImage gives (Z, Y, X): transpose it.

    dice_percent, jaccard_percent and surface_dice_1mm_percent lie in [0, 100]. Distances of the surfaces are given in
    voxels and in mm: asd is the mean from mask to reference, assd that of both directions, hd95 the 95th percentile of
    both directions together, hd95_max the larger one of the two. volume_error_percent is negative for a mask that is
    too small. `failed` tells that the mask is empty; its distances are NaN. Raises LasslError for grids that differ,
    other values, and an empty reference.
    """
    named = None if structures is None else _checked(structures)
    images = [each for each in (mask, reference) if not isinstance(each, np.ndarray)]
    if not images and spacing_mm is None:
        raise LasslError("spacing_mm: missing; two arrays do not tell the size of a voxel: give it in mm along x, y, z")
    if images and spacing_mm is not None:
        raise LasslError("spacing_mm: found beside an image, which has its own; leave it away")
    one, other = _read(mask, "mask", named), _read(reference, "reference", named)
    if mismatch := grid_mismatch(one, other, "reference", placed=len(images) == 2):
        raise LasslError(f"{_name(mask, 'mask')}: {mismatch}; compare masks on the same grid")
    if spacing_mm is not None:
        spacing = tuple(spacing_mm)
    else:  # the reference's, unless it is an array
        spacing = (one if isinstance(reference, np.ndarray) else other).geometry.spacing_mm
    if len(spacing) != 3 or not all(0 < side < np.inf for side in spacing):
        raise LasslError(f"spacing_mm: found {spacing}, expected three positive numbers, mm along x, y, z")
    if named is None:
        return asdict(metrics.score(one.array > 0, other.array > 0, spacing))
    rows = metrics.score_structures(one.array, other.array, named, spacing)
    scores = {name: asdict(row) for name, row in rows.items()}
    return pd.DataFrame.from_dict(scores, orient="index").rename_axis("structure")


def _checked(structures: Named) -> dict[str, tuple[int, ...]]:
    """The values of each structure. Raises LasslError for a value that is not a whole number from 1, or in two."""
    named = {name: (v,) if isinstance(v, int | np.integer) else tuple(v) for name, v in structures.items()}
    values = [value for each in named.values() for value in each]
    if not all(named.values()) or not all(isinstance(v, int | np.integer) and v > 0 for v in values):
        raise LasslError(f"structures: found {dict(structures)}, expected whole numbers from 1 for each name")
    if not values or len(values) > len(set(values)):
        raise LasslError(f"structures: found {dict(structures)}, expected each value once; give it to one structure")
    return named


def _read(mask: Mask, word: str, structures: Mapping[str, tuple[int, ...]] | None = None) -> Volume:
    """Read a mask: of 0 and another value, or the classes of several structures. Raises LasslError."""
    name = _name(mask, word)
    if isinstance(mask, str | Path):
        volume = read_volume(Path(mask))
    elif isinstance(mask, sitk.Image):
        volume = volume_of(Path(name), mask)
    elif isinstance(mask, np.ndarray):
        if mask.ndim != 3:
            raise LasslError(f"{name}: found an array of shape {mask.shape}, expected three axes, (X, Y, Z)")
        volume = Volume(mask, Geometry())
    else:
        found = type(mask).__name__
        raise LasslError(f"{name}: found a {found}, expected a path, an image of SimpleITK or a NumPy array")
    if structures is not None:
        classes = classes_in(volume.array, structures)
        if volume.array.any() and not classes.any():
            expected = sorted(value for values in structures.values() for value in values)
            raise LasslError(f"{name}: values {listed_values(volume.array)}, none of {expected}; correct structures")
        return Volume(classes, volume.geometry)
    if values := values_of_no_mask(volume.array):
        advice = "give one structure's mask, or name the values of several in structures"
        raise LasslError(f"{name}: values {values}, expected 0 and 1 or 0 and 255; {advice}")
    return volume


def _name(mask: Mask, word: str) -> str:
    return str(mask) if isinstance(mask, str | Path) else word
