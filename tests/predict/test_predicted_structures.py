"""Networks of several structures on volumes of any grid, with the memory they take, and masks with their values."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from torch import nn

from helpers.several import VALUES, network
from helpers.trainings import predicting
from lassl.evaluation import inference
from lassl.images.geometry import Geometry, Volume, directions
from lassl.images.grids import turned
from lassl.model.placement import Placement
from lassl.plumbing.errors import LasslError
from lassl.predict.model import Ready, agreed, doubts_of, maps_of, volumes_in, widest
from lassl.predict.scan_files import MASK
from lassl.predict.segment import segment
from lassl.predict.settings import Crop, PredictSettings
from lassl.predict.slabs import held_bytes, needed_bytes, plan
from lassl.predict.task import PROBABILITY, UNCERTAINTY, Task
from lassl.predict.uncertainty import entropy
from lassl.seeds import stream

CPU = Placement(torch.device("cpu"), torch.float32, False)
NAMES = list(VALUES)
LEVELS = (0.0, 3.0, 6.0, 9.0)  # intensities of the background and of the structures
BODIES = ((slice(6, 16), slice(6, 20), slice(8, 20)), (slice(22, 34), slice(4, 16), slice(6, 24)))
SMALL = (slice(24, 32), slice(22, 30), slice(10, 22))


class Levels(nn.Module):
    """Each class is found by its intensity."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([-4 * (image - level).square() for level in LEVELS], 1)


def scan(spacing=(0.625, 0.625, 0.625), code="LPS") -> tuple[Volume, np.ndarray]:
    """A scan whose intensities are LEVELS, and its classes."""
    classes = np.zeros((40, 34, 28), np.uint8)
    for index, box in enumerate((*BODIES, SMALL), 1):
        classes[box] = index
    image = np.take(LEVELS, classes).astype(np.float32)
    place = Geometry(spacing, (3.0, -4.0, 5.0), directions("LPS"))
    volume = turned(Volume(image, place), code)
    return volume, turned(Volume(classes, place), code).array


def task(networks=None, passes=0, memory_gib=4.0, **changes) -> Task:
    settings = predicting(**({"structures": VALUES} | changes))
    return Task(networks or {"n": Levels()}, settings, CPU, normalized=True, passes=passes, memory_gib=memory_gib)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("code", ["LPS", "SLA"])
@pytest.mark.parametrize("spacing", [(0.625, 0.625, 0.625), (0.5, 0.8, 0.9)])
def test_each_structure_is_found_in_its_place_on_the_grid_of_the_scan(spacing, code):
    volume, classes = scan(spacing, code)
    found = segment(volume, task())[PROBABILITY]
    assert found.dtype == np.float32 and found.shape == (3, *volume.array.shape)
    assert found.min() >= 0 and found.sum(0).max() <= 1 + 1e-5
    decided = inference.decided(found)
    for index in (1, 2, 3):
        near = binary_dilation(classes == index, iterations=2)  # interpolated borders of the others have its intensity
        assert dice((decided == index) & near, classes == index) > 0.85, index


def test_on_the_grid_of_the_training_the_probabilities_are_those_of_the_evaluation_bit_for_bit():
    image = stream(0, "noise").standard_normal((40, 20, 24)).astype(np.float32)
    asked = task({"a": network(seed=0), "b": network(seed=1)})
    expected = inference.foregrounds(asked.networks, image, asked.settings.windows, CPU)["ensemble"]
    found = segment(Volume(image, Geometry((0.625,) * 3)), asked)[PROBABILITY]
    np.testing.assert_array_equal(found, expected)
    assert set(np.unique(inference.decided(found))) == {0, 1, 2, 3}


def test_slabs_find_what_one_piece_finds():
    volume, _ = scan()
    long = Volume(np.tile(volume.array, (4, 1, 1)), volume.geometry)
    whole = segment(long, task())[PROBABILITY]
    axis, _ = plan(long, task())
    bound = needed_bytes(long, axis, 100, task()) / 2**30
    bounded = task(memory_gib=bound)
    assert len(plan(long, bounded)[1]) > 1
    np.testing.assert_array_equal(inference.decided(segment(long, bounded)[PROBABILITY]), inference.decided(whole))


