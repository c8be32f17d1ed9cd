"""Export of a trained run to a file, and reading models: what they hold, and what is refused."""

import os
import pickle
from pathlib import Path

import pytest
import torch
import yaml

from helpers.command import RUN, lassl
from helpers.trainings import settings
from lassl.data.prepared import open_prepared
from lassl.evaluation import inference
from lassl.model.record import Cohort
from lassl.model.start import find_model
from lassl.model.weights_file import content_hash
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported
from lassl.predict.settings import crop_of, grid_of

pytestmark = pytest.mark.usefixtures("in_project")


def test_an_exported_file_holds_what_predicting_needs_and_where_the_model_comes_from(tiny_data, tmp_path):
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content["needs"] == {
        "pool": 1,
        "window": [16, 16, 16],
        "stride": [8, 8, 8],
        "batch": settings(tiny_data).evaluate.batch,
        "precision": "fp32",
        "channels_last": True,
        "spacing_mm": [0.625, 0.625, 0.625],
        "orientation": "LPS",
        "normalization": "whole volume mean and standard deviation",
        "crop": None,
    }
    assert content["network"] == {"width": 2, "residual": True, "dropout": 0.1}
    assert list(content["weights"]) == ["first", "second"]
    assert content["cohort_sha256"] == open_prepared(tiny_data.prepared).manifest_hash
    assert set(content["metrics"]) == {"dice", "jaccard", "asd", "hd95", "failed"}
    trained = torch.load("models/quick/cps-d0-s0.pt", weights_only=True)
    assert content["record"] == trained["record"]
    for name, tensors in trained["weights"].items():
        assert all(torch.equal(content["weights"][name][key], value) for key, value in tensors.items())
    lassl("export", tmp_path / "model.pt", "-o", tmp_path / "again.pt")
    assert torch.load(tmp_path / "again.pt", weights_only=True)["sha256"] == content["sha256"]


def edited(content, change):
    change(content)
    return content


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["weights"]["second"]["head.1.bias"].add_(1e-6),
        lambda c: c["needs"].update(pool=2),
        lambda c: c["record"].update(seed=1),
        lambda c: c["weights"]["first"].pop("head.1.bias"),
        lambda c: c.pop("sha256"),
        lambda c: c.update(metrics={"dice": 99.9}),
        lambda c: c.update(volumes_ml=[0.0, 9999.0]),
    ],
)
def test_an_edited_file_is_refused(tmp_path, change):
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    torch.save(edited(content, change), tmp_path / "edited.pt")
    with pytest.raises(LasslError, match=r"edited\.pt: damaged or edited \(.*\); export or copy it again"):
        read_exported(tmp_path / "edited.pt")


def test_a_file_from_before_volumes_were_told_is_read_and_knows_none(tmp_path):
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    del content["volumes_ml"]
    torch.save(content | {"sha256": content_hash(content)}, tmp_path / "older.pt")
    assert read_exported(tmp_path / "older.pt").volumes_ml is None


def test_a_damaged_foreign_or_newer_file_is_refused(tmp_path):
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    whole = (tmp_path / "model.pt").read_bytes()
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").touch()
    torch.save({"state_dict": {}}, tmp_path / "foreign.pt")
    torch.save(content | {"version": 3}, tmp_path / "newer.pt")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (tmp_path / "flipped.pt").write_bytes(flipped)
    told = {
        "cut": "not a readable model",
        "empty": "not a readable model",
        "foreign": "something else",
        "newer": "version 3 of the format; expected 2 or older: update lassl",
    }
    for name, text in (told | {"flipped": r"damaged|not a readable"}).items():
        with pytest.raises(LasslError, match=rf"{name}\.pt: .*({text})") as error:
            read_exported(tmp_path / f"{name}.pt")
        assert "\n" not in str(error.value)


class Trap:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_reading_a_model_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "lassl model", "network": Trap()}, "trap.pt")
    with open("pickle.pt", "wb") as file:
        pickle.dump(Trap(), file)
    for name in ("trap.pt", "pickle.pt"):
        with pytest.raises(LasslError, match=rf"{name}: not a readable model"):
            read_exported(Path(name))
    assert not Path("trapped").exists()


