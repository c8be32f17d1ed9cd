"""Volumes: arrays with axes (x, y, z) that keep their place in the patient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-3  # mm, and for direction cosines: the largest rounding error of a header with three decimals
Array = np.ndarray[tuple[int, int, int], np.dtype[Any]]  # axes x, y, z; of a scan of several channels C, x, y, z
Triple = tuple[int, int, int]  # voxels along x, y, z
Box = tuple[slice, slice, slice]  # along x, y, z


@dataclass(frozen=True)
class Geometry:
    """The place of a volume's voxels in the patient.

    Size of a voxel along x, y, z (mm), centre of voxel (0, 0, 0) (mm towards left, back, head), and the direction
    cosines of the axes as a 3 x 3 matrix, row by row, whose columns are the axes.
    """

    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)
    origin_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def steps_mm(self) -> NDArray[np.float64]:
        """The step in mm from one voxel to the next along each axis, (3, 3): a column per axis."""
        steps: NDArray[np.float64] = np.reshape(self.direction, (3, 3)) * self.spacing_mm
        return steps


@dataclass(frozen=True)
class Volume:
    """An array (X, Y, Z), or (C, X, Y, Z) of several channels, and its geometry."""

    array: Array
    geometry: Geometry = Geometry()

    @property
    def size(self) -> Triple:
        """The number of voxels along x, y, z."""
        return self.array.shape[-3:]


def channels_of(array: Array) -> Sequence[Array]:
    """The channels (X, Y, Z) of an array (C, X, Y, Z), or the only one (X, Y, Z)."""
    return [array] if array.ndim == 3 else list(array)


def each_channel(array: Array, change: Callable[[Array], Array]) -> Array:
    """Change an array (X, Y, Z), or each channel of (C, X, Y, Z), to one of the same size; one after the other."""
    if array.ndim == 3:
        return change(array)
    first, *others = channels_of(array)
    changed = change(first)
    result: Array = np.empty((len(array), *changed.shape), changed.dtype)
    result[0] = changed
    for index, channel in enumerate(others, 1):
        result[index] = change(channel)
    return result


def volume_ml(mask: Volume) -> float:
    """The volume of a mask in mL; its axes must be at right angles."""
    return float(np.count_nonzero(mask.array) * np.prod(mask.geometry.spacing_mm) / 1000)


def difference(one: Geometry, other: Geometry) -> str:
    """Name the first property in which two geometries differ by more than TOLERANCE: spacing_mm, origin_mm, direction.

    Returns an empty text if they are the same.
    """
    for name, values in vars(one).items():
        if not np.allclose(values, getattr(other, name), rtol=0, atol=TOLERANCE):
            return name
    return ""


def grid_mismatch(mask: Volume, other: Volume, name: str, placed: bool = True) -> str:
    """Describe how a mask differs in size or place from the grid of another volume, called `name`.

    Returns an empty text if it does not. If the volumes are not `placed` in the patient, only sizes are compared.
    """
    if mask.size != other.size:
        return f"found size {mask.size}, but its {name} has {other.size}"
    if placed and (key := difference(mask.geometry, other.geometry)):
        values, expected = (tuple(getattr(volume.geometry, key)) for volume in (mask, other))
        return f"found {key} {values}, but its {name} has {expected}"
    return ""


def orientation(geometry: Geometry) -> str:
    """Three letters such as LPS, one per axis: the side of the patient that the axis is closest to pointing at."""
    import SimpleITK as sitk  # not needed for the types alone

    code: str = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(geometry.direction)
    return code


def directions(code: str) -> tuple[float, ...]:
    """The direction cosines, row by row, of axes that point exactly to the sides named in `code`."""
    import SimpleITK as sitk

    cosines: tuple[float, ...] = sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(code)
    return cosines
