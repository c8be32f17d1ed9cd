"""Scores of a run: their summary, and how failures count in it."""

import io
import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from lassl.evaluation.metrics import score
from lassl.evaluation.scores import DISTANCES, summarize
from lassl.evaluation.summary import diagonal, excluded

SIZE = (14, 12, 9)
CUBE = (0.625, 0.625, 0.625)
INSIDE = np.zeros(SIZE, dtype=bool)
INSIDE[4:8, 3:6, 2:6] = True


def frame(*masks):
    """Scores of the masks against the one inside, as read back from a CSV file."""
    rows = [{"case": str(n)} | asdict(score(mask, INSIDE, CUBE)) for n, mask in enumerate(masks)]
    return pd.read_csv(io.StringIO(pd.DataFrame(rows).to_csv(index=False)))


def test_a_failure_lowers_the_mean_dice_and_leaves_the_distances():
    empty, shifted = np.zeros(SIZE, dtype=bool), np.roll(INSIDE, 1, axis=0)
    one = score(shifted, INSIDE, CUBE)
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
    large = score(np.zeros(SIZE, dtype=bool), INSIDE, CUBE)
    small = score(np.zeros_like(one), one, (3.0, 4.0, 2.0))
    fine = score(np.roll(INSIDE, 1, axis=0), INSIDE, CUBE)
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
