"""Scores against medpy on the full volume, hand-checked cases, and failures."""

import io
import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
from medpy.metric import binary

from lassl.evaluation.metrics import score
from lassl.evaluation.scores import DISTANCES, summarize
from lassl.evaluation.summary import diagonal, excluded
from lassl.plumbing.errors import LasslError

SIZE = (14, 12, 9)
CUBE = (0.625, 0.625, 0.625)


def box(*slices):
    mask = np.zeros(SIZE, dtype=bool)
    mask[slices] = True
    return mask


def blobs(seed):
    """Several random parts, some cut by the border."""
    noise = np.random.default_rng(seed).standard_normal(SIZE)
    return scipy.ndimage.gaussian_filter(noise, 1.2) > 0.12


MASKS = {
    "inside": box(slice(4, 8), slice(3, 6), slice(2, 6)),
    "at the near corner": box(slice(0, 3), slice(0, 4), slice(0, 2)),
    "at the far corner": box(slice(11, 14), slice(9, 12), slice(7, 9)),
    "from border to border": box(slice(None), slice(5, 8), slice(3, 5)),
    "everything": np.ones(SIZE, dtype=bool),
    "one voxel": box(6, 5, 4),
    "one voxel in the corner": box(13, 0, 8),
    "thin plate": box(slice(2, 12), slice(1, 10), 4),
    "several parts": blobs(0),
    "other parts": blobs(1),
}


@pytest.mark.parametrize("predicted", MASKS)
@pytest.mark.parametrize("true", MASKS)
def test_the_scores_equal_those_of_medpy_on_the_full_volume(predicted, true):
    prediction, reference = MASKS[predicted], MASKS[true]
    result = score(prediction, reference, CUBE)
    assert result.dice_percent == 100 * binary.dc(prediction, reference)
    assert result.jaccard_percent == 100 * binary.jc(prediction, reference)
    assert result.asd_voxel == pytest.approx(binary.asd(prediction, reference), rel=1e-12)
    assert result.hd95_voxel == pytest.approx(binary.hd95(prediction, reference), rel=1e-12)
    assert not result.failed


