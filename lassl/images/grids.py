"""Grids of voxels: another orientation or spacing for a volume, and the way back onto the scan's own grid."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

from lassl.images.geometry import TOLERANCE, Array, Geometry, Triple, Volume, difference, directions, orientation
from lassl.images.volumes import from_image, to_image

ALIKE = 0.1  # spacings that differ by a smaller share count as one: the sizes of patients' organs differ by more


@dataclass(frozen=True)
class Grid:
    """The voxels of a volume without their values: how many along x, y, z, and where they lie."""

    size: Triple
    geometry: Geometry


def turned(volume: Volume, code: str) -> Volume:
    """Swap and flip axes until they run towards the sides that `code` names, such as LPS.

    Voxels keep their values and their places in the patient.
    """
    if orientation(volume.geometry) == code:
        return volume
    return from_image(sitk.DICOMOrient(to_image(volume), code))


def fits(geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> bool:
    """Whether axes run towards the sides that `code` names, with a spacing, so that nothing is to be resampled."""
    return not difference(geometry, Geometry(spacing_mm, geometry.origin_mm, directions(code)))


def unlike(places: Mapping[str, Geometry]) -> Iterator[str]:
    """Compare the geometries of cases, by name, with that of the first case.

    Gives a line if the spacing of some differs by a share of ALIKE or more, and one if their orientation differs.
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
                f"{len(cases)} of {len(places)} cases have another {what} than the first: case {cases[0]} has "
                f"{described(places[cases[0]])}, case {first} {described(expected)}"
            )


def described(geometry: Geometry) -> str:
    """Write spacing and orientation, such as 1 x 1.2 x 3 mm (LPS)."""
    return f"{' x '.join(f'{side:.4g}' for side in geometry.spacing_mm)} mm ({orientation(geometry)})"


def covering(size: Triple, geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> Grid:
    """Find the smallest grid with a spacing, and axes towards the sides that `code` names, that covers a volume.

    The volume has `size` voxels; the grid is centred on it.
    """
    axes = np.reshape(directions(code), (3, 3))  # columns: the axes
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in size))))  # (8, 3), in voxels
    places = (corners @ geometry.steps_mm.T + geometry.origin_mm) @ axes  # (8, 3), mm along the wanted axes
    low, high = places.min(0), places.max(0)
    # an extent that exceeds whole voxels by rounding alone takes no further voxel
    x, y, z = (max(math.ceil(e / s - TOLERANCE), 1) for e, s in zip(high - low, spacing_mm, strict=True))
    first = (low + high) / 2 - (np.array((x, y, z)) - 1) / 2 * spacing_mm
    return Grid((x, y, z), Geometry(tuple(spacing_mm), tuple((axes @ first).tolist()), directions(code)))


def resampled(volume: Volume, grid: Grid) -> Array:
    """Linear interpolation of a volume at the voxels of a grid, float32; 0 outside of the volume."""
    place = grid.geometry
    image = sitk.Resample(
        to_image(volume), grid.size, sitk.Transform(), sitk.sitkLinear,
        place.origin_mm, place.spacing_mm, place.direction, 0.0, sitk.sitkFloat32,
    )  # fmt: skip
    return from_image(image).array


def shifted(geometry: Geometry, start: Triple) -> Geometry:
    """Give the geometry of a piece of a volume that begins at voxel `start`."""
    origin = geometry.origin_mm + geometry.steps_mm @ np.array(start, float)
    return Geometry(geometry.spacing_mm, tuple(origin.tolist()), geometry.direction)
