"""Evaluation of a cohort with several structures: their scores, those of a case, and what is written."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.command import lassl
from helpers.structured import LACKING, SPACING, STRUCTURES, UNSEEN, save_run, structured_data, structured_settings
from lassl.data.prepared import open_prepared
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.fields_of_view import fields_of_view
from lassl.evaluation.inference import Windows, foregrounds
from lassl.evaluation.metrics import score, score_structures
from lassl.evaluation.publish import publish
from lassl.evaluation.scores import SUMMARY, UNDEFINED, by_structure, of_cases
from lassl.evaluation.summary import counted, summary_text
from lassl.images.components import largest_component, largest_of_each
from lassl.images.geometry import Geometry, Volume
from lassl.images.grids import shifted
from lassl.images.structures import classes_in, with_values
from lassl.images.volumes import read_volume, write_volume
from lassl.model.placement import place
from lassl.model.record import Reported, read_record
from lassl.model.trained import load_model
from lassl.plumbing.errors import LasslError
from lassl.results.runs import read_scores

REPORTED = Reported(network="network", largest_component=False, failures="excluded")
NAN = float("nan")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return structured_data(tmp_path_factory.mktemp("structured"))


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write outputs to."""
    monkeypatch.chdir(tmp_path)


def evaluated(data, **changes):
    config = structured_settings(data, **changes)
    run = save_run(config, snapshots=config.snapshots.count)
    evaluate(config, run)
    publish(run)
    return run


def raw_label(data, case):
    return read_volume(data.folder / case / "label.nrrd").array


# the scores of a pair


def classes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (9, 8, 7)).astype(np.uint8)


def test_the_scores_of_each_structure_are_those_of_its_two_masks():
    found = score_structures(classes(0), classes(1), STRUCTURES, SPACING)
    assert list(found) == list(STRUCTURES)
    for index, scores in enumerate(found.values(), 1):
        assert scores == score(classes(0) == index, classes(1) == index, SPACING)


def test_a_structure_that_the_reference_lacks_has_no_scores_and_one_that_the_prediction_lacks_failed():
    predicted, reference = classes(0), classes(1)
    reference[reference == 2] = 0
    predicted[predicted == 3] = 1
    found = {name: asdict(scores) for name, scores in score_structures(predicted, reference, "abc", SPACING).items()}
    lacking = found["b"]
    assert all(np.isnan(lacking[name]) for name in UNDEFINED) and not lacking["failed"]
    assert {name for name, value in lacking.items() if not np.isnan(value)} == {
        "diagonal_voxel",
        "diagonal_mm",
        "failed",
    }
    assert (lacking["diagonal_voxel"], lacking["diagonal_mm"]) == (
        found["a"]["diagonal_voxel"],
        found["a"]["diagonal_mm"],
    )
    assert found["c"]["failed"] and found["c"]["dice_percent"] == 0 and np.isnan(found["c"]["hd95_mm"])


def test_a_reference_without_any_of_the_structures_is_an_error():
    with pytest.raises(LasslError, match=r"the reference \(9, 8, 7\) has none of a, b, c; check the case's label"):
        score_structures(classes(0), 0 * classes(1), "abc", SPACING)


# the scores of cases


def table(rows: dict[tuple[str, str], tuple[float, float, bool]]) -> pd.DataFrame:
    """Dice and ASD of cases and structures, as in a file; all other scores are undefined."""
    lines = [
        {"case": case, "network": "network", "parts": "all", "structure": name}
        | dict.fromkeys(UNDEFINED, NAN)
        | {"dice_percent": dice, "jaccard_percent": dice / 2, "asd_voxel": asd, "hd95_voxel": 2 * asd}
        | {"diagonal_voxel": 100.0, "diagonal_mm": 50.0, "failed": failed}
        for (case, name), (dice, asd, failed) in rows.items()
    ]
    return pd.DataFrame(lines)


CASES = table(
    {
        ("B", "one"): (90, 1, False),
        ("B", "two"): (60, 3, False),
        ("A", "one"): (0, NAN, True),
        ("A", "two"): (50, 5, False),
        ("C", "one"): (80, 2, False),
        ("C", "two"): (NAN, NAN, False),
    }
)


def test_the_score_of_a_case_is_the_mean_over_the_structures_that_have_one():
    found = of_cases(CASES)
    assert found["case"].tolist() == ["B", "A", "C"] and "structure" not in found
    assert found["dice_percent"].tolist() == [75, 25, 80]
    assert found["asd_voxel"].tolist() == [2, 5, 2]
    assert found["failed"].tolist() == [0, 1, 0]
    assert list(found) == [name for name in CASES if name != "structure"]


def test_scores_of_one_structure_stay_as_they_are():
    one = CASES[CASES["structure"] == "one"].drop(columns="structure")
    assert of_cases(one) is one and by_structure(one) == {}


def test_failures_are_counted_in_each_structure_before_the_mean_over_them():
    found = counted(CASES, "diagonal")
    assert found["asd_voxel"].tolist() == [2, 52.5, 2]  # (100 + 5) / 2
    assert counted(CASES, "excluded")["asd_voxel"].tolist() == [2, 5, 2]


