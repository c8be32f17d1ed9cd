"""Export of a trained run to a file, and reading models: what they hold, and what is refused."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from helpers.command import RUN, lassl
from helpers.trainings import settings
from lassl.data.prepared import open_prepared
from lassl.plumbing.errors import LasslError
from lassl.predict import model_file as exported
from lassl.predict.settings import grid_of

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
    ],
)
def test_an_edited_file_is_refused(tmp_path, change):
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    torch.save(edited(content, change), tmp_path / "edited.pt")
    with pytest.raises(LasslError, match=r"edited\.pt: damaged or edited \(.*\); export or copy it again"):
        exported.read(tmp_path / "edited.pt")


def test_a_damaged_foreign_or_newer_file_is_refused(tmp_path):
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    whole = (tmp_path / "model.pt").read_bytes()
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").touch()
    torch.save({"state_dict": {}}, tmp_path / "foreign.pt")
    torch.save(content | {"version": 2}, tmp_path / "newer.pt")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (tmp_path / "flipped.pt").write_bytes(flipped)
    told = {"cut": "no readable model", "empty": "no readable model", "foreign": "something else", "newer": "version 2"}
    for name, text in (told | {"flipped": r"damaged|no readable"}).items():
        with pytest.raises(LasslError, match=rf"{name}\.pt: .*({text})") as error:
            exported.read(tmp_path / f"{name}.pt")
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
        with pytest.raises(LasslError, match=rf"{name}: is no readable model"):
            exported.read(Path(name))
    assert not Path("trapped").exists()


def test_a_model_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(LasslError, match=r"models/quick/mt_un\.pt: no such model; .*found in models/: quick/cps-d0-s0"):
        exported.find("quick/mt_un")
    assert exported.find("models/quick/cps-d0-s0.pt") == exported.find(RUN)


def test_export_refuses_other_suffixes_and_the_model_itself(tmp_path):
    with pytest.raises(LasslError, match=r"model\.onnx: found the suffix '\.onnx', expected \.pt"):
        lassl("export", RUN, "-o", tmp_path / "model.onnx")
    with pytest.raises(LasslError, match="would be overwritten"):
        lassl("export", RUN, "-o", "models/quick/cps-d0-s0.pt")


def test_without_record_and_cohort_the_usual_is_taken_and_noted(project, raw, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content = torch.load(project / "models/quick/cps-d0-s0.pt", weights_only=True)
    content["record"]["cohort"] = {"name": "la2018", "hash": "00"}
    torch.save(content, "model.pt")
    found = exported.read(Path("model.pt"))
    assert found.needs.stride == (8, 8, 8) and found.needs.spacing_mm == (0.625, 0.625, 0.625)
    assert found.metrics is None
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 2 and "no record of an evaluation of cps-d0-s0" in notes[0]
    assert "no prepared cohort la2018; taking the model to be trained on (0.625, 0.625, 0.625) mm, LPS" in notes[1]


def test_the_spacing_of_a_cohort_that_is_not_the_challenges_is_not_guessed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LasslError, match=r"data/prepared/kidney/manifest\.json: cannot be read; prepare the cohort"):
        grid_of({"name": "kidney", "hash": "00"})


def test_spacing_and_orientation_come_from_the_cohort_of_the_training(tiny_data, tmp_path, monkeypatch, capsys):
    manifest = open_prepared(tiny_data.prepared).manifest
    turned = {"spacing_mm": (0.5, 0.75, 2.0), "direction": (0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0)}
    cases = (manifest.cases[0].model_copy(update=turned), *manifest.cases[1:])
    monkeypatch.chdir(tmp_path)
    folder = Path("data/prepared/turned")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest.model_copy(update={"cases": cases}).model_dump_json())
    assert grid_of({"name": "turned", "hash": manifest.hash}) == ((0.5, 0.75, 2.0), "AIL")
    assert not capsys.readouterr().err
    grid_of({"name": "turned", "hash": "00"})
    assert "cohort turned was prepared anew since the training" in capsys.readouterr().err


def test_scores_of_other_weights_are_not_exported(project, tmp_path, monkeypatch):
    content = torch.load("models/quick/cps-d0-s0.pt", weights_only=True)
    assert exported.read(Path("models/quick/cps-d0-s0.pt")).metrics
    content["record"]["weights_sha256"] = "00"
    torch.save(content, tmp_path / "model.pt")
    assert exported.read(tmp_path / "model.pt").metrics is None
