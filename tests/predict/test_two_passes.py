"""Networks that learned from crops on larger scans: a first pass finds the structure, a second sees it alone."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import whole_scans
from helpers.trainings import predicting
from lassl.images.geometry import Geometry, Volume, directions
from lassl.images.grids import turned
from lassl.model.placement import Placement
from lassl.predict import slabs
from lassl.predict.locate import box_around, in_the_middle
from lassl.predict.segment import segment
from lassl.predict.settings import Crop
from lassl.predict.task import PROBABILITY, UNCERTAINTY, Task

CPU = Placement(torch.device("cpu"), torch.float32, False)
PLACE = Geometry((0.5, 1.0, 2.0), (3.0, -4.0, 5.0))
CROP = Crop(least_mm=(4.0, 8.0, 20.0), margins_mm=(2.0, 2.0, 6.0), along_z=False)
BODY = (slice(30, 38), slice(24, 30), slice(4, 7))  # of a scan of 64 x 64 x 12 voxels
BOX = (slice(26, 42), slice(21, 33), slice(0, 12))  # 4 voxels more along x; 8 instead of 6, and 2, along y


class Crops(nn.Module):
    """Foreground is what is bright, and all of a window in which nothing is: that was never seen in training."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        dark = (image.amax((1, 2, 3, 4), keepdim=True) < 1).float() * torch.ones_like(image)
        return torch.cat([torch.zeros_like(image), 20 * (image - 1) + 22 * dark], 1)


def scan() -> Volume:
    """Dark, with a bright body near the middle."""
    image = np.zeros((64, 64, 12), np.float32)
    image[BODY] = 2
    return Volume(image, PLACE)


def task(**changes: object) -> Task:
    """Windows of the size of the second pass's box."""
    needs = {"window": (16, 16, 16), "stride": (8, 8, 8), "spacing_mm": PLACE.spacing_mm, "crop": CROP}
    return Task({"n": Crops().eval()}, predicting(**(needs | changes)), CPU, normalized=True)


def test_what_a_first_pass_takes_for_the_structure_elsewhere_is_gone_after_the_second():
    whole = segment(scan(), task(crop=None))[PROBABILITY][0] > 0.5
    assert whole.mean() > 0.5  # windows without the body are taken for foreground
    found = segment(scan(), task())[PROBABILITY][0]
    expected = np.zeros((64, 64, 12), bool)
    expected[BODY] = True
    np.testing.assert_array_equal(found > 0.5, expected)
    outside = np.ones(found.shape, bool)
    outside[BOX] = False
    assert np.isnan(found[outside]).all() and found[BOX].all()


def test_the_second_pass_is_that_of_the_box_alone_and_intensities_are_those_of_the_whole_scan():
    volume = Volume(50 * scan().array + 100, PLACE)
    asked = Task(task().networks, task().settings, CPU)
    found = segment(volume, asked)[PROBABILITY][0][BOX]
    normalized = (volume.array - volume.array.mean()) / volume.array.std()
    alone = segment(Volume(normalized[BOX].astype(np.float32), PLACE), task(crop=None))
    np.testing.assert_allclose(found, alone[PROBABILITY][0], atol=1e-6)


def test_the_second_pass_has_the_memory_that_the_whole_scan_leaves(monkeypatch):
    bounds = []
    monkeypatch.setattr(slabs, "needed_bytes", lambda scan, axis, length, task: bounds.append(task.memory_gib) or 0)
    segment(scan(), task())
    held = 64 * 64 * 12 * (4 + 4 + 4)  # float32, twice, and one map
    assert bounds == [4, pytest.approx(4 - held / 2**30, abs=1e-9)]


def test_uncertainty_is_of_the_second_pass_and_nan_where_it_did_not_look():
    asked = Task(task().networks, task().settings, CPU, normalized=True, passes=2)
    found = segment(scan(), asked)[UNCERTAINTY][0]
    looked_at = np.isfinite(found)
    assert looked_at[BOX].all() and looked_at.sum() == found[BOX].size and found[BOX].max() > 0


def test_a_scan_that_is_a_crop_already_is_seen_as_a_whole():
    wide = (slice(24, 44), slice(19, 35), slice(0, 12))  # the box is 60 % of it
    crop = Volume(scan().array[wide], PLACE)
    assert 16 * 12 / (20 * 16) > 0.5
    found = segment(crop, task())[PROBABILITY][0]
    np.testing.assert_array_equal(found, segment(crop, task(crop=None))[PROBABILITY][0])
    assert (found > 0).all()


def test_where_nothing_is_found_the_first_pass_is_all():
    flat = Volume(np.ones((64, 64, 12), np.float32), PLACE)
    np.testing.assert_allclose(segment(flat, task())[PROBABILITY][0], 0.5)