def test_the_summary_is_the_mean_of_the_cases_and_has_that_of_each_structure():
    assert json.loads(summary_text(CASES, REPORTED)) == {
        **{"dice": 60, "jaccard": 30, "asd": 3, "hd95": 6, "failed": 1},
        "structures": {
            "one": {"dice": 56.6667, "jaccard": 28.3333, "asd": 1.5, "hd95": 3, "failed": 1, "absent": 0},
            "two": {"dice": 55, "jaccard": 27.5, "asd": 4, "hd95": 8, "failed": 0, "absent": 1},
        },
    }


# masks


def test_the_largest_component_is_kept_of_each_structure():
    mask = classes(3)
    found = largest_of_each(mask, 3)
    assert found.dtype == np.uint8
    for index in (1, 2, 3):
        np.testing.assert_array_equal(found == index, largest_component(mask == index))


def test_masks_for_users_have_the_first_value_of_each_structure():
    place = Geometry(SPACING)
    found = with_values(Volume(classes(0), place), STRUCTURES)
    assert found.geometry == place and found.array.dtype == np.uint16  # 300 does not fit one byte
    for index, value in enumerate((0, 47, 300, 5)):
        np.testing.assert_array_equal(found.array == value, classes(0) == index)
    np.testing.assert_array_equal(classes_in(found.array, STRUCTURES), classes(0))
    assert with_values(Volume(classes(0), place), {"horns": (47, 48)}).array.dtype == np.uint8
    assert with_values(Volume(classes(0), place), {"a": (3,), "b": (255,), "c": (4,)}).array.dtype == np.uint8


# a run


def test_each_structure_of_a_run_scores_as_its_written_mask_does_alone(data):
    run = evaluated(data)
    found = read_scores(run.cases)
    assert list(found)[:4] == ["case", "network", "parts", "structure"]
    rows = [(case, parts, name) for case in ("C6", "C7") for parts in ("all", "largest") for name in STRUCTURES]
    assert list(found[["case", "parts", "structure"]].itertuples(index=False, name=None)) == rows
    whole = found[found["parts"] == "all"].set_index(["case", "structure"])
    for case in ("C6", "C7"):
        mask = read_volume(run.predictions / f"{case}.nrrd")
        assert set(np.unique(mask.array)) <= {0, 47, 300, 5} and mask.geometry == Geometry(SPACING)
        for name, values in STRUCTURES.items():
            true = np.isin(raw_label(data, case), values)
            row = whole.loc[(case, name)].drop(["network", "parts"]).to_dict()
            if (case, name) == (LACKING, "stem"):
                assert np.isnan(row["dice_percent"]) and not row["failed"]
                continue
            expected = asdict(score(mask.array == values[0], true, SPACING))
            assert row == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert whole.loc[(UNSEEN, "core"), "failed"] and whole["failed"].sum() == 1
    defined = whole["dice_percent"].dropna()
    assert (defined.drop((UNSEEN, "core")) > 60).all() and defined.nunique() >= 4


def test_the_record_names_the_structures_and_the_summary_has_each(data):
    run = evaluated(data)
    assert read_record(run.record).cohort.structures == STRUCTURES
    found, rows = json.loads(run.metrics.read_text()), read_scores(run.cases)
    rows = rows[rows["parts"] == "all"]
    by_case = rows.groupby("case")["dice_percent"].mean()
    assert found["dice"] == pytest.approx(by_case.mean(), abs=1e-3)
    assert {name: each["absent"] for name, each in found["structures"].items()} == {"horns": 0, "core": 0, "stem": 1}
    assert found["structures"]["core"]["failed"] == found["failed"] == 1
    for name, each in found["structures"].items():
        own = rows[rows["structure"] == name]
        for key, column in SUMMARY.items():
            assert each[key] == pytest.approx(own[column].mean(), abs=1e-3)


def test_the_largest_component_of_each_structure_is_written_where_it_is_asked_for(data):
    run = evaluated(data, evaluate={"largest_component": True})
    found = read_scores(run.cases)
    own = found[(found["parts"] == "largest") & (found["case"] == "C6")].set_index("structure")
    mask = read_volume(run.predictions / "C6.nrrd").array
    for name, values in {"horns": (47, 48), "stem": (5,)}.items():
        np.testing.assert_array_equal(mask == values[0], largest_component(mask == values[0]))
        true = np.isin(raw_label(data, "C6"), values)
        assert own.loc[name, "dice_percent"] == pytest.approx(score(mask == values[0], true, SPACING).dice_percent)
    whole = found[(found["parts"] == "all") & (found["case"] == "C6")].set_index("structure")
    assert own.loc["horns", "dice_percent"] < whole.loc["horns", "dice_percent"] - 10  # one of two horns


