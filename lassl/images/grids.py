"""Grids of voxels: changes the orientation or spacing of a volume, and maps back to the scan's own grid."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

from lassl.images.geometry import TOLERANCE, Array, Geometry, Triple, Volume, difference, directions, orientation
from lassl.images.volumes import from_image, to_image

ALIKE = 0.1  # spacings with a smaller relative difference count as equal: the sizes of patients' organs differ more


@dataclass(frozen=True)
class Grid:
    """The voxels of a volume without their values: number along x, y, z, and place."""

    size: Triple
    geometry: Geometry


def turned(volume: Volume, code: str) -> Volume:
    """Swap and flip axes until they point to the sides named in `code`, such as LPS.

    Voxels keep their values and their places in the patient.
    """
    if orientation(volume.geometry) == code:
        return volume
    return from_image(sitk.DICOMOrient(to_image(volume), code))


def fits(geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> bool:
    """Whether axes point to the sides named in `code` and the spacing matches, so that no resampling is needed."""
    return not difference(geometry, Geometry(spacing_mm, geometry.origin_mm, directions(code)))


def unlike(places: Mapping[str, Geometry]) -> Iterator[str]:
    """Compare the geometries of cases (name -> geometry) with that of the first case.

    Gives a line if some spacings differ by ALIKE or more, and one if some orientations differ.
    """
    first, *others = places
    expected = places[first]
    odd = {
        "spacing": [c for c in others if not np.allclose(places[c].spacing_mm, expected.spacing_mm, ALIKE, 0)],
        "orientation": [c for c in others if orientation(places[c]) != orientation(expected)],
    }
    for what, cases in odd.items():
        if cases:
            yield (
                f"{len(cases)} of {len(places)} cases differ in {what} from the first: case {cases[0]} has "
                f"{described(places[cases[0]])}, case {first} has {described(expected)}"
            )


def described(geometry: Geometry) -> str:
    """Write spacing and orientation, such as 1 x 1.2 x 3 mm (LPS)."""
    return f"{' x '.join(f'{side:.4g}' for side in geometry.spacing_mm)} mm ({orientation(geometry)})"


def covering(size: Triple, geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> Grid:
    """Find the smallest grid that covers a volume, with a spacing and axes that point to the sides named in `code`.

    The volume has `size` voxels; the grid is centred on it.
    """
    axes = np.reshape(directions(code), (3, 3))  # columns: the axes
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in size))))  # (8, 3), in voxels
    places = (corners @ geometry.steps_mm.T + geometry.origin_mm) @ axes  # (8, 3), mm along the wanted axes
    low, high = places.min(0), places.max(0)
    # an extent that exceeds whole voxels only by rounding does not need another voxel
    x, y, z = (max(math.ceil(e / s - TOLERANCE), 1) for e, s in zip(high - low, spacing_mm, strict=True))
    first = (low + high) / 2 - (np.array((x, y, z)) - 1) / 2 * spacing_mm
    return Grid((x, y, z), Geometry(tuple(spacing_mm), tuple((axes @ first).tolist()), directions(code)))


def resampled(volume: Volume, grid: Grid) -> Array:
    """Linear interpolation of a volume at the voxels of a grid, float32; 0 outside the volume."""
    place = grid.geometry
    image = sitk.Resample(
        to_image(volume), grid.size, sitk.Transform(), sitk.sitkLinear,
        place.origin_mm, place.spacing_mm, place.direction, 0.0, sitk.sitkFloat32,
    )  # fmt: skip
    return from_image(image).array


def shifted(geometry: Geometry, start: Triple) -> Geometry:
    """The geometry of a part of a volume that begins at voxel `start`."""
    origin = geometry.origin_mm + geometry.steps_mm @ np.array(start, float)
    return Geometry(geometry.spacing_mm, tuple(origin.tolist()), geometry.direction)
