"""The cases of the report: which are shown, with what masks and uncertainty."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from helpers.pages import scored, write_masks
from helpers.runs import PROFILE, cases, write_run
from lassl.images.geometry import Volume
from lassl.images.volumes import write_volume
from lassl.model.record import Trained, read_record, record_text
from lassl.model.trained import TrainedModel, load_model, save_model
from lassl.model.vnet import VNet
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported
from lassl.report.cases import Shown, cropped, extremes, means_of_cases, showable, task_of, views
from lassl.results.runs import by_method, read_results


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_best_median_and_worst_cases_are_chosen_by_the_mean_over_the_rows(workspace):
    write_run("vnet_16", scores=cases((90, 10, 50, 70, 60)))
    write_run("cps", 0, 0, cases((40, 30, 95, 60, 60)))
    write_run("cps", 0, 1, cases((50, 30, 95, 60, 60)))  # means: 67.5, 20, 72.5, 65, 60
    groups = by_method(read_results(PROFILE), [])
    assert extremes(groups) == {"best": "C", "median": "D", "worst": "B"}
    assert means_of_cases(groups["cps"], "dice_percent").tolist() == [45, 30, 95, 60, 60]


def test_two_cases_are_best_and_worst_and_a_single_one_is_best(workspace):
    write_run(scores=cases((40, 60)))
    assert extremes(by_method(read_results(PROFILE), [])) == {"best": "B", "worst": "A"}
    write_run(scores=cases((40,)))
    assert extremes(by_method(read_results(PROFILE), [])) == {"best": "A"}


def write_weights(run: Run) -> None:
    """A network with weights of chance, and its hash in the run's record, as if the masks were made with it."""
    record = read_record(run.record)
    torch.manual_seed(0)
    network = record.settings.network
    trained = Trained.model_validate(record.model_dump(include=set(Trained.model_fields)))
    save_model(run.model, TrainedModel(network, {"network": VNet(network)}, trained))
    weights = load_model(run.model).record.weights_sha256
    run.record.write_text(record_text(record.model_copy(update={"weights_sha256": weights})))


def test_the_uncertainty_of_the_weights_behind_a_mask_is_shown_beside_it(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_masks(run, prepared, 1)
    write_weights(run)
    (row,) = showable({"cps": "CPS"}, {"cps": read_results(PROFILE)}, ["cps"], prepared)
    (found,) = views([row], {"best": prepared.split.test[1]}, prepared)
    maps = found["rows"][0]["uncertainty"]
    assert len(maps) == len(found["numbers"]) and maps[0].startswith("data:image/jpeg")
    assert maps == views([row], {"best": prepared.split.test[1]}, prepared)[0]["rows"][0]["uncertainty"]


def test_the_weights_of_rows_that_are_not_shown_first_are_not_asked(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_masks(run, prepared, 1)
    write_weights(run)
    (row,) = showable({"cps": "CPS"}, {"cps": read_results(PROFILE)}, [], prepared)
    assert row.task is None and row.row == "cps"


def test_weights_other_than_those_behind_the_masks_are_not_asked(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_weights(run)
    told = yaml.safe_load(run.record.read_text())
    run.record.write_text(yaml.safe_dump(told | {"weights_sha256": "other"}))
    (result,) = read_results(PROFILE)
    assert task_of(result) is None
    run.record.write_text(yaml.safe_dump(told))
    (result,) = read_results(PROFILE)
    assert list(task_of(result).networks) == ["network"]


def test_a_prepared_case_is_seen_whole_as_in_the_evaluation(workspace, prepared, monkeypatch):
    """Though a scan of a user would be cropped: a prepared case is a crop already."""
    crop = {"least_mm": (1, 1, 1), "margins_mm": (1, 1, 1), "along_z": True}
    monkeypatch.setattr("lassl.predict.settings.crop_of", lambda cohort, spacing_mm: crop)
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_weights(run)
    assert read_exported(run.model).settings.crop is not None
    (result,) = read_results(PROFILE)
    assert task_of(result).settings.crop is None


def test_an_empty_prediction_has_no_surface(workspace, prepared):
    run = write_run(scores=scored(prepared, 0, 0), cohort=("synthetic", prepared.manifest_hash))
    for case in prepared.split.test:
        write_volume(run.predictions / f"{case}.nrrd", prepared.paste(case, 0 * prepared.read_label(case)))
    (result,) = read_results(PROFILE)
    (found,) = views([Shown("cps", "CPS", result)], {"best": prepared.split.test[0]}, prepared)
    assert found["rows"][0]["surface"] is None and set(found["rows"][0]["outlines"]) == {""}


def test_masks_of_another_size_are_refused(workspace, prepared):
    run = write_run(scores=scored(prepared, 0, 0))
    case = prepared.split.test[0]
    write_volume(run.predictions / f"{case}.nrrd", Volume(np.zeros((3, 4, 5), np.uint8)))
    (result,) = read_results(PROFILE)
    with pytest.raises(LasslError, match=rf"{case}.nrrd: found \(3, 4, 5\) voxels, expected .*: run `dvc repro`"):
        cropped(result, case, prepared)
