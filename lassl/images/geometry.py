"""Volumes: arrays with axes (x, y, z) that keep their place in the patient."""

from dataclasses import dataclass
from typing import Any

import numpy as np

TOLERANCE = 1e-3  # mm and cosines: what the rounding of a file's header may be
Array = np.ndarray[tuple[int, int, int], np.dtype[Any]]  # axes x, y, z
Triple = tuple[int, int, int]  # voxels along x, y, z
Box = tuple[slice, slice, slice]  # along x, y, z


@dataclass(frozen=True)
class Geometry:
    """Where voxels lie: size of a voxel, centre of voxel (0, 0, 0), and the axes' direction cosines, row by row."""

    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)
    origin_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Volume:
    """An array (X, Y, Z) and its geometry."""

    array: Array
    geometry: Geometry = Geometry()


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
