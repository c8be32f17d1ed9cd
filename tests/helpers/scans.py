"""Scans: one whose every voxel has its own value, in an oblique place, and tiny cases in the challenge's layout."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import write_volume
from lassl.seeds import stream

SIZE = (7, 6, 5)
TURN = (0.0, 0.0, -1.0, 0.6, -0.8, 0.0, -0.8, -0.6, 0.0)  # oblique, axes swapped and flipped, right-handed
PLACE = Geometry((0.625, 0.7, 2.5), (-10.5, 20.25, 3.0), TURN)
IMAGES = (".nrrd", ".nii.gz", ".nii", ".mha", ".mhd")


def numbered(dtype: str = "int16") -> Volume:
    """Every voxel has its own value."""
    return Volume(np.arange(210).reshape(SIZE).astype(dtype), PLACE)


def same_place(found: Geometry, expected: Geometry) -> None:
    """Assert that two grids lie in one place."""
    for name, value in vars(expected).items():
        np.testing.assert_allclose(getattr(found, name), value, atol=1e-5)


def write_case(folder: Path, case: str, size: tuple[int, int, int] = (20, 18, 17), structures: int = 1) -> None:
    """Write a scan in the challenge's layout: noise, and a bright ball as the atrium.

    Several structures are slices of a larger ball along z, each brighter than the one below; their label has the values
    1, 2, ...
    """
    chance = stream(0, "test case", case)
    center = [n / 2 + chance.uniform(-1, 1) for n in size]
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    inside = np.square(grid - center).sum(-1) < chance.uniform(16, 30) * (2 if structures > 1 else 1)
    image = (40 + 30 * chance.random(size) + 120 * inside).astype(np.uint8)
    geometry = Geometry(spacing_mm=(0.625, 0.625, 0.625))
    label = (255 * inside).astype(np.uint8)
    if structures > 1:
        below = np.digitize(grid[..., 2], size[2] / 2 + 12 / structures * (np.arange(1, structures) - structures / 2))
        label = (inside * (1 + below)).astype(np.uint8)
        image = (30 * chance.random(size) + 225 * label / structures).astype(np.uint8)
    write_volume(folder / case / "lgemri.nrrd", Volume(image, geometry))
    write_volume(folder / case / "laendo.nrrd", Volume(label, geometry))


def locked_folder(monkeypatch: pytest.MonkeyPatch, locked: Path) -> None:
    """Let the system refuse to list a folder, as it does not to root, under whom tests may run."""
    scandir = os.scandir

    def refuse(folder: Any = ".") -> Any:
        if not isinstance(folder, int) and Path(folder) == locked:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