def test_a_model_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(LasslError, match=r"models/quick/mt_un\.pt: no such model; .*found in models/: quick/cps-d0-s0"):
        find_model("quick/mt_un")
    assert find_model("models/quick/cps-d0-s0.pt") == find_model(RUN)


def test_export_refuses_other_suffixes_and_the_model_itself(tmp_path):
    with pytest.raises(LasslError, match=r"model\.onnx: found the suffix '\.onnx', expected \.pt"):
        lassl("export", RUN, "-o", tmp_path / "model.onnx")
    with pytest.raises(LasslError, match=r"model\.pt: found the suffix '\.pt', expected \.onnx"):
        lassl("export", RUN, "-o", tmp_path / "model.pt", "--format", "onnx")
    with pytest.raises(LasslError, match="--half: works only with --format lassl"):
        lassl("export", RUN, "-o", tmp_path / "model.onnx", "--format", "onnx", "--half")
    with pytest.raises(LasslError, match="would be overwritten"):
        lassl("export", RUN, "-o", "models/quick/cps-d0-s0.pt")


def test_a_file_that_is_there_stays_unless_it_may_be_overwritten(tmp_path):
    for name, *words in (("another-run.pt",), ("another-run.onnx", "--format", "onnx")):
        path = tmp_path / name
        path.write_text("trained for days")
        with pytest.raises(LasslError, match=rf"{name}: exists already; .* or use --overwrite to replace it"):
            lassl("export", RUN, "-o", path, *words)
        assert path.read_text() == "trained for days"
    assert lassl("export", RUN, "-o", tmp_path / "another-run.pt", "--overwrite") == 0
    assert read_exported(tmp_path / "another-run.pt").model.networks


def copied(project, change) -> None:
    """Put the model of the run, with a changed record, into the present folder as model.pt."""
    content = torch.load(project / "models/quick/cps-d0-s0.pt", weights_only=True)
    torch.save(edited(content, lambda c: change(c["record"])), "model.pt")


def older(record) -> None:
    """Take away what older records do not say."""
    del record["cohort"]["spacing_mm"], record["cohort"]["orientation"], record["training"]["precision"]
    record["settings"]["compute"]["precision"] = "bf16"