def test_a_further_structure_takes_four_bytes_a_voxel_throughout_and_more_while_it_is_made():
    volume, _ = scan()
    one, two, three = (
        task(structures=dict(list(VALUES.items())[:count]) if count > 1 else None) for count in (1, 2, 3)
    )
    assert held_bytes(volume, two) - held_bytes(volume, one) == 4 * volume.array.size
    assert held_bytes(volume, three) - held_bytes(volume, two) == 4 * volume.array.size
    needed = [needed_bytes(volume, 0, 40, each) for each in (one, two, three)]
    assert needed[0] + 8 * volume.array.size <= needed[1] and needed[1] + 8 * volume.array.size <= needed[2]
    assert needed_bytes(volume, 0, 40, replace(three, passes=2)) > needed[2] + 12 * volume.array.size


def test_the_uncertainty_is_the_entropy_over_all_classes():
    chance = stream(0, "softmax").dirichlet(np.ones(4), (3, 4, 5)).transpose(3, 0, 1, 2).astype(np.float32)
    np.testing.assert_allclose(entropy(chance[1:]), -(chance * np.log(chance)).sum(0), atol=1e-5)
    even = np.full((3, 1, 1, 1), 0.25, np.float32)
    assert entropy(even).item() == pytest.approx(math.log(4))
    over = np.full((3, 1, 1, 1), (1 + 1e-6) / 3, np.float32)  # as interpolation rounds
    assert entropy(over).item() == pytest.approx(math.log(3), abs=1e-4)
    volume = Volume(stream(0, "noise").standard_normal((20, 18, 16)).astype(np.float32), Geometry((0.8, 0.7, 0.9)))
    found = segment(volume, task({"n": network()}, passes=2, window=(16, 16, 16), stride=(8, 8, 8)))[UNCERTAINTY]
    assert found.shape == (1, 20, 18, 16) and 0 <= found.min() < found.max() <= math.log(4) + 1e-5
    assert found.max() > math.log(2)


CROP = Crop(least_mm=(5.0, 5.0, 5.0), margins_mm=(1.25, 1.25, 1.25), along_z=True)


def wide(*boxes: tuple[slice, slice, slice]) -> Volume:
    """A large dark scan with the classes 1, 2, ... in these boxes; the last may repeat class 1."""
    image = np.zeros((80, 80, 48), np.float32)
    for index, box in enumerate(boxes):
        image[box] = LEVELS[1 + index % 3]
    return Volume(image, Geometry((0.625, 0.625, 0.625)))


def seen(volume: Volume, crop: Crop) -> np.ndarray:
    """Where the second pass looked."""
    found = segment(volume, task(crop=crop, window=(16, 16, 16), stride=(8, 8, 8)))[PROBABILITY]
    looked = np.isfinite(found)
    assert (looked == looked[0]).all()
    return looked[0]


def test_the_region_is_the_union_of_all_structures_even_where_they_do_not_touch():
    boxes = [tuple(slice(a, a + 6) for a in start) for start in ((26, 26, 16), (50, 30, 20), (38, 50, 26))]
    looked = seen(wide(*boxes), CROP)
    assert all(looked[box].all() for box in boxes) and looked.mean() < 0.5


def test_a_structure_with_a_left_and_a_right_part_is_seen_on_both_sides():
    left, right = (slice(24, 32), slice(36, 44), slice(20, 28)), (slice(52, 60), slice(36, 44), slice(20, 28))
    volume = wide(left)
    volume.array[right] = LEVELS[1]
    assert not seen(volume, CROP)[right].any()
    both = seen(volume, CROP.model_copy(update={"parts": (2, 1, 1)}))
    assert both[left].all() and both[right].all() and both.mean() < 0.5


