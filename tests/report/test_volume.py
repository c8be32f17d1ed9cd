"""Volumes on the page: the part that is shown, scans as sheets of slices, masks as lengths of runs."""

import base64

import numpy as np
import SimpleITK as sitk

from helpers.pages import unrolled
from lassl.report.volume import box_around, runs, sheet, step_of, thinned


def test_a_box_holds_all_masks_with_a_margin_and_stays_in_the_volume():
    first, second = np.zeros((2, 60, 50, 19), bool)
    first[20, 30, 13] = True
    second[25, 45, 18] = True
    assert box_around([first, second]) == (slice(8, 38), slice(18, 50), slice(1, 19))


def test_a_box_that_is_too_large_is_shown_with_every_second_or_third_voxel():
    box = (slice(0, 40), slice(10, 40), slice(3, 24))
    assert [step_of(box, most) for most in (40 * 30 * 21, 40 * 30 * 21 - 1, 20 * 15 * 11, 14 * 10 * 7)] == [1, 2, 2, 3]
    assert np.zeros((50, 50, 50))[thinned(box, 2)].shape == (20, 15, 11)


def test_a_sheet_has_slices_side_by_side_with_x_to_the_right_and_y_downwards(tmp_path):
    volume = np.zeros((24, 16, 3))
    volume[16:, :8, 1] = 2.0  # clipped to white
    volume[..., 2] = 0.5
    found = sheet(volume, 0, 1)
    kind, content = found["jpeg"].split(",")
    assert (found["size"], found["columns"], kind) == ([24, 16, 3], 2, "data:image/jpeg;base64")
    (tmp_path / "a.jpg").write_bytes(base64.b64decode(content))
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.jpg"))).astype(int)
    assert picture.shape == (32, 48)
    second = picture[:16, 24:]
    assert second[:8, 16:].min() > 240 and second[8:].max() < 15 and second[:, :16].max() < 15
    assert picture[:16, :24].max() < 15 and abs(picture[16:, :24] - 128).max() < 10 and picture[16:, 24:].max() < 15


def test_runs_begin_outside_and_go_along_x_first():
    mask = np.zeros((3, 2, 2), bool)
    mask[1:, 0, 0] = mask[0, 1, 0] = mask[2, 1, 1] = True
    assert runs(mask) == [1, 3, 7, 1]
    assert runs(np.zeros((2, 2, 2), bool)) == [8] and runs(np.ones((2, 2, 2), bool)) == [0, 8]


def test_a_mask_comes_back_from_its_runs():
    mask = np.random.default_rng(0).random((7, 5, 4)) > 0.6
    np.testing.assert_array_equal(unrolled(runs(mask), mask.shape), mask)