def test_the_grid_of_the_training_is_that_of_its_record_and_without_evaluation_windows_overlap_by_half(
    project, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    copied(project, lambda record: record["cohort"].update(spacing_mm=[0.5, 0.75, 2.0], orientation="AIL"))
    found = read_exported(Path("model.pt"))
    assert (found.settings.spacing_mm, found.settings.orientation) == ((0.5, 0.75, 2.0), "AIL")
    assert (found.settings.stride, found.settings.precision, found.metrics) == ((8, 8, 8), "fp32", None)
    (told,) = capsys.readouterr().err.splitlines()
    assert "no record of an evaluation of cps-d0-s0; windows overlap by half (--stride changes it)" in told


def test_stride_and_batch_are_those_of_the_evaluation(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    copied(project, lambda record: None)
    record = yaml.safe_load((project / "metrics/quick/records/cps-d0-s0.yaml").read_text())
    record["evaluation"] |= {"stride": [4, 8, 16], "batch": 7}
    Path("metrics/quick/records").mkdir(parents=True)
    Path("metrics/quick/records/cps-d0-s0.yaml").write_text(yaml.safe_dump(record))
    found = read_exported(Path("model.pt")).settings
    assert found.windows == inference.Windows(pool=1, size=(16, 16, 16), stride=(4, 8, 16), batch=7)
    assert not capsys.readouterr().err


def test_a_grid_that_neither_record_nor_cohort_says_is_not_guessed(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copied(project, lambda record: (older(record), record["cohort"].update(name="la2018")))
    told = r"data/prepared/la2018/manifest\.json: not found, and the model's record, .* neither spacing nor orientation"
    with pytest.raises(LasslError, match=rf"{told} of cohort la2018; prepare it with `dvc repro`, or use a file that"):
        read_exported(Path("model.pt"))


def test_of_an_older_record_the_grid_is_that_of_the_prepared_cohort(tiny_data, project, tmp_path, monkeypatch, capsys):
    manifest = open_prepared(tiny_data.prepared).manifest
    turned = {"spacing_mm": (0.5, 0.75, 2.0), "direction": (0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0)}
    cases = (manifest.cases[0].model_copy(update=turned), *manifest.cases[1:])
    monkeypatch.chdir(tmp_path)
    folder = Path("data/prepared/turned")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest.model_copy(update={"cases": cases}).model_dump_json(by_alias=True))
    copied(project, lambda record: (older(record), record["cohort"].update(name="turned")))
    found = read_exported(Path("model.pt")).settings
    assert (found.spacing_mm, found.orientation, found.precision) == ((0.5, 0.75, 2.0), "AIL", "bf16")
    assert "prepared anew" not in capsys.readouterr().err
    assert grid_of(Cohort(name="turned", hash="00")) == ((0.5, 0.75, 2.0), "AIL")
    assert "cohort turned was prepared anew since the training" in capsys.readouterr().err


def test_an_exported_file_with_an_older_record_is_read_elsewhere(tmp_path, monkeypatch, capsys):
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    older(content["record"])
    torch.save(content | {"sha256": content_hash(content)}, tmp_path / "older.pt")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert read_exported(Path("older.pt")).settings == read_exported(Path("model.pt")).settings
    assert not capsys.readouterr().err


def test_the_networks_behind_a_name_are_one_or_all():
    model = read_exported(find_model(RUN)).model
    assert [model.named(which, "key") for which in ("default", "second", "ensemble")] == ["first", "second", "ensemble"]
    assert model.members("second") == {"second": model.networks["second"]}
    assert model.members("ensemble") == dict(model.networks) and len(model.networks) == 2
    with pytest.raises(LasslError, match=r"key: the model has no 'teacher' \(found: first, second\); use one of these"):
        model.named("teacher", "key")


def test_scores_of_other_weights_are_not_exported(project, tmp_path, monkeypatch):
    content = torch.load("models/quick/cps-d0-s0.pt", weights_only=True)
    assert read_exported(Path("models/quick/cps-d0-s0.pt")).metrics
    content["record"]["weights_sha256"] = "00"
    torch.save(content, tmp_path / "model.pt")
    assert read_exported(tmp_path / "model.pt").metrics is None


OWN = {"crop": "label", "min_size": [10, 20, 30], "margin": [4, 8], "crop_z": True}
LEAST, MARGINS = [5.0, 15.0, 60.0], [3.0, 4.5, 12.0]


@pytest.mark.parametrize(
    ("layout", "options", "expected"),
    [
        ("own", OWN, {"least_mm": LEAST, "margins_mm": MARGINS, "along_z": True}),
        ("challenge", OWN | {"crop_z": False}, {"least_mm": LEAST, "margins_mm": MARGINS, "along_z": False}),
        ("own", OWN | {"crop": "none"}, None),
        (  # as the field crops
            "h5",
            {"crop": "none"},
            {"least_mm": [56.0, 84.0, 160.0], "margins_mm": [7.25, 10.875, 29.0], "along_z": False},
        ),
    ],
)
def test_the_crop_of_the_training_is_that_of_its_prepared_cohort(
    tiny_data, tmp_path, monkeypatch, layout, options, expected
):
    manifest = open_prepared(tiny_data.prepared).manifest
    monkeypatch.chdir(tmp_path)
    folder = Path("data/prepared/cropped")
    folder.mkdir(parents=True)
    text = manifest.model_copy(update={"layout": layout, "options": options}).text()
    (folder / "manifest.json").write_text(text)
    spacing_mm = (0.5, 0.75, 2.0)
    assert crop_of(Cohort(name="cropped", hash=manifest.hash), spacing_mm) == expected
    assert crop_of(Cohort(name="cropped", hash="another"), spacing_mm) is None
    assert crop_of(Cohort(name="absent", hash=manifest.hash), spacing_mm) is None
