"""The cases of the report: which are shown, with what masks and uncertainty."""

import base64
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.pages import scored, write_masks
from helpers.runs import PROFILE, cases, write_run
from lassl.data.prepared import Prepared
from lassl.evaluation.evaluate import in_percent
from lassl.images.geometry import Volume
from lassl.images.volumes import write_volume
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.report.cases import Shown, cropped, extremes, means_of_cases, showable, view, views
from lassl.report.report import without_uncertainty
from lassl.report.volume import box_around, thinned
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


def write_probability(run: Run, prepared: Prepared, case: str) -> np.ndarray:
    """A probability that falls along x, from 1 to 0, as the evaluation writes it."""
    size = prepared.cases[case].shape
    values = np.broadcast_to(np.linspace(1, 0, size[0])[:, None, None], size)
    write_volume(run.predictions / "probability" / f"{case}.nrrd", in_percent(values, case, prepared))
    return values


def test_the_entropy_of_the_probability_behind_a_mask_is_shown_beside_it(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_masks(run, prepared, 1)
    case = prepared.split.test[1]
    values = write_probability(run, prepared, case)
    (row,) = showable({"cps": "CPS"}, {"cps": read_results(PROFILE)}, ["cps"], prepared)
    found = view(case, None, [row], prepared, 1e9)
    box = box_around([prepared.read_label(case) > 0, cropped(row.result, case, prepared) > 0])
    assert found["start"] == [side.start for side in box] and found["surfaces"] == {} and found["step"] == 1
    p = values[thinned(box, 2)][..., 0].T.clip(1e-9, 1 - 1e-9)
    expected = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)) * 255  # in bits: white is one bit
    gray = decoded(found["uncertainty"]["cps"]["jpeg"])[: expected.shape[0], : expected.shape[1]]
    assert np.ptp(expected) > 50
    np.testing.assert_allclose(gray, expected, atol=24)  # whole percent, and a coarse JPEG


def decoded(uri: str) -> np.ndarray:
    """The gray values (rows, columns) of a picture."""
    path = Path("picture.jpg")
    path.write_bytes(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(float)


@pytest.mark.parametrize(("uncertain", "told"), [(["cps"], ["cps-d0-s0"]), ([], [])])
def test_predictions_without_probabilities_are_shown_without_uncertainty_and_told_where_it_is_wanted(
    workspace, prepared, uncertain, told
):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_masks(run, prepared, 1)
    rows = showable({"cps": "CPS"}, {"cps": read_results(PROFILE)}, uncertain, prepared)
    found = view(prepared.split.test[0], "best", rows, prepared, 1e9)
    assert found["uncertainty"] == {} and without_uncertainty(rows) == told


def test_rows_that_are_not_shown_first_have_no_uncertainty(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_masks(run, prepared, 1)
    write_probability(run, prepared, prepared.split.test[0])
    rows = showable({"cps": "CPS"}, {"cps": read_results(PROFILE)}, [], prepared)
    assert view(prepared.split.test[0], "best", rows, prepared, 1e9)["uncertainty"] == {}
    assert without_uncertainty(rows) == []


def test_a_probability_of_another_size_or_none_of_a_case_is_refused(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_masks(run, prepared, 1)
    first, second = prepared.split.test
    path = run.predictions / "probability" / f"{first}.nrrd"
    write_volume(path, Volume(np.zeros((3, 4, 5), np.uint8)))
    rows = showable({"cps": "CPS"}, {"cps": read_results(PROFILE)}, ["cps"], prepared)
    with pytest.raises(LasslError, match=rf"{path}: found \(3, 4, 5\) voxels, expected .*: run `dvc repro`"):
        view(first, None, rows, prepared, 1e9)
    with pytest.raises(LasslError, match=rf"probability/{second}.nrrd: cannot be read"):
        view(second, None, rows, prepared, 1e9)


def test_an_empty_prediction_has_no_surface(workspace, prepared):
    run = write_run(scores=scored(prepared, 0, 0), cohort=("synthetic", prepared.manifest_hash))
    for case in prepared.split.test:
        write_volume(run.predictions / f"{case}.nrrd", prepared.paste(case, 0 * prepared.read_label(case)))
    (result,) = read_results(PROFILE)
    first, second = views([Shown("cps", "CPS", result)], {"best": prepared.split.test[0]}, prepared)
    assert first["surfaces"] == {} and first["masks"]["cps"] == [np.prod(first["image"]["size"])]
    assert first["ghost"] and second["ghost"] is None and first["limit"] == second["limit"] == 2


def test_masks_of_another_size_are_refused(workspace, prepared):
    run = write_run(scores=scored(prepared, 0, 0))
    case = prepared.split.test[0]
    write_volume(run.predictions / f"{case}.nrrd", Volume(np.zeros((3, 4, 5), np.uint8)))
    (result,) = read_results(PROFILE)
    with pytest.raises(LasslError, match=rf"{case}.nrrd: found \(3, 4, 5\) voxels, expected .*: run `dvc repro`"):
        cropped(result, case, prepared)
