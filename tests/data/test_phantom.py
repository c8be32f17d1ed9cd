"""Tests of lassl.data.phantom."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from lassl.data.phantom import STRUCTURES, draw_phantom, phantom
from lassl.data.phantom_shapes import random_space
from lassl.data.raw import CHALLENGE_SPACING_MM
from lassl.images.volumes import read_volume
from lassl.plumbing.errors import LasslError
from lassl.seeds import stream

pytestmark = pytest.mark.slow

SIZE = (40, 36, 24)


def draw(case, size=SIZE, seed=0):
    image, label = draw_phantom(size, stream(seed, "phantom", case))
    return image, label == STRUCTURES["atrium"]


def files(folder: Path):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_case_is_the_same_for_the_same_seed_and_another_for_another_name_or_seed():
    image, label = draw("P000")
    again, label_again = draw("P000")
    assert np.array_equal(image, again) and np.array_equal(label, label_again)
    for other in (draw("P001"), draw("P000", seed=1)):
        assert not np.array_equal(image, other[0]) and not np.array_equal(label, other[1])


@pytest.mark.parametrize("size", [SIZE, (64, 56, 40), (96, 88, 48)])
def test_the_label_is_one_piece_of_a_plausible_size_clear_of_the_sides(size):
    for case in range(4, 8):  # the first atrium drawn for 6 and 7 leaves the field of view
        image, label = draw(f"P{case:03d}", size)
        assert image.shape == label.shape == size
        assert image.dtype == np.uint8 and label.dtype == np.bool_
        assert ndimage.label(label)[1] == 1
        assert 0.02 < label.mean() < 0.12
        x, y = size[0] // 16, size[1] // 16
        assert label[x:-x, y:-y].sum() == label.sum()


def test_the_atrium_is_bright_and_no_threshold_finds_it():
    dice = []
    for case in range(6):
        image, label = draw(f"P{case:03d}", (64, 56, 40))
        assert image[label].mean() > 1.3 * image[~label].mean()
        dice.append(max(best_piece_dice(image > level, label) for level in range(20, 240, 20)))
    assert np.mean(dice) < 0.9  # the best level is chosen for each case, by the label


def best_piece_dice(bright, label):
    pieces, count = ndimage.label(bright)
    if count == 0:
        return 0.0
    piece = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    return 2 * (piece & label).sum() / (piece.sum() + label.sum())


def test_the_lungs_lie_at_the_sides_along_x_and_the_spine_at_the_back_along_y():
    mean = np.mean([draw(f"P{case:03d}")[0] for case in range(12)], axis=0)
    middle, front, back = mean[16:24, 14:22].mean(), mean[14:22, :4].mean(), mean[14:22, -4:].mean()
    assert middle > 2.2 * mean[:4, 20:28].mean() and middle > 2.2 * mean[-4:, 20:28].mean()
    assert front > 1.6 * back


def test_a_box_holds_every_voxel_near_its_points():
    for case in range(20):
        space = random_space(SIZE, stream(0, "phantom", case))
        point = np.array([0.7, -0.5, 0])
        near = np.linalg.norm(space.p - point[:, None, None, None], axis=0) < 0.1
        outside = near.copy()
        outside[space.box(point[None], 0.1)] = False
        assert near.any() and not outside.any()
        assert near[space.box(point[None], 0.1)].size < near.size


def test_files_keep_type_values_axes_and_spacing(tmp_path):
    phantom(["P000", "P001"], tmp_path / "raw", SIZE, seed=3)
    assert list(files(tmp_path / "raw")) == [f"P00{n}/{name}.nrrd" for n in (0, 1) for name in ("laendo", "lgemri")]
    image, label = draw("P001", seed=3)
    scan, mask = (read_volume(tmp_path / "raw" / "P001" / name) for name in ("lgemri.nrrd", "laendo.nrrd"))
    assert scan.array.dtype == mask.array.dtype == np.uint8
    assert np.array_equal(scan.array, image)
    assert np.array_equal(mask.array, np.where(label, 255, 0))
    assert scan.geometry.spacing_mm == mask.geometry.spacing_mm == CHALLENGE_SPACING_MM
    assert sitk.ReadImage(str(tmp_path / "raw" / "P001" / "lgemri.nrrd")).GetSize() == SIZE


def test_order_and_company_do_not_change_a_case(tmp_path):
    phantom(["P000", "P001", "P002"], tmp_path / "forwards", SIZE, seed=0)
    phantom(["P002", "P000"], tmp_path / "backwards", SIZE, seed=0)
    forwards, backwards = files(tmp_path / "forwards"), files(tmp_path / "backwards")
    assert len(backwards) == 4 and backwards.items() <= forwards.items()


def test_nothing_is_left_and_nothing_is_lost_when_a_case_cannot_be_written(tmp_path):
    impossible = "P" * 300  # longer than a file system's names
    with pytest.raises(OSError):
        phantom(["P000", impossible, "P001"], tmp_path / "raw", SIZE, seed=0)
    assert list(tmp_path.iterdir()) == []

    phantom(["P000"], tmp_path / "raw", SIZE, seed=0)
    before = files(tmp_path)
    with pytest.raises(OSError):
        phantom(["P001", impossible], tmp_path / "raw", SIZE, seed=0)
    assert files(tmp_path) == before and len(before) == 2


def test_a_volume_too_small_for_an_atrium_is_refused():
    with pytest.raises(LasslError, match=r"phantom\.size: found \(40, 12, 24\)"):
        draw("P000", (40, 12, 24))


def test_with_chambers_a_label_has_three_structures_and_the_atrium_stays_as_it_is(tmp_path):
    phantom(["P000", "P004"], tmp_path / "atria", (64, 56, 40), seed=0)
    phantom(["P000", "P004"], tmp_path / "chambers", (64, 56, 40), seed=0, chambers=True)
    for case in ("P000", "P004"):
        atrium, label = (read_volume(tmp_path / kind / case / "laendo.nrrd").array for kind in ("atria", "chambers"))
        image, same = (read_volume(tmp_path / kind / case / "lgemri.nrrd").array for kind in ("atria", "chambers"))
        assert np.array_equal(image, same) and np.array_equal(atrium > 0, label == STRUCTURES["atrium"])
        sizes = np.bincount(label.ravel(), minlength=4)
        assert len(sizes) == 4 and sizes[1:].min() > 100
        for value in (2, 3):  # bright blood, so that it can be told from the muscle around it
            assert image[label == value].mean() > np.median(image[label == 0])
