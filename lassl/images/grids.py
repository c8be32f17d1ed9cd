"""Grids of voxels: changes the orientation or spacing of a volume, and maps back to the scan's own grid."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from lassl.images.geometry import (
    TOLERANCE,
    Array,
    Geometry,
    Triple,
    Volume,
    difference,
    directions,
    each_channel,
    orientation,
)
from lassl.images.volumes import from_image, to_image
from lassl.settings.values import AXIS

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
    place = volume.geometry

    def turn(channel: Array) -> Array:
        import SimpleITK as sitk  # here and below: a training needs no library of images

        nonlocal place
        oriented = from_image(sitk.DICOMOrient(to_image(Volume(channel, volume.geometry)), code))
        place = oriented.geometry
        return oriented.array

    return Volume(each_channel(volume.array, turn), place)


def fits(geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> bool:
    """Whether axes point to the sides named in `code` and the spacing matches, so that no resampling is needed."""
    return not difference(geometry, Geometry(spacing_mm, geometry.origin_mm, directions(code)))


def axes_of(geometry: Geometry, code: str) -> list[int]:
    """The axes of a geometry in the order of the sides, or their opposites, that `code` names."""
    own = [AXIS[side] for side in orientation(geometry)]
    return [own.index(AXIS[side]) for side in code]


def turned_grid(grid: Grid, code: str) -> Grid:
    """The grid of a volume after `turned`."""
    place, axes = grid.geometry, axes_of(grid.geometry, code)
    back = [letter not in orientation(place) for letter in code]
    signs = np.where(back, -1.0, 1.0)
    ends = np.zeros(3)
    for axis, flipped in zip(axes, back, strict=True):
        ends[axis] = (grid.size[axis] - 1) * flipped
    origin = place.origin_mm + place.steps_mm @ ends
    direction = np.reshape(place.direction, (3, 3))[:, axes] * signs
    x, y, z = (grid.size[axis] for axis in axes)
    spacing = tuple(place.spacing_mm[axis] for axis in axes)
    return Grid((x, y, z), Geometry(spacing, tuple(origin.tolist()), tuple(direction.ravel().tolist())))


def wanted(grid: Grid, code: str | None, spacing_mm: tuple[float, ...] | None) -> Grid | None:
    """Find the grid that a scan is brought to, None if its own is right: see Data in lassl/settings/sections.py.

    An orientation alone swaps and flips axes. A spacing alone changes the voxels along the scan's own axes. With both,
    axes point exactly to the sides of the patient, as in prediction.
    """
    own = grid.geometry
    if spacing_mm is None:
        return None if code in (None, orientation(own)) else turned_grid(grid, code or "")
    if code is not None:
        return None if fits(own, code, spacing_mm) else covering(grid.size, own, code, spacing_mm)
    alike = not difference(own, Geometry(spacing_mm, own.origin_mm, own.direction))
    return None if alike else _covering(grid.size, own, own.direction, spacing_mm)


def onto(volume: Volume, grid: Grid) -> Array:
    """The values of a volume at the voxels of a grid: exact where only axes are turned, else linear, float32."""
    code, own = orientation(grid.geometry), Grid(volume.size, volume.geometry)
    turn = turned_grid(own, code)
    if turn.size == grid.size and not difference(turn.geometry, grid.geometry):
        return turned(volume, code).array
    return resampled(volume, grid)


def classes_onto(classes: Volume, grid: Grid) -> Array:
    """Bring classes 0, 1, ... to the voxels of a grid, uint8: each voxel gets the class with the largest linear part.

    A structure wins over the background where both have the same part, so that one structure has all voxels with a part
    of at least one half. Turned axes alone change no value.
    """
    best = np.zeros(grid.size, np.float32)
    total, found = np.zeros_like(best), np.zeros(grid.size, np.uint8)
    for value in range(1, int(classes.array.max()) + 1):
        inside = classes.array == value
        if inside.any():
            part = onto(Volume(inside.astype(np.float32), classes.geometry), grid)
            found[part > best] = value
            total += part
            np.maximum(best, part, out=best)
    found[best < 1 - total] = 0
    return found


def usual(places: Sequence[Geometry]) -> tuple[str, tuple[float, ...]]:
    """The most frequent orientation of geometries, and the median of their spacings along its axes (mm)."""
    ((code, _),) = Counter(map(orientation, places)).most_common(1)
    spacings = [[place.spacing_mm[axis] for axis in axes_of(place, code)] for place in places]
    return code, tuple(np.median(spacings, 0).tolist())


def unlike(places: Mapping[str, Geometry]) -> Iterator[str]:
    """Compare the geometries of cases (name -> geometry) with that of the first case.

    Gives a line if some spacings differ by ALIKE or more, and one if some orientations differ, each with the setting
    that brings the cases to one grid.
    """
    first, *others = places
    expected = places[first]
    code, spacing_mm = usual(list(places.values()))
    odd = {
        "spacing": [c for c in others if not np.allclose(places[c].spacing_mm, expected.spacing_mm, ALIKE, 0)],
        "orientation": [c for c in others if orientation(places[c]) != orientation(expected)],
    }
    cures = {
        "spacing": f"data.spacing_mm=[{','.join(f'{side:.4g}' for side in spacing_mm)}] (the median)",
        "orientation": f"data.orientation={code} (the most frequent)",
    }
    for what, cases in odd.items():
        if cases:
            yield (
                f"{len(cases)} of {len(places)} cases differ in {what} from the first: case {cases[0]} has "
                f"{described(places[cases[0]])}, case {first} has {described(expected)}; networks learn in voxels, so "
                f"set {cures[what]}"
            )


def described(geometry: Geometry) -> str:
    """Write spacing and orientation, such as 1 x 1.2 x 3 mm (LPS)."""
    return f"{' x '.join(f'{side:.4g}' for side in geometry.spacing_mm)} mm ({orientation(geometry)})"


def covering(size: Triple, geometry: Geometry, code: str, spacing_mm: tuple[float, ...]) -> Grid:
    """Find the smallest grid that covers a volume, with a spacing and axes that point to the sides named in `code`.

    The volume has `size` voxels; the grid is centred on it.
    """
    return _covering(size, geometry, directions(code), spacing_mm)


def _covering(size: Triple, geometry: Geometry, direction: tuple[float, ...], spacing_mm: tuple[float, ...]) -> Grid:
    """As `covering`, with axes of these direction cosines."""
    axes = np.reshape(direction, (3, 3))  # columns: the axes
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in size))))  # (8, 3), in voxels
    places = (corners @ geometry.steps_mm.T + geometry.origin_mm) @ axes  # (8, 3), mm along the wanted axes
    low, high = places.min(0), places.max(0)
    # an extent that exceeds whole voxels only by rounding does not need another voxel
    x, y, z = (max(math.ceil(e / s - TOLERANCE), 1) for e, s in zip(high - low, spacing_mm, strict=True))
    first = (low + high) / 2 - (np.array((x, y, z)) - 1) / 2 * spacing_mm
    return Grid((x, y, z), Geometry(tuple(spacing_mm), tuple((axes @ first).tolist()), tuple(direction)))


def resampled(volume: Volume, grid: Grid) -> Array:
    """Linear interpolation of a volume at the voxels of a grid, float32; 0 outside the volume."""
    place = grid.geometry

    def resample(channel: Array) -> Array:
        import SimpleITK as sitk

        image = sitk.Resample(
            to_image(Volume(channel, volume.geometry)), grid.size, sitk.Transform(), sitk.sitkLinear,
            place.origin_mm, place.spacing_mm, place.direction, 0.0, sitk.sitkFloat32,
        )  # fmt: skip
        return from_image(image).array

    return each_channel(volume.array, resample)


def shifted(geometry: Geometry, start: Triple) -> Geometry:
    """The geometry of a part of a volume that begins at voxel `start`."""
    origin = geometry.origin_mm + geometry.steps_mm @ np.array(start, float)
    return Geometry(geometry.spacing_mm, tuple(origin.tolist()), geometry.direction)