def test_the_probability_of_each_structure_has_a_folder(data):
    run, prepared = evaluated(data), open_prepared(data.prepared)
    assert sorted(path.name for path in (run.predictions / "probability").iterdir()) == sorted(STRUCTURES)
    config = structured_settings(data)
    where = place(config.compute)
    networks = {name: where.module(network).eval() for name, network in load_model(run.model).networks.items()}
    (expected,) = foregrounds(networks, prepared.read_image("C7"), Windows.of(config), where).values()
    for name, probability in zip(STRUCTURES, expected, strict=True):
        found = read_volume(run.predictions / "probability" / name / "C7.nrrd")
        assert found.geometry == shifted(prepared.geometry("C7"), prepared.crop_start("C7"))
        np.testing.assert_allclose(found.array / 100, probability, atol=0.005 + 1e-6)
        assert len(np.unique(found.array)) > 10


def test_a_snapshot_has_the_mean_dice_over_the_structures_of_a_case(data):
    run = evaluated(data, snapshots={"count": 1}, cases={"held_out": 1})
    record, rows = read_record(run.record), read_scores(run.cases)
    last = record.snapshot_dice[-1]
    means = of_cases(rows[rows["parts"] == "all"]).set_index("case")["dice_percent"]
    assert last.test == pytest.approx(means.to_dict(), abs=1e-5)
    assert record.snapshot_dice[0].test != last.test and len(last.held_out) == 1


def test_other_fields_of_view_are_scored_by_structure(data):
    config = structured_settings(data)
    run = save_run(config)
    evaluate(config, run)
    publish(run)
    fields_of_view(config, run, "whole")
    found, ours = read_scores(run.field("whole")), read_scores(run.cases)
    assert list(found)[:3] == ["case", "field", "structure"]
    ours = ours[ours["parts"] == "all"].reset_index(drop=True)  # that cohort is not cropped
    pd.testing.assert_series_equal(found["dice_percent"], ours["dice_percent"])
    assert of_cases(found)["dice_percent"].tolist() == of_cases(ours)["dice_percent"].tolist()


def test_one_structure_with_its_values_is_scored_as_before(tmp_path):
    data = structured_data(tmp_path / "one", {"horns": (47, 48)})
    run = evaluated(data)
    assert "structure" not in read_scores(run.cases) and read_record(run.record).cohort.structures is None
    assert "structures" not in json.loads(run.metrics.read_text())
    mask = read_volume(run.predictions / "C6.nrrd").array
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}
    assert (run.predictions / "probability/C6.nrrd").is_file()


def test_a_model_of_other_structures_than_the_cohort_is_refused(data, tmp_path):
    run = save_run(structured_settings(data))
    other = structured_data(tmp_path / "other", {"core": (300,), "stem": (5,)})
    with pytest.raises(
        LasslError, match=r"vnet_16-d0-s0\.pt: has the structures horns, core, stem, but .* has the structures core, "
        r"stem; train it again with `dvc repro`"
    ):  # fmt: skip
        evaluate(structured_settings(other), run)
    assert not run.predictions.exists()


# masks from elsewhere

VALUES = ("--values", "horns=47,48", "--values", "core=300", "--values", "stem=5")


def test_masks_from_elsewhere_score_by_structure_as_our_own(data, capsys):
    run = evaluated(data)
    words = ("--name", "theirs", "--split", data.split, *VALUES)
    assert lassl("evaluate", run.predictions, data.folder, *words) == 0
    printed = capsys.readouterr().out
    assert "1 of 5 failed" in printed and "| stem |" in printed and "| 0 | 1 of 2 |" in printed
    ours, theirs = read_scores(run.cases), read_scores("metrics/external/theirs.csv")
    ours = ours[ours["parts"] == "all"].reset_index(drop=True)
    pd.testing.assert_frame_equal(theirs.drop(columns="network"), ours.drop(columns="network"))
    assert json.loads(Path("metrics/external/theirs.json").read_text()) == json.loads(run.metrics.read_text())


@pytest.mark.parametrize(
    "words",
    [("47,48", "core=300"), ("a=47", "a=48"), ("a=47,48", "b=48"), ("47", "48")],
)
def test_several_structures_need_names_and_values_of_their_own(words, data):
    values = [word for each in words for word in ("--values", each)]
    told = f"--values: found {' '.join(words)}, expected for each of several structures a name and values of its own"
    with pytest.raises(LasslError, match=re.escape(told)):
        lassl("evaluate", data.folder, data.folder, "--name", "n", *values)


def test_a_reference_with_none_of_the_structures_is_told():
    for path in ("p/A.nrrd", "r/A.nrrd"):
        write_volume(Path(path), Volume(classes(0), Geometry(SPACING)))
    with pytest.raises(
        LasslError, match=r"r/A\.nrrd: the reference is empty, none of its voxels has one of the --values"
    ):
        lassl("evaluate", "p", "r", "--name", "n", "--values", "a=8", "--values", "b=9")
    assert not Path("metrics").exists()


def test_imported_weights_are_not_scored_on_several_structures(data, monkeypatch):
    class Model:
        class record:
            name, title = "theirs", "Theirs"

    monkeypatch.setattr("lassl.predict.import_weights.read_imported", lambda path: (Model, None))
    Path("theirs.pt").touch()
    told = r"prepared: has the structures horns, core, stem, but imported weights give one; name a cohort of one"
    with pytest.raises(LasslError, match=told):
        lassl("evaluate", "theirs.pt", data.prepared)
