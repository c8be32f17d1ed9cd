"""The Python API with several structures, and with several models."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import lassl
from helpers.several import SPACING, STRUCTURES, VALUES, cohort, label_of, network, save_run
from helpers.trainings import predicting
from lassl.api.synthetic import Drawn
from lassl.data.patches import PatchSource
from lassl.data.phantom import phantom as draw_all
from lassl.data.prepare import prepare
from lassl.data.prepared import open_prepared
from lassl.evaluation import metrics
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import from_image, to_image
from lassl.model.placement import Placement
from lassl.predict.model import Ready
from lassl.predict.task import Task
from lassl.seeds import stream
from lassl.settings.sections import Data, Phantom
from lassl.training import loop

CPU = Placement(torch.device("cpu"), torch.float32, False)
SCAN = to_image(Volume(stream(0, "scan").integers(0, 200, (34, 20, 18)).astype(np.int16), Geometry(SPACING)))


def array(image: sitk.Image) -> np.ndarray:
    return from_image(image).array


def model(*seeds: int) -> lassl.Model:
    networks = {str(seed): network(seed=seed) for seed in seeds}
    ranges = dict.fromkeys(VALUES, (0.0, 100.0))
    return lassl.Model(Ready(Task(networks, predicting(structures=VALUES), CPU), ranges))


def test_a_mask_has_the_values_of_the_structures_and_each_has_a_probability():
    one = model(0)
    assert one.structures == VALUES and one.volumes_ml["liver"] == (0.0, 100.0)
    maps = one.segment(SCAN, probability=True, uncertainty=True, passes=1)
    mask = array(maps.mask)
    assert maps.mask.GetPixelID() == sitk.sitkUInt16 and set(np.unique(mask)) == {0, 7, 40, 300}
    assert list(maps.probability) == list(VALUES)
    stacked = np.stack([array(image) for image in maps.probability.values()])
    for index, value in enumerate(VALUES.values()):
        inside = mask == value
        assert (stacked[index][inside] == stacked.max(0)[inside]).all()
    assert np.log(2) < array(maps.uncertainty).max() <= np.log(4) + 1e-5
    np.testing.assert_array_equal(array(one.segment(SCAN)), mask)


def test_a_structure_that_is_missing_is_told_by_its_name():
    without = network()
    with torch.no_grad():
        without.head[1].bias[2] -= 1000
    found = lassl.Model(Ready(Task({"n": without}, predicting(structures=VALUES), CPU), None))
    with pytest.warns(UserWarning, match=r"^scan: left-kidney: the mask is empty, 0 mL: check the scan's spacing"):
        found.segment(SCAN)


def test_load_takes_the_mean_of_several_models(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = cohort(Path("raw"))
    manifest_hash = open_prepared(data.prepared).manifest_hash
    runs = [save_run(data, manifest_hash, seed) for seed in (0, 1)]
    names = [str(runs[0].model), f"{runs[1].profile}/{runs[1].name}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second, both = (
            lassl.load(*chosen).segment(SCAN, probability=True).probability for chosen in (names[:1], names[1:], names)
        )
    for name in VALUES:
        np.testing.assert_allclose(array(both[name]), (array(first[name]) + array(second[name])) / 2, atol=1e-6)
    assert np.abs(array(first["liver"]) - array(second["liver"])).max() > 0.1
    with pytest.raises(lassl.LasslError, match="is named twice"):
        lassl.load(names[0], names[0])
    with pytest.raises(
        lassl.LasslError, match=r"^atrium: differs from models/quick/vnet_16-d0-s0\.pt in pool 2, not 1"
    ):
        lassl.load(names[0], "atrium")


def test_score_gives_a_row_for_each_structure():
    reference = label_of("N1")
    mask = np.roll(reference, 1, 0)
    found = lassl.score(mask, reference, spacing_mm=SPACING, structures={**STRUCTURES, "left-kidney": 300})
    assert list(found.index) == list(STRUCTURES) and found.index.name == "structure"
    for name, values in STRUCTURES.items():
        expected = metrics.score(np.isin(mask, values), np.isin(reference, values), SPACING)
        assert found.loc[name, "dice_percent"] == expected.dice_percent
        assert found.loc[name, "hd95_mm"] == expected.hd95_mm
    image, other = (to_image(Volume(each, Geometry(SPACING))) for each in (mask, reference))
    assert lassl.score(image, other, structures=STRUCTURES).equals(found)


def test_a_structure_that_the_reference_lacks_has_no_scores_and_one_that_the_mask_lacks_has_failed():
    reference, mask = label_of("N3"), label_of("N1")
    mask[mask == 300] = 0
    found = lassl.score(mask, reference, spacing_mm=SPACING, structures=STRUCTURES)
    assert found["dice_percent"].isna().tolist() == [False, False, True]
    assert found["failed"].tolist() == [False, True, False] and found.loc["left-kidney", "dice_percent"] == 0


def test_structures_that_cannot_be_scored_are_refused_in_words():
    label = label_of("N1")
    classes = np.minimum(label, 3)
    wrong = {
        r"structures: found \{\}, expected each value once": (label, {}),
        r"structures: found .*, expected each value once; give it to one": (label, {"a": 40, "b": (40, 41)}),
        r"structures: found .*, expected whole numbers from 1 for each name": (label, {"a": 0}),
        r"structures: found .*, expected whole numbers from 1": (label, {"a": ()}),
        r"mask: values \[0, 3\], none of \[7, 40, 41, 300\]; correct structures": (classes, STRUCTURES),
        r"the reference \(24, 20, 18\) has none of": (np.zeros_like(label), STRUCTURES),
    }
    for message, (given, structures) in wrong.items():
        one, other = (given, label) if "mask" in message else (label, given)
        with pytest.raises(lassl.LasslError, match=message):
            lassl.score(one, other, spacing_mm=SPACING, structures=structures)
    with pytest.raises(lassl.LasslError, match=r"expected 0 and 1 or 0 and 255; give one structure's mask, or name"):
        lassl.score(label, label, spacing_mm=SPACING)


class Untrained:
    """The end of a training that changed nothing."""

    def __init__(self, config, *_args, **_options):
        self.algorithm, self.curves = self, [{"loss": 0.0, "dice": 0.0}]
        self.networks = {"n": network(config.network.classes)}


def test_fit_learns_the_structures_of_its_cohort_and_scores_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cohort(Path("raw"))
    monkeypatch.setattr(loop, "fit", Untrained)
    monkeypatch.setattr(PatchSource, "bring_to", lambda *_: None)
    small = {
        "network": {"width": 2},
        "patches": {"pool": 1, "size": [16, 16, 16]},
        "evaluate": {"stride": [16, 16, 16]},
    }
    options = {"cohort": "trio", "labeled": 2, "unlabeled": 0, "settings": small, "steps": 1}
    fitted = lassl.fit("supervised", **options)
    table = fitted.evaluate()
    assert table.index.names == ["case", "structure"] and list(table.index) == [("T1", name) for name in STRUCTURES]
    assert (table["dice_percent"] > 0).all() and not table["failed"].any()
    with pytest.raises(
        lassl.LasslError, match=r"data\.structures: found .*'spleen'.*, but data/prepared/trio was prep"
    ):
        lassl.fit("supervised", **options | {"settings": {**small, "data": {"structures": {"spleen": [1], "b": [2]}}}})
    with pytest.raises(lassl.LasslError, match=r"found a, b, but phantoms have one structure without chambers"):
        lassl.fit("supervised", settings={"data": {"structures": {"a": [1], "b": [2]}}})


def test_phantoms_in_memory_have_the_chambers_that_are_asked_for(tmp_path, monkeypatch):
    phantom = Phantom(cohorts=(), size=(40, 36, 24), seed=0, chambers=True)
    options = {"crop": "label", "crop_z": False, "margin": (1, 3), "margins": "seeded", "min_size": (16, 16, 16)}
    place = {"cohort": "synthetic", "folder": Path("raw"), "split": Path("split.csv"), "seed": 0}
    chambers = {"left_ventricle": [2], "atrium": [1]}
    one, two = (Data.model_validate({**place, **options, "structures": s}) for s in (None, chambers))
    monkeypatch.chdir(tmp_path)
    draw_all(["P000", "P080"], Path("raw"), phantom.size, phantom.seed, chambers=True)
    Path("split.csv").write_text("case,split\nP000,train\nP080,test\n")
    prepare(two)
    prepared, drawn = open_prepared(two.prepared), Drawn(phantom, two)
    for case in ("P000", "P080"):
        np.testing.assert_array_equal(drawn.read_label(case), prepared.read_label(case))
        np.testing.assert_array_equal(drawn.read_image(case), prepared.read_image(case))
        assert set(np.unique(drawn.read_label(case))) == {0, 1, 2}
    assert set(np.unique(Drawn(phantom, one).read_label("P000"))) == {0, 1}
