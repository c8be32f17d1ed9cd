"""Volumes: arrays with axes (x, y, z) that keep their place in the patient."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-3  # mm, and direction cosines: what a header with three decimals rounds off at most
Array = np.ndarray[tuple[int, int, int], np.dtype[Any]]  # axes x, y, z
Triple = tuple[int, int, int]  # voxels along x, y, z
Box = tuple[slice, slice, slice]  # along x, y, z


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a volume lie in the patient.

    Size of a voxel along x, y, z (mm), centre of voxel (0, 0, 0) (mm towards left, back, head), and the direction
    cosines of the axes as a 3 x 3 matrix row by row, whose columns are the axes.
    """

    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)
    origin_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def steps_mm(self) -> NDArray[np.float64]:
        """The way from a voxel to the next one along each axis in mm, (3, 3): a column for each axis."""
        steps: NDArray[np.float64] = np.reshape(self.direction, (3, 3)) * self.spacing_mm
        return steps


@dataclass(frozen=True)
class Volume:
    """An array (X, Y, Z) and its geometry."""

    array: Array
    geometry: Geometry = Geometry()


def volume_ml(mask: Volume) -> float:
    """The volume of a mask in mL; its axes are at right angles."""
    return float(np.count_nonzero(mask.array) * np.prod(mask.geometry.spacing_mm) / 1000)


def difference(one: Geometry, other: Geometry) -> str:
    """Name the first property in which two geometries differ by more than TOLERANCE: spacing_mm, origin_mm, direction.

    An empty text if they are the same.
    """
    for name, values in vars(one).items():
        if not np.allclose(values, getattr(other, name), rtol=0, atol=TOLERANCE):
            return name
    return ""


def grid_mismatch(mask: Volume, other: Volume, name: str, placed: bool = True) -> str:
    """Tell in which size or place a mask is not on the grid of another volume, which is called `name` there.

    An empty text if it is. Where the volumes are not `placed` in the patient, only their sizes are compared.
    """
    if mask.array.shape != other.array.shape:
        return f"size {mask.array.shape}, but its {name} has {other.array.shape}"
    if placed and (key := difference(mask.geometry, other.geometry)):
        values, expected = (tuple(getattr(volume.geometry, key)) for volume in (mask, other))
        return f"{key} {values}, but its {name} has {expected}"
    return ""


def orientation(geometry: Geometry) -> str:
    """Three letters, one for each axis: the side of the patient that it runs towards most nearly, such as LPS."""
    import SimpleITK as sitk  # not needed for the types alone

    code: str = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(geometry.direction)
    return code


def directions(code: str) -> tuple[float, ...]:
    """Give the direction cosines, row by row, of axes that run exactly towards the sides that `code` names."""
    import SimpleITK as sitk

    cosines: tuple[float, ...] = sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(code)
    return cosines