def test_a_mask_has_the_values_of_the_structures_in_the_smallest_type_and_the_largest_part_of_each():
    volume, classes = scan()
    volume.array[0:3, 0:3, 0:3] = LEVELS[2]  # a second part of a structure
    maps = maps_of("scan", volume, task(), largest=False)
    expected = np.array([0, 40, 300, 7])[classes]
    assert maps[MASK].dtype == np.uint16 and maps[MASK][1, 1, 1] == 300
    kept = maps_of("scan", volume, task(), largest=True)[MASK]
    assert kept[1, 1, 1] == 0
    np.testing.assert_array_equal(kept, expected)
    assert maps_of("scan", volume, task(structures=VALUES | {"left-kidney": 8}), largest=False)[MASK].dtype == np.uint8
    assert list(maps) == ["probability-liver", "probability-left-kidney", "probability-right-kidney", MASK]
    np.testing.assert_array_equal(maps["probability-left-kidney"], segment(volume, task())[PROBABILITY][1])


def test_each_structure_has_its_volume_and_its_doubts():
    volume, classes = scan((1.0, 1.0, 1.0))
    mask = Volume(np.array([0, 40, 300, 7])[classes], volume.geometry)
    ml = {name: (classes == index).sum() / 1000 for index, name in enumerate(NAMES, 1)}
    assert volumes_in(mask, VALUES) == pytest.approx(ml) and volumes_in(mask, None) == {}

    def doubts(array=mask.array, **known):
        ranges = None if known.get("unknown") else {name: (v, v) for name, v in ml.items()} | known
        return list(doubts_of(Volume(array, mask.geometry), Ready(task(), ranges)))

    assert doubts() == doubts(unknown=True) == []
    (told,) = doubts(liver=(50.0, 60.0))
    assert told.startswith("liver: the mask has 1.68 mL; labels that the model learned from have 50 to 60 mL: check")
    without = np.where(mask.array == 7, 0, mask.array)
    (told,) = doubts(without)
    assert told.startswith("right-kidney: the mask is empty, 0 mL; labels")
    assert doubts(without, **{"right-kidney": (0.0, 5.0)}) == []  # some labels of the training lack it
    assert doubts(without, unknown=True) == [
        "right-kidney: the mask is empty, 0 mL: check the scan's spacing and what it shows"
    ]


def test_settings_of_one_structure_are_written_as_before():
    one, several = predicting(), predicting(structures=VALUES)
    assert "structures" not in one.model_dump(mode="json")
    assert PredictSettings.model_validate(several.model_dump(mode="json")) == several
    assert list(several.model_dump(mode="json")["structures"]) == NAMES
    assert "parts" not in CROP.model_dump(mode="json")
    with pytest.raises(ValueError, match="at least 2 items"):
        predicting(structures={"liver": 1})


def test_models_that_do_not_go_together_are_told_with_all_that_differs():
    one = predicting(structures=VALUES)
    changed = {"stride": (8, 8, 12), "structures": dict(reversed(VALUES.items()))}
    other = predicting(**changed)
    assert agreed({"a": one, "b": predicting(structures=VALUES, batch=7)}, ()) == one
    with pytest.raises(LasslError) as error:
        agreed({"a": one, "b": other}, ())
    assert str(error.value) == (
        'b: differs from a in stride [8, 8, 12], not [16, 8, 12]; structures {"right-kidney": 7, "left-kidney": 300, '
        '"liver": 40}, not {"liver": 40, "left-kidney": 300, "right-kidney": 7}; '
        "models of an ensemble must agree in these"
    )
    with pytest.raises(LasslError, match="b: differs from a in structures null, not"):
        agreed({"a": one, "b": predicting(stride=(8, 8, 12))}, ["stride"])


def test_the_volumes_that_an_ensemble_knows_are_those_of_all_its_models():
    assert widest([(1.0, 2.0), (0.5, 1.5)]) == (0.5, 2.0)
    assert widest([{"a": (1.0, 2.0), "b": (3.0, 4.0)}, {"a": (1.5, 2.5), "b": (2.0, 3.0)}]) == {
        "a": (1.0, 2.5),
        "b": (2.0, 4.0),
    }
    assert widest([(1.0, 2.0), None]) is None
