"""`lassl.score`: the measures of the table, of files, images and arrays."""

from dataclasses import asdict

import numpy as np
import pytest
import SimpleITK as sitk

import lassl
from lassl.evaluation import metrics
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import to_image, write_volume

PLACE = Geometry((0.5, 1.0, 2.0), (3.0, -4.0, 5.0))


def box(*sides: slice) -> Volume:
    array = np.zeros((9, 8, 7), np.uint8)
    array[sides] = 1
    return Volume(array, PLACE)


MASK = box(slice(1, 5), slice(2, 6), slice(2, 5))
REFERENCE = box(slice(2, 7), slice(2, 6), slice(1, 5))
EXPECTED = asdict(metrics.score(MASK.array > 0, REFERENCE.array > 0, PLACE.spacing_mm))


def test_files_images_and_arrays_have_the_same_scores(tmp_path):
    for name, volume in (("mask", MASK), ("reference", REFERENCE)):
        write_volume(tmp_path / f"{name}.nrrd", volume)
    mask, reference = to_image(MASK), to_image(REFERENCE)
    assert lassl.score(tmp_path / "mask.nrrd", str(tmp_path / "reference.nrrd")) == EXPECTED
    assert lassl.score(mask, reference) == EXPECTED
    assert lassl.score(mask, tmp_path / "reference.nrrd") == EXPECTED
    assert lassl.score(MASK.array, REFERENCE.array > 0, spacing_mm=PLACE.spacing_mm) == EXPECTED
    assert lassl.score(MASK.array, reference) == lassl.score(mask, 255 * REFERENCE.array) == EXPECTED


def test_distances_in_mm_follow_the_spacing():
    doubled = lassl.score(MASK.array, REFERENCE.array, spacing_mm=np.multiply(2, PLACE.spacing_mm))
    assert doubled["hd95_mm"] == 2 * EXPECTED["hd95_mm"] and doubled["hd95_voxel"] == EXPECTED["hd95_voxel"]


def test_an_empty_mask_has_failed_and_has_no_distances():
    found = lassl.score(np.zeros((9, 8, 7)), to_image(REFERENCE))
    assert found["failed"] and found["dice_percent"] == 0 and np.isnan(found["hd95_mm"])


def test_what_cannot_be_compared_is_refused_in_words(tmp_path):
    moved = to_image(MASK)
    moved.SetOrigin((0, 0, 0))
    mask, reference, spacing = MASK.array, to_image(REFERENCE), PLACE.spacing_mm
    write_volume(tmp_path / "small.nrrd", Volume(mask[1:], PLACE))
    wrong = {
        "spacing_mm: missing; two arrays": (mask, mask, None),
        "spacing_mm: found beside an image": (mask, reference, spacing),
        r"spacing_mm: found \(1, 0, 1\), expected three positive": (mask, mask, (1, 0, 1)),
        r"spacing_mm: found \(1, 1\), expected three positive": (mask, mask, (1, 1)),
        r"mask: found origin_mm \(0.0, 0.0, 0.0\), but its reference has \(3.0, -4.0, 5.0\)": (moved, reference, None),
        r"small.nrrd: found size \(8, 8, 7\), but its reference has \(9, 8, 7\)": (
            tmp_path / "small.nrrd",
            reference,
            None,
        ),
        r"mask: found size \(7, 8, 9\), but its reference": (mask.transpose(2, 1, 0), reference, None),
        r"reference: values \[0.0, 2.0\], expected 0 and 1 or 0 and 255": (mask, 2.0 * mask, spacing),
        r"mask: found an array of shape \(9, 8\), expected three axes": (mask[:, :, 0], mask, spacing),
        "reference: found a list, expected a path": (mask, [1], None),
        r"the reference mask \(9, 8, 7\) is empty": (mask, 0 * mask, spacing),
        "mask: found a 2-D": (sitk.Image(3, 3, sitk.sitkUInt8), reference, None),
    }
    for message, (one, other, given) in wrong.items():
        with pytest.raises(lassl.LasslError, match=message):
            lassl.score(one, other, spacing_mm=given)
