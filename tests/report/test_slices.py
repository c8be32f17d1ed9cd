"""Slices: which are shown, their pictures, and the outlines of masks."""

import base64

import numpy as np
import SimpleITK as sitk

from lassl.report.slices import box_around, chosen_slices, outline, picture


def test_a_box_holds_all_masks_with_a_margin_and_stays_in_the_volume():
    first, second = np.zeros((2, 60, 50, 9), bool)
    first[20, 30, 3] = True
    second[25, 45, 8] = True
    assert box_around([first, second]) == (slice(8, 38), slice(18, 50), slice(2, 9))


def test_all_slices_are_shown_or_every_so_many():
    assert chosen_slices(slice(2, 9), 7) == [2, 3, 4, 5, 6, 7, 8]
    assert chosen_slices(slice(2, 9), 6) == [2, 4, 6, 8]


def test_a_picture_has_x_to_the_right_and_y_downwards(tmp_path):
    plane = np.zeros((24, 16))
    plane[16:, :8] = 2.0
    uri = picture(plane, 0, 1)
    kind, content = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    (tmp_path / "a.jpg").write_bytes(base64.b64decode(content))
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.jpg")))
    assert found.shape == (16, 24)
    assert found[:8, 16:].min() > 245 and found[8:].max() < 10 and found[:, :16].max() < 10


def test_an_outline_is_the_border_of_the_mask_in_unbroken_runs():
    mask = np.array([[1, 0, 0], [1, 1, 0]], bool)  # [x, y]
    assert outline(mask) == "M0,0h2M0,1h1M1,2h1M0,0v1M1,1v1M2,0v2"
    assert outline(np.zeros((2, 3), bool)) == ""
