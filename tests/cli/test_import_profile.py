"""The profile of an imported cohort: settings that fit its scans, and its text."""

import math

import pytest
import yaml

from lassl.cli.import_profile import MOST, Fit, counts, fit, profile_text
from lassl.cli.import_scans import Scan
from lassl.images.geometry import Geometry, Triple, directions


def scan(size: Triple, box: Triple | None, spacing_mm=(1.0, 1.0, 1.0), code: str = "LPS") -> Scan:
    return Scan(size, Geometry(spacing_mm, direction=directions(code)), box)


def test_scans_as_the_challenges_get_the_settings_of_compact():
    atria = scan((576, 576, 88), (112, 112, 80), (0.625,) * 3)
    assert fit([atria] * 3, [atria]) == Fit(pool=2, size=(64, 64, 48), margin=(10, 19))
    assert counts(80, 0) == {"few": (16, 64), "more": (32, 48), "fewest": (8, 72)}  # as in conf/config.yaml


@pytest.mark.parametrize(
    ("size", "box", "spacing", "expected"),
    [
        ((320, 320, 110), (72, 66, 58), (1.25, 1.25, 1.37), Fit(1, (64, 64, 64), (6, 13))),  # left atria
        ((160, 200, 165), (70, 38, 32), (1, 1, 1), Fit(1, (80, 48, 32), (3, 6))),  # both hippocampi in a brain
        ((35, 51, 35), (20, 44, 22), (1, 1, 1), Fit(1, (32, 48, 32), (3, 6))),  # one, in a scan made for it
        ((512, 512, 450), (280, 240, 200), (0.77, 0.77, 1.0), Fit(2, (64, 64, 64), (13, 26))),  # livers
        ((232, 256, 10), (90, 80, 9), (1.5, 1.5, 8.0), Fit(1, (96, 80, 16), (2, 3))),  # hearts in thick slices
        ((512, 512, 20), (300, 300, 18), (0.7, 0.7, 5.0), Fit(1, (96, 96, 32), (3, 6))),  # not pooled along z
    ],
)
def test_patches_cover_the_labels_as_far_as_a_cpu_can(size, box, spacing, expected):
    found = fit([scan(size, box, spacing), scan(size, None, spacing)], [])
    assert found == expected
    assert math.prod(found.size) <= MOST and not any(n % 16 for n in found.size)
    assert found.min_size == tuple(found.pool * n for n in found.size)


def test_only_scans_to_train_on_have_a_say_in_sizes():
    small, large = scan((90, 90, 90), (40, 40, 40)), scan((90, 90, 90), (80, 80, 80))
    assert fit([small, small, large], [large] * 9) == fit([small] * 3, []) == Fit(1, (48, 48, 48), (5, 10))


def test_spacings_that_differ_are_brought_to_the_median_of_those_to_train_on():
    fine, coarse = scan((100, 100, 100), (80, 60, 40)), scan((50, 50, 50), (40, 30, 20), (2, 2, 2))
    found = fit([fine, coarse, coarse], [fine])
    assert found == Fit(1, (48, 32, 32), (3, 6), spacing_mm=(2, 2, 2))
    assert fit([coarse, coarse], [fine]).spacing_mm == (2, 2, 2)  # a test case alone is enough
    nearly = scan((50, 50, 50), (40, 30, 20), (2.1, 2, 1.9))
    assert fit([coarse, nearly], []).spacing_mm is None


def test_orientations_that_differ_are_turned_to_the_most_frequent_of_those_to_train_on():
    usual = scan((100, 80, 60), (80, 60, 40), (1, 2, 3), "RAS")
    turned = scan((60, 100, 80), (40, 80, 60), (3, 1, 2), "SLP")  # the same axes in another order
    found = fit([usual, turned, usual], [turned] * 5)
    assert found == Fit(1, (80, 64, 48), (5, 10), orientation="RAS")


def test_counts_leave_unlabeled_cases_to_every_row():
    assert counts(16, 10) == {"few": (4, 22), "more": (7, 19), "fewest": (2, 24)}
    assert counts(1, 1) == {"few": (1, 1), "more": (1, 1), "fewest": (1, 1)}
    assert counts(2, 0) == {"few": (1, 1), "more": (1, 1), "fewest": (1, 1)}


def test_the_text_has_spacing_and_orientation_only_where_scans_differ():
    structures = {"left_atrium": (1,), "Vorhöfe": (2, 3)}
    plain = yaml.safe_load(profile_text("heart", "Task02", structures, Fit(1, (64, 48, 32), (3, 6)), 16, 10))
    assert plain["data"] == {
        "cohort": "heart", "folder": "data/raw/heart", "split": "splits/heart.csv",
        "structures": {"left_atrium": [1], "Vorhöfe": [2, 3]},
        "crop": "label", "crop_z": True, "min_size": [64, 48, 32], "margin": [3, 6],
    }  # fmt: skip
    assert plain["evaluate"] == {"stride": [32, 24, 16]} and "compute" not in plain
    assert plain["labels"]["few"] == {"labeled": 4, "unlabeled": 22} and plain["labels"]["all"] == 16
    mixed = profile_text(
        "heart", "Task\n02", structures, Fit(1, (32, 32, 32), (3, 6), (1.25, 1.25, 1.37), "LPS"), 16, 10
    )
    assert yaml.safe_load(mixed)["data"] == plain["data"] | {
        "spacing_mm": [1.25, 1.25, 1.37], "orientation": "LPS", "min_size": [32, 32, 32]
    }  # fmt: skip
    assert yaml.safe_load(mixed)["compute"] == {"precision": "fp32"}