@pytest.mark.parametrize("code", ["RAI", "SLA"])
def test_the_crop_is_along_the_axes_of_the_training(code):
    straight = Volume(scan().array, Geometry(PLACE.spacing_mm, PLACE.origin_mm, directions("LPS")))
    other = turned(straight, code)
    assert other.array.shape != straight.array.shape or not np.array_equal(other.array, straight.array)
    found = turned(Volume(segment(other, task())[PROBABILITY][0], other.geometry), "LPS").array
    np.testing.assert_allclose(found, segment(straight, task())[PROBABILITY][0], atol=1e-6)


def test_of_the_large_components_the_one_nearest_to_the_middle_is_kept():
    mask = np.zeros((40, 40, 10), bool)
    mask[0:10, 0:10, 0:8] = True  # 800 voxels in a corner
    mask[16:22, 16:22, 2:8] = True  # 216 near the middle, more than a tenth of them
    mask[20:23, 26:29, 4:7] = True  # 27, too few
    expected = np.zeros_like(mask)
    expected[16:22, 16:22, 2:8] = True
    np.testing.assert_array_equal(in_the_middle(mask, Geometry()), expected)
    mask[19:, 16:22] = False  # 108 of 800: a tenth, but no quarter
    assert in_the_middle(mask, Geometry())[16, 16, 2]
    both = in_the_middle(mask, Geometry(), parts=2)
    assert both[0, 0, 0] and not both[16, 16, 2]  # a left or a right part is as large as a quarter of the other
    mask[18:19, 16:22] = False  # 72
    assert in_the_middle(mask, Geometry())[0, 0, 0]
    assert not in_the_middle(np.zeros((4, 4, 4), bool), Geometry()).any()


def test_nearness_to_the_middle_is_in_millimetres():
    mask = np.zeros((41, 41, 41), bool)
    mask[28:31, 20, 20] = True  # 9 voxels from the middle along x
    mask[20, 20, 16:19] = True  # 3 voxels along z
    assert in_the_middle(mask, Geometry((1.0, 1.0, 1.0)))[20, 20, 17]
    assert in_the_middle(mask, Geometry((0.5, 1.0, 4.0)))[29, 20, 20]


def test_a_box_is_widened_has_margins_and_ends_with_the_volume():
    mask = np.zeros((20, 20, 20), bool)
    mask[5:9, 1:3, 10:12] = True  # 2 x 2 x 4 mm; least 4 x 8 x 20, margins 2 x 2 x 6
    assert box_around(mask, PLACE, CROP) == (slice(0, 15), slice(0, 8), slice(0, 20))
    along_z = CROP.model_copy(update={"along_z": True})
    assert box_around(mask, PLACE, along_z) == (slice(0, 15), slice(0, 8), slice(3, 19))
    assert box_around(np.zeros_like(mask), PLACE, CROP) is None


@pytest.mark.parametrize("name", whole_scans.SURROUNDINGS)
def test_the_benchmark_pastes_a_crop_and_its_label_in_one_place(name, monkeypatch):
    monkeypatch.setattr(whole_scans, "SIDE", 40)
    chance = np.random.default_rng(0)
    label = np.zeros((12, 14, 9), np.uint8)
    label[3:8, 4:9, 2:6] = 1
    image = chance.standard_normal(label.shape, np.float32) + 9 * label
    field, whole_label = whole_scans.pasted(image, label, whole_scans.SURROUNDINGS[name], "A")
    assert field.shape == whole_label.shape == (40, 40, 9)
    start = np.argwhere(whole_label)[0] - np.argwhere(label)[0]
    place = tuple(slice(a, a + n) for a, n in zip(start, label.shape, strict=True))
    np.testing.assert_array_equal(field[place], image)
    np.testing.assert_array_equal(whole_label[place], label)
    outside = np.ones(field.shape, bool)
    outside[place] = False
    assert not whole_label[outside].any() and np.isfinite(field).all()
    brightest = {"mean": 0, "air": image.min(), "anatomy": image[:, :, :2].max()}  # noise has the crop's own
    assert name == "noise" or field[outside].max() == pytest.approx(brightest[name])


def test_the_benchmark_scores_every_way(monkeypatch):
    monkeypatch.setattr(whole_scans, "SIDE", 64)
    image = scan().array[20:50, 14:44]
    label = (image > 0).astype(np.uint8)
    found = dict(whole_scans.ways(image, label, task(), ["mean"], "A"))
    assert found["crop alone"] == found["mean: two passes"] == 100
    assert found["mean: one pass"] < 20 and found["mean: largest component"] < 20
