"""Scans that are there twice, however they are written, and labels of two scans."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from lassl.data.compare import COPY, SAME, Fingerprint, fingerprint, label_sha256, same_labels, same_scans
from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.grids import turned

SIZE = (40, 36, 24)
PLACE = Geometry((0.7, 0.8, 1.5), (-30.0, 8.5, 1.25), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))


def scan(seed: int) -> Volume:
    """Smooth noise, as different scans are; in the middle all of them are bright."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SIZE), 3)
    ramps = np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZE), indexing="ij")
    bright = np.exp(-2 * np.square(ramps).sum(0))
    return Volume((400 + 4000 * noise + 300 * bright).astype(np.float32), PLACE)


def correlation(one: Volume, other: Volume) -> float:
    first, second = fingerprint(one), fingerprint(other)
    assert first is not None and second is not None
    return float(np.abs((first * second).sum(1)).max())


WAYS: dict[str, Callable[[Array], Array]] = {
    "the same": lambda a: a,
    "int32": lambda a: a.astype(np.int32),
    "uint8": lambda a: np.clip(a / 8 + 60, 0, 255).astype(np.uint8),
    "float64": lambda a: a.astype(np.float64),
    "rescaled": lambda a: (a - a.mean()) / a.std(),
    "tiny": lambda a: a * np.float32(1e-30),
    "inverted": lambda a: 4000 - a,
    "flipped": lambda a: np.flip(a, (0, 2)),
    "swapped": lambda a: a.transpose(2, 0, 1),
    "of half the size": lambda a: a.reshape(20, 2, 18, 2, 12, 2).mean((1, 3, 5)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_scan_is_known_again_however_it_is_written(way: Callable[[Array], Array]) -> None:
    assert correlation(scan(0), Volume(way(scan(0).array), PLACE)) > SAME


@pytest.mark.parametrize("code", ["LPS", "RAI", "SAL"])
def test_a_scan_with_noise_is_known_again_with_axes_that_its_header_tells(code: str) -> None:
    noise = np.random.default_rng(9).normal(0, 50, SIZE).astype(np.float32)
    assert correlation(scan(0), turned(Volume(scan(0).array + noise, PLACE), code)) > SAME


def test_different_scans_differ_even_if_the_same_padding_surrounds_them() -> None:
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZE), indexing="ij")
    for padding in (None, -2000, -32768):
        first, second = scan(1), scan(2)
        for volume in (first, second):
            if padding is not None:
                volume.array[np.hypot(x, y) > 1] = padding
        assert correlation(first, second) < 0.95
    first, second = scan(1), scan(2)
    first.array[5, 5, 5] = second.array[5, 5, 5] = 1e9
    assert correlation(first, second) < 0.95


def test_a_scan_without_contrast_is_compared_with_none() -> None:
    assert fingerprint(Volume(np.full(SIZE, 7, np.int16), PLACE)) is None


def test_scans_smaller_than_the_copy_are_compared_too() -> None:
    small = [Volume(np.random.default_rng(seed).random((7, 6, 5)), PLACE) for seed in (0, 1)]
    assert correlation(small[0], small[0]) > 0.999 and correlation(*small) < 0.9


def prints(count: int) -> dict[str, Fingerprint]:
    vectors = np.random.default_rng(0).standard_normal((count, 2, 4096)).astype(np.float32)
    return {f"{i}": vector / np.linalg.norm(vector, axis=1, keepdims=True) for i, vector in enumerate(vectors)}


def test_each_case_that_is_there_before_is_named_once_with_the_first_one() -> None:
    found = prints(2500)
    found["2400"] = found["7"] = found["3"]
    found["1500"] = np.stack([found["20"][0], found["1500"][1]])  # the same in one of the two ways
    assert [(first, case) for first, case, _ in same_scans(found, {})] == [("3", "7"), ("20", "1500"), ("3", "2400")]
    assert list(same_scans({}, {})) == []


def test_thousands_of_scans_are_compared_in_seconds() -> None:
    found = prints(2000)
    start = time.process_time()
    assert list(same_scans(found, {})) == []
    assert time.process_time() - start < 20  # 2 seconds and a good deal of patience; pair by pair it was minutes


def test_a_label_is_known_again_in_another_format_scale_and_with_other_axes() -> None:
    mask = (scan(0).array > 500).astype(np.uint8)
    digest = label_sha256(Volume(mask, PLACE))
    assert label_sha256(turned(Volume(mask, PLACE), "SAL")) == digest
    other = mask.copy()
    other[0, 0, 0] ^= 1
    hashes = {"A": digest, "B": label_sha256(Volume(other, PLACE)), "C": digest, "D": digest}
    assert list(same_labels(hashes)) == [("A", "C"), ("A", "D")]


def test_two_scans_of_one_patient_are_two_and_a_copy_is_one() -> None:
    noise = np.random.default_rng(9).normal(0, 50, SIZE).astype(np.float32)
    volumes = {"a": scan(0), "again": Volume(scan(0).array + noise, PLACE), "copy": Volume(scan(0).array * 2, PLACE)}
    prints = {name: found for name, volume in volumes.items() if (found := fingerprint(volume)) is not None}
    assert SAME < correlation(volumes["a"], volumes["again"]) < COPY < correlation(volumes["a"], volumes["copy"])
    assert [case for _, case, _ in same_scans(prints, {})] == ["again", "copy"]
    one = dict.fromkeys(volumes, "patient 1")
    assert [(first, case) for first, case, _ in same_scans(prints, one)] == [("a", "copy")]
    assert [case for _, case, _ in same_scans(prints, {"a": "patient 1", "again": "patient 2"})] == ["again", "copy"]
