"""Cases that were brought to another grid: their masks and scores are on the scans' own grids."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from helpers.trainings import settings, trained
from lassl.data.prepare import prepare
from lassl.data.prepared import open_prepared
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.metrics import score
from lassl.images.geometry import Geometry, Volume, directions
from lassl.images.volumes import read_volume, write_volume
from lassl.model.placement import Placement
from lassl.paths import PROBABILITY
from lassl.predict.model_file import read_exported
from lassl.predict.segment import segment
from lassl.predict.task import Task
from lassl.report.cases import cropped
from lassl.settings.config import Config
from lassl.settings.sections import Data

CASES = {
    "A": ((24, 22, 20), (1.0, 1.0, 1.0), "LPS"), "B": ((16, 20, 12), (1.5, 1.2, 2.0), "RAS"),
    "C": ((20, 24, 22), (1.0, 1.0, 1.0), "SLP"), "D": ((25, 20, 22), (1.0, 1.0, 1.0), "LPS"),
    "T": ((34, 30, 14), (0.7, 0.8, 1.4), "RSP"), "U": ((24, 22, 20), (1.0, 1.0, 1.0), "LPS"),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Config:
    """A cohort of mixed grids, prepared, and a training of three steps on it, evaluated, in the current folder."""
    home = tmp_path_factory.mktemp("mixed")
    for case, (size, spacing, code) in CASES.items():
        place = Geometry(spacing, (1.0, 2.0, 3.0), directions(code))
        index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
        inside = np.linalg.norm((index - (np.array(size) - 1) / 2) * spacing, axis=-1) < 7
        texture = ndimage.gaussian_filter(np.random.default_rng(ord(case)).normal(size=size), 1)
        write_volume(home / f"raw/{case}/image.nrrd", Volume((inside + texture).astype(np.float32), place))
        write_volume(home / f"raw/{case}/label.nrrd", Volume(inside.astype(np.uint8), place))
    lines = [f"{case},{'test' if case in 'TU' else 'train'}" for case in CASES]
    (home / "split.csv").write_text("\n".join(["case,split", *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        data = Data(
            cohort="mixed", folder=Path("raw"), split=Path("split.csv"), crop="none", crop_z=False, margin=(0, 1),
            margins="seeded", min_size=(16, 16, 16), seed=0, spacing_mm=(1, 1, 1), orientation="LPS",
        )  # fmt: skip
        prepare(data)
        plain = settings(data.model_copy(update={"spacing_mm": None, "orientation": None}))
        config = plain.model_copy(update={"data": data, "fields_of_view": (), "profile": "mixed"})
        trained(config)
        evaluate(config, config.run("vnet_16", 0, 0))
        yield config


def result(config: Config) -> Path:
    return config.run("vnet_16", 0, 0).predictions


def test_masks_are_written_and_scored_on_the_raw_grid_against_the_raw_label(run):
    table = pd.read_csv(result(run) / "cases.csv").set_index(["case", "network", "parts"])
    for case in "TU":
        mask, label = read_volume(result(run) / f"{case}.nrrd"), read_volume(Path(f"raw/{case}/label.nrrd"))
        assert mask.array.shape == label.array.shape
        np.testing.assert_allclose(mask.geometry.origin_mm, label.geometry.origin_mm)
        expected = score(mask.array > 0, label.array > 0, label.geometry.spacing_mm)
        row = table.loc[(case, "network", "all")]
        assert row["dice_percent"] == pytest.approx(expected.dice_percent, abs=1e-5)
        assert row["hd95_mm"] == pytest.approx(expected.hd95_mm, abs=1e-5)


def test_predicting_a_raw_scan_finds_what_the_evaluation_found(run):
    exported = read_exported(run.run("vnet_16", 0, 0).model)
    np.testing.assert_allclose(exported.settings.spacing_mm, (1, 1, 1), atol=1e-6)
    assert exported.settings.orientation == "LPS"
    task = Task(exported.model.networks, exported.settings, Placement(torch.device("cpu"), torch.float32, True))
    for network in exported.model.networks.values():
        network.eval()
    for case in "TU":
        found = segment(read_volume(Path(f"raw/{case}/image.nrrd")), task)[PROBABILITY]
        mask = read_volume(result(run) / f"{case}.nrrd").array > 0
        assert np.mean((found > 0.5) == mask) > 0.9999 and 0 < mask.mean() < 1


def test_probabilities_lie_where_the_networks_saw_the_case(run):
    prepared = open_prepared(run.data.prepared)
    for case in "TU":
        percent = read_volume(result(run) / PROBABILITY / f"{case}.nrrd")
        assert percent.array.shape == prepared.cases[case].shape
        np.testing.assert_allclose(percent.geometry.origin_mm, prepared.cases[case].place.origin_mm, atol=1e-6)


def test_the_page_shows_masks_of_raw_grids_with_the_voxels_of_the_prepared_case(run):
    class Result:
        names = run.run("vnet_16", 0, 0)

    prepared = open_prepared(run.data.prepared)
    for case in "TU":
        percent = read_volume(result(run) / PROBABILITY / f"{case}.nrrd").array
        mask = cropped(Result(), case, prepared)
        sure = percent != 50  # which may be a little more or less than one half
        agreement = np.mean((mask > 0)[sure] == (percent > 50)[sure])  # masks of three steps are ragged
        assert mask.shape == percent.shape and agreement > {"T": 0.9, "U": 0.9999}[case]