def random_mask(kind, size, rng):
    """Mask of one kind; parts and boxes may touch the border."""
    if kind == "parts":
        noise = scipy.ndimage.gaussian_filter(rng.standard_normal(size), 1)
        return noise > np.quantile(noise, rng.uniform(0.5, 0.95))
    low = np.array([rng.integers(n) for n in size])
    high = np.array([rng.integers(a, n) for a, n in zip(low, size, strict=True)])
    flat = {"plate": 1, "line": 2, "voxel": 3}.get(kind, 0)
    axes = rng.permutation(3)
    high[axes[:flat]] = low[axes[:flat]]
    low[axes[flat:]] *= kind == "border box"
    if kind == "far line":
        low, high = np.array(size) - 1, np.array(size) - 1
        low[axes[0]] = 0
    mask = np.zeros(size, dtype=bool)
    mask[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
    return mask


KINDS = ("plate", "line", "voxel", "box", "border box", "far line", "parts")


@pytest.mark.parametrize("seed", range(200))
def test_random_pairs_score_as_with_medpy_in_voxels_and_in_mm(seed):
    rng = np.random.default_rng(seed)
    size = rng.choice(np.arange(3, 16), 3, replace=False)
    # every pair of kinds comes with both, equal spacing and unequal
    spacing = (float(rng.uniform(0.3, 3)),) * 3 if seed % 2 else tuple(rng.uniform(0.3, 3, 3).tolist())
    prediction, reference = (random_mask(KINDS[k % 7], size, rng) for k in (seed, seed // 7))
    result = asdict(score(prediction, reference, spacing))
    assert result["dice_percent"] == 100 * binary.dc(prediction, reference)
    assert result["jaccard_percent"] == 100 * binary.jc(prediction, reference)
    for unit, sampling in (("voxel", None), ("mm", spacing)):
        for measure in (binary.asd, binary.assd, binary.hd95):
            expected = measure(prediction, reference, voxelspacing=sampling)
            assert result[f"{measure.__name__}_{unit}"] == pytest.approx(expected, rel=0, abs=1e-6)


def test_the_average_distance_goes_from_prediction_to_reference_only():
    reference = box(slice(2, 4), 3, 4) | box(9, 3, 4)
    prediction = box(slice(2, 4), 3, 4)
    assert score(prediction, reference, CUBE).asd_voxel == 0
    # the other way: voxel 9 is 6 voxels from 3, and 2 and 3 are at 0
    assert score(reference, prediction, CUBE).asd_voxel == pytest.approx(2.0)


def test_an_outlier_weighs_more_on_the_larger_percentile_than_on_that_of_all():
    reference = box(slice(2, 4), 3, 4) | box(9, 3, 4)
    prediction = box(slice(2, 4), 3, 4)
    for result in (score(prediction, reference, CUBE), score(reference, prediction, CUBE)):
        # distances 0, 0 one way and 0, 0, 6 the other: rank 0.95 x 2 of three, 0.95 x 4 of all five
        assert result.hd95_max_voxel == pytest.approx(0.9 * 6)
        assert result.hd95_voxel == pytest.approx(0.8 * 6)
        assert result.hd95_max_mm == pytest.approx(0.9 * 6 * 0.625)
        # the mean over all surface voxels, not that of the two directions' means (which is 1)
        assert result.assd_voxel == pytest.approx(6 / 5)
        assert result.assd_mm == pytest.approx(6 / 5 * 0.625)


def test_the_nearest_voxel_in_mm_may_not_be_the_nearest_in_voxels():
    prediction, reference = box(6, 5, 4), box(8, 5, 4) | box(6, 6, 4)
    result = score(prediction, reference, (0.75, 3.0, 1.0))
    assert result.asd_voxel == pytest.approx(1)  # along y, 3 mm away
    assert result.asd_mm == pytest.approx(1.5)  # along x, two voxels away
    assert result.hd95_max_voxel == pytest.approx(1 + 0.95)  # 2 and 1, from the reference
    assert result.hd95_max_mm == pytest.approx(1.5 + 0.95 * 1.5)  # 1.5 and 3


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((1.0, 1.0, 1.0), 200 / 3),  # the neighbors are at exactly 1 mm, the third voxel at 3 mm
        ((1.1, 1.1, 1.1), 0),
        ((1.0, 0.3, 2.0), 200 / 3),
        ((1.1, 0.3, 0.9), 0),
        ((0.33, 0.33, 0.33), 100),
        ((0.34, 0.33, 0.33), 200 / 3),
    ],
)
def test_the_surface_dice_counts_voxels_of_both_surfaces_within_1_mm(spacing, expected):
    prediction, reference = box(6, 5, 4), box(7, 5, 4) | box(9, 5, 4)
    assert score(prediction, reference, spacing).surface_dice_1mm_percent == pytest.approx(expected)
    assert score(reference, prediction, spacing).surface_dice_1mm_percent == pytest.approx(expected)
    assert score(reference, reference, spacing).surface_dice_1mm_percent == 100


def test_a_distance_of_1_mm_is_within_1_mm_in_spite_of_rounding():
    prediction, reference = box(2, 5, 4), box(0, 5, 4) | box(12, 5, 4)
    spacing = (0.1, 0.2, 0.2)
    assert 12 * 0.1 - 2 * 0.1 > 1
    assert score(prediction, reference, spacing).surface_dice_1mm_percent == 100


def test_the_surface_dice_leaves_out_what_is_inside():
    cube, shifted = box(slice(2, 5), slice(2, 5), slice(2, 5)), box(slice(3, 6), slice(2, 5), slice(2, 5))
    # at 2 mm a voxel, only what is on both surfaces counts: of 26 voxels each, the two rings of 8
    assert score(shifted, cube, (2.0, 2.0, 2.0)).surface_dice_1mm_percent == pytest.approx(100 * 16 / 26)


@pytest.mark.parametrize(("length", "expected"), [(5, 25), (4, 0), (3, -25), (0, -100)])
def test_the_volume_error_is_negative_where_the_prediction_is_too_small(length, expected):
    result = score(box(slice(9, 9 + length), 5, 4), box(slice(2, 6), 5, 4), CUBE)
    assert result.volume_error_percent == expected


def test_the_diagonal_is_that_of_the_whole_volume_with_a_surface_or_without():
    one, empty = np.zeros((2, 3, 6), dtype=bool), np.zeros((2, 3, 6), dtype=bool)
    one[1, 1, 2] = True
    for prediction in (one, empty):
        result = score(prediction, one, (3.0, 4.0, 2.0))
        assert result.diagonal_voxel == pytest.approx(7)
        assert result.diagonal_mm == pytest.approx(18)  # of 6, 12 and 12 mm


def test_hand_checked_scores_of_a_shifted_bar():
    prediction, reference = box(slice(2, 6), 3, 4), box(slice(4, 8), 3, 4)
    result = score(prediction, reference, CUBE)
    assert result.dice_percent == pytest.approx(50)
    assert result.jaccard_percent == pytest.approx(100 / 3)
    assert result.asd_voxel == pytest.approx((2 + 1) / 4)
    # distances 2, 1, 0, 0 one way and 0, 0, 1, 2 the other: rank 0.95 x 7 is between the two last, both 2
    assert result.hd95_voxel == pytest.approx(2)


def test_an_empty_prediction_is_a_failure_without_distances():
    result = score(np.zeros(SIZE, dtype=bool), MASKS["inside"], CUBE)
    assert result.failed
    assert (result.dice_percent, result.jaccard_percent, result.surface_dice_1mm_percent) == (0, 0, 0)
    assert tuple(name for name, value in asdict(result).items() if math.isnan(value)) == DISTANCES
    assert len(DISTANCES) == 8


def test_an_empty_reference_is_an_error():
    with pytest.raises(LasslError, match=r"\(14, 12, 9\) is empty"):
        score(MASKS["inside"], np.zeros(SIZE, dtype=bool), CUBE)


def test_masks_of_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(14, 12, 9\).*\(14, 12, 1\)"):
        score(MASKS["inside"], MASKS["inside"][:, :, 4:5], CUBE)


@pytest.mark.parametrize(
    "spacing", [(1.0, 1.0), (1.0,) * 4, (1.0, 0.0, 1.0), (1.0, 1.0, -1.0), (math.nan, 1.0, 1.0), (1.0, math.inf, 1.0)]
)
def test_a_spacing_that_is_not_three_positive_numbers_is_refused(spacing):
    with pytest.raises(ValueError, match=r"spacing is \(.*three positive, finite numbers"):
        score(MASKS["inside"], MASKS["inside"], spacing)


def frame(*masks):
    """Scores of the masks against the one inside, as read back from a CSV file."""
    rows = [{"case": str(n)} | asdict(score(mask, MASKS["inside"], CUBE)) for n, mask in enumerate(masks)]
    return pd.read_csv(io.StringIO(pd.DataFrame(rows).to_csv(index=False)))


def test_a_failure_lowers_the_mean_dice_and_leaves_the_distances():
    empty, shifted = np.zeros(SIZE, dtype=bool), np.roll(MASKS["inside"], 1, axis=0)
    one = score(shifted, MASKS["inside"], CUBE)
    summary = summarize(frame(shifted, empty, shifted))
    assert summary == {
        "dice": pytest.approx(one.dice_percent * 2 / 3),
        "jaccard": pytest.approx(one.jaccard_percent * 2 / 3),
        "asd": pytest.approx(one.asd_voxel),
        "hd95": pytest.approx(one.hd95_voxel),
        "failed": 1,
    }


def test_a_run_that_failed_everywhere_has_no_distances():
    empty = np.zeros(SIZE, dtype=bool)
    assert summarize(frame(empty, empty)) == {"dice": 0, "jaccard": 0, "asd": None, "hd95": None, "failed": 2}


def two_runs():
    """Cases of two runs, numbered alike, with one failure each in volumes of unequal size and spacing."""
    one = np.ones((2, 3, 6), dtype=bool)
    large = score(np.zeros(SIZE, dtype=bool), MASKS["inside"], CUBE)
    small = score(np.zeros_like(one), one, (3.0, 4.0, 2.0))
    fine = score(np.roll(MASKS["inside"], 1, axis=0), MASKS["inside"], CUBE)
    return pd.concat([pd.DataFrame([asdict(s) for s in run]) for run in ((fine, large), (small, fine))])


def test_failures_count_with_the_diagonal_of_their_own_volume():
    cases = two_runs()
    before = cases.copy()
    filled = diagonal(cases)
    pd.testing.assert_frame_equal(cases, before)
    for name in DISTANCES:
        large, small = (math.sqrt(421), 7) if name.endswith("voxel") else (math.sqrt(421) * 0.625, 18)
        own = cases[name].iloc[0]
        assert filled[name].tolist() == pytest.approx([own, large, small, own])
    others = [name for name in cases if name not in DISTANCES]
    pd.testing.assert_frame_equal(filled[others], cases[others])


def test_excluded_failures_have_no_distances_whatever_they_had():
    cases = two_runs()
    pd.testing.assert_frame_equal(excluded(diagonal(cases)), cases)


def test_a_run_that_failed_everywhere_has_the_diagonal_as_its_mean_distance():
    empty = np.zeros(SIZE, dtype=bool)
    summary = summarize(diagonal(frame(empty, empty)))
    assert summary["asd"] == summary["hd95"] == pytest.approx(math.sqrt(421))
    assert (summary["dice"], summary["failed"]) == (0, 2)
