"""Grids of voxels: another orientation or spacing for a volume, and the way back onto the scan's own grid."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

from lassl.images.geometry import TOLERANCE, Array, Geometry, Triple, Volume, directions, orientation

ALIKE = 0.1  # spacings closer than this share of themselves are one to a network: patients differ by more


@dataclass(frozen=True)
class Grid:
    """Voxels along x, y, z, and where they lie."""

    size: Triple
    geometry: Geometry


def to_image(volume: Volume) -> sitk.Image:
    """Copy a volume into an image of SimpleITK."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))  # SimpleITK wants (z, y, x)
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_mm)
    image.SetDirection(volume.geometry.direction)
    return image


def from_image(image: sitk.Image) -> Volume:
    """Copy a 3-D image of SimpleITK into a volume."""
    array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    return Volume(array, Geometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection()))


def turned(volume: Volume, code: str) -> Volume:
    """Swap and flip axes until they run towards the sides that `code` names; no voxel changes its value or place."""
    if orientation(volume.geometry) == code:
        return volume
    return from_image(sitk.DICOMOrient(to_image(volume), code))


def fits(geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> bool:
    """Tell whether a geometry has the axes and the spacing that are wanted, so that nothing is to be resampled."""
    found, expected = [*geometry.direction, *geometry.spacing_mm], [*directions(code), *spacing_mm]
    return np.allclose(found, expected, rtol=0, atol=TOLERANCE)


def unlike(places: Mapping[str, Geometry]) -> Iterator[str]:
    """Give a line for spacing (beyond ALIKE) and one for orientation, where cases differ from the first one in it."""
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
    """Tell spacing and orientation, such as 1 x 1.2 x 3 mm (LPS)."""
    return f"{' x '.join(f'{side:.4g}' for side in geometry.spacing_mm)} mm ({orientation(geometry)})"


def covering(size: Triple, geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> Grid:
    """Find the smallest grid with axes after `code` and a spacing, centred on a volume, that covers all of it."""
    axes = np.reshape(directions(code), (3, 3))  # columns: the axes
    own = np.reshape(geometry.direction, (3, 3)) * geometry.spacing_mm
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in size))))  # (8, 3), in voxels
    places = (corners @ own.T + geometry.origin_mm) @ axes  # (8, 3), mm along the wanted axes
    low, high = places.min(0), places.max(0)
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
    """Give the geometry of the part of a volume that begins at voxel `start`."""
    own = np.reshape(geometry.direction, (3, 3)) * geometry.spacing_mm
    origin = geometry.origin_mm + own @ np.array(start, float)
    return Geometry(geometry.spacing_mm, tuple(origin.tolist()), geometry.direction)
