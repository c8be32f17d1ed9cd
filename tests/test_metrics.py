"""Scores against medpy on the full volume, hand-checked cases, and failures."""

import io
import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
from medpy.metric import binary

from lassl.errors import LasslError
from lassl.metrics import score, summarize

SIZE = (14, 12, 9)


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
    result = score(prediction, reference)
    assert result.dice_percent == 100 * binary.dc(prediction, reference)
    assert result.jaccard_percent == 100 * binary.jc(prediction, reference)
    assert result.asd_voxel == pytest.approx(binary.asd(prediction, reference), rel=1e-12)
    assert result.hd95_voxel == pytest.approx(binary.hd95(prediction, reference), rel=1e-12)
    assert not result.failed


def test_the_average_distance_goes_from_prediction_to_reference_only():
    reference = box(slice(2, 4), 3, 4) | box(9, 3, 4)
    prediction = box(slice(2, 4), 3, 4)
    assert score(prediction, reference).asd_voxel == 0
    # the other way: voxel 9 is 6 voxels from 3, and 2 and 3 are at 0
    assert score(reference, prediction).asd_voxel == pytest.approx(2.0)


def test_hand_checked_scores_of_a_shifted_bar():
    prediction, reference = box(slice(2, 6), 3, 4), box(slice(4, 8), 3, 4)
    result = score(prediction, reference)
    assert result.dice_percent == pytest.approx(50)
    assert result.jaccard_percent == pytest.approx(100 / 3)
    assert result.asd_voxel == pytest.approx((2 + 1) / 4)
    # distances 2, 1, 0, 0 one way and 0, 0, 1, 2 the other: rank 0.95 x 7 is between the two last, both 2
    assert result.hd95_voxel == pytest.approx(2)


def test_an_empty_prediction_is_a_failure_without_distances():
    result = score(np.zeros(SIZE, dtype=bool), MASKS["inside"])
    assert result.failed
    assert (result.dice_percent, result.jaccard_percent) == (0, 0)
    assert math.isnan(result.asd_voxel)
    assert math.isnan(result.hd95_voxel)


def test_an_empty_reference_is_an_error():
    with pytest.raises(LasslError, match=r"\(14, 12, 9\) is empty"):
        score(MASKS["inside"], np.zeros(SIZE, dtype=bool))


def test_masks_of_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(14, 12, 9\).*\(14, 12, 1\)"):
        score(MASKS["inside"], MASKS["inside"][:, :, 4:5])


def frame(*masks):
    """Scores of the masks against the one inside, as read back from a CSV file."""
    rows = [{"case": str(n)} | asdict(score(mask, MASKS["inside"])) for n, mask in enumerate(masks)]
    return pd.read_csv(io.StringIO(pd.DataFrame(rows).to_csv(index=False)))


def test_a_failure_lowers_the_mean_dice_and_leaves_the_distances():
    empty, shifted = np.zeros(SIZE, dtype=bool), np.roll(MASKS["inside"], 1, axis=0)
    one = score(shifted, MASKS["inside"])
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
