"""Intensities that spoil a normalization by mean and standard deviation, and those that only look odd."""

import numpy as np
import pytest

from lassl.images.geometry import Array
from lassl.images.intensities import standing_apart

SIZE = (24, 20, 16)


def tissue(low: float = 0, high: float = 1000, dtype: str = "int16") -> Array:
    return np.random.default_rng(0).uniform(low, high, SIZE).astype(dtype)


def outside() -> Array:
    """What lies outside of the cylinder that a scanner sees: a fifth of the voxels."""
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZE), indexing="ij")
    return np.hypot(x, y) > 1


@pytest.mark.parametrize(("low", "high", "padding"), [(0, 1000, -2000), (-1024, 1500, -32768), (5, 300, 32767)])
def test_padding_far_from_all_intensities_is_told_with_its_value(low, high, padding):
    image = tissue(low, high)
    image[outside()] = padding
    told = standing_apart(image)
    assert told.startswith(
        f"{outside().sum()} of {image.size} voxels are {padding}, the others {image[~outside()].min()}"
    )


def test_padding_of_most_of_a_scan_is_told_too():
    image = np.full((60, 60, 16), -2000, np.int16)
    image[:24, :20] = tissue()
    told = standing_apart(image)
    assert told.startswith(
        f"{image.size - tissue().size} of {image.size} voxels are -2000, the others {tissue().min()} "
    )


@pytest.mark.parametrize("value", [1e9, -1e9, 1e37])
def test_one_voxel_beyond_all_others_is_told(value):
    image = tissue(dtype="float32")
    image[3, 4, 5] = value
    assert standing_apart(image).startswith(f"1 of {image.size} voxels are {value:.6g}, the others ")


def test_a_background_of_zeros_a_bright_structure_and_a_single_bright_voxel_are_not_told():
    brain, organ, voxel = tissue(400, 1000), tissue(-100, -40), tissue()
    brain[outside()] = 0
    assert standing_apart(brain) == "" == standing_apart(brain * (~outside()).astype(np.int16))
    organ[8:14, 8:14, 6:10] += 150
    assert standing_apart(organ) == ""
    voxel[3, 4, 5] = 3000
    assert standing_apart(voxel) == ""
    two_values = np.where(outside(), 7, 900)
    assert standing_apart(two_values) == ""
    mostly_air = np.where(np.random.default_rng(1).random(SIZE) < 0.2, tissue(400, 1000), 0)
    assert standing_apart(mostly_air) == ""


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_intensities_without_a_gap_are_not_told_in_any_number_format(dtype):
    assert standing_apart(tissue(1, 250, dtype)) == ""
    assert standing_apart(np.arange(SIZE[0] * 20 * 16).reshape(SIZE).astype(dtype)) == ""
