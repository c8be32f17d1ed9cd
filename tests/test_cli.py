"""The command line: prediction and export from a trained run to files, and what is told when something is wrong."""

import os
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from medpy.metric import binary
from test_scanfiles import numbered, write_series
from test_training import ROOT, settings

from benchmarks import scan_formats
from lassl.cli import arguments
from lassl.cli import main as cli
from lassl.data.prepared import open_prepared
from lassl.evaluation import evaluate as evaluation
from lassl.evaluation import inference
from lassl.evaluation.inference import largest_component
from lassl.evaluation.publish import publish
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import read_volume, write_volume
from lassl.model.placement import place
from lassl.model.record import Cohort
from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import content_hash, find_model, read_exported
from lassl.predict.scan_files import read_scan
from lassl.predict.settings import grid_of
from lassl.training import train as training

RUN = "quick/cps-d0-s0"
GEOMETRY = Geometry((0.625, 0.625, 0.625))


@pytest.fixture(scope="module")
def project(tiny_data, tmp_path_factory):
    """A folder with a trained and evaluated run of two networks."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = settings(tiny_data, train={"steps": 3})
        run = config.run("cps", 0, 0)
        training.train(config, run)
        evaluation.evaluate(config, run)
        publish(run)
    return folder


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)


@pytest.fixture
def raw(tiny_data):
    """The raw image of a test case."""
    return tiny_data.folder / "C6" / "lgemri.nrrd"


def lassl(*words) -> int:
    return cli.run([str(word) for word in words])


def expected(tiny_data, case="C6", name="first") -> np.ndarray:
    """The mask that the evaluation makes of a case with a network of the run."""
    config = settings(tiny_data)
    where = place(config.compute)
    networks = {n: where.module(m).eval() for n, m in read_exported(find_model(RUN)).model.networks.items()}
    image = open_prepared(tiny_data.prepared).read_image(case)
    return inference.foregrounds(networks, image, inference.Windows.of(config), where)[name] > 0.5


def test_a_run_predicts_what_its_evaluation_predicted(tiny_data, raw, tmp_path, capsys):
    assert lassl("predict", RUN, raw, "-o", tmp_path / "out") == 0
    mask = read_volume(tmp_path / "out" / "C6.nrrd")
    assert mask.array.dtype == np.uint8 and mask.geometry == read_volume(raw).geometry
    np.testing.assert_array_equal(mask.array, expected(tiny_data))
    np.testing.assert_array_equal(mask.array, read_volume(Path("predictions/quick/cps-d0-s0/C6.nrrd")).array)
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / "C6.nrrd")]


def test_the_benchmark_of_forms_finds_the_dice_of_the_evaluation(tiny_data, tmp_path):
    prepared = open_prepared(tiny_data.prepared)
    dice = 100 * binary.dc(expected(tiny_data), prepared.read_label("C6"))
    for form in ("NRRD as it is", "NIfTI, axes turned"):
        found, seconds, gib = scan_formats.measure("C6", form, RUN, prepared, tmp_path)
        assert found == pytest.approx(dice, abs=1e-9) and seconds > 0 and 0.1 < gib < 4
    assert scan_formats.evaluated(settings(tiny_data).run("cps", 0, 0), ["C6"]) == pytest.approx(dice, abs=1e-4)


def test_every_form_of_the_benchmark_shows_the_same_body(tiny_data, tmp_path):
    label = Volume(open_prepared(tiny_data.prepared).read_label("C6").astype(np.float32), GEOMETRY)
    own = label.array.sum() * np.prod(GEOMETRY.spacing_mm)
    for form, (suffix, change) in scan_formats.FORMATS.items():
        changed = change(label)
        found = read_scan(scan_formats.write_scan(tmp_path / f"{form}{suffix}", changed))
        np.testing.assert_allclose(found.array, changed.array, atol=scan_formats.SLOPE)
        assert found.array.sum() * np.prod(found.geometry.spacing_mm) == pytest.approx(own, rel=0.05), form


def test_an_exported_file_predicts_the_same_elsewhere(tiny_data, raw, tmp_path, monkeypatch, capsys):
    assert lassl("export", RUN, "-o", tmp_path / "new" / "model.pt") == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert lassl("predict", "new/model.pt", raw, "-o", "out") == 0
    assert "note" not in capsys.readouterr().err
    np.testing.assert_array_equal(read_volume(Path("out/C6.nrrd")).array, expected_in(tiny_data, tmp_path))


def expected_in(tiny_data, folder: Path) -> np.ndarray:
    """The mask of the exported model in a folder."""
    config = settings(tiny_data)
    where = place(config.compute)
    network = read_exported(folder / "new/model.pt").model.networks["first"].eval()
    image = open_prepared(tiny_data.prepared).read_image("C6")
    return inference.predicted_mask(network, image, inference.Windows.of(config), where)


def test_networks_parts_and_maps_are_those_that_were_asked_for(tiny_data, raw, tmp_path):
    seen = set()
    for which, name in (("default", "first"), ("second", "second"), ("ensemble", "ensemble")):
        assert lassl("predict", RUN, raw, "-o", tmp_path / which, "--network", which, "--probability") == 0
        mask = read_volume(tmp_path / which / "C6.nrrd").array
        probability = read_volume(tmp_path / which / "C6-probability.nrrd")
        assert probability.array.dtype == np.float32 and probability.geometry == read_volume(raw).geometry
        np.testing.assert_array_equal(mask, expected(tiny_data, name=name))
        np.testing.assert_array_equal(mask, probability.array > 0.5)
        seen.add(probability.array.tobytes())
        large = tmp_path / f"large {which}"
        assert lassl("predict", RUN, raw, "-o", large, "--network", which, "--largest-component") == 0
        np.testing.assert_array_equal(read_volume(large / "C6.nrrd").array, largest_component(mask))
    assert len(seen) == 3
    assert sorted(path.name for path in large.iterdir()) == ["C6.nrrd"]


def test_the_same_call_gives_the_same_uncertainty(raw, tmp_path):
    for folder in ("a", "b"):
        assert lassl("predict", RUN, raw, "-o", tmp_path / folder, "--uncertainty", "--passes", 2) == 0
    a, b = (read_volume(tmp_path / folder / "C6-uncertainty.nrrd") for folder in ("a", "b"))
    np.testing.assert_array_equal(a.array, b.array)
    assert a.array.dtype == np.float32 and 0 < a.array.max() <= np.log(2) + 1e-6
    assert lassl("predict", RUN, raw, "-o", tmp_path / "c", "--uncertainty", "--passes", 3) == 0
    assert not np.array_equal(read_volume(tmp_path / "c" / "C6-uncertainty.nrrd").array, a.array)


def test_normalized_scans_are_taken_as_they_are(tiny_data, raw, tmp_path):
    image = Volume(open_prepared(tiny_data.prepared).read_image("C6"), read_volume(raw).geometry)
    write_volume(tmp_path / "in" / "a.nii.gz", image)
    write_volume(tmp_path / "in" / "b.nii.gz", Volume(3 * image.array + 5, image.geometry))
    masks = {}
    for words in ((), ("--normalized",)):
        for name in "ab":
            out = tmp_path / f"out{len(words)}"
            assert lassl("predict", RUN, tmp_path / "in" / f"{name}.nii.gz", "-o", out, "--probability", *words) == 0
            masks[name, len(words)] = read_volume(out / f"{name}-probability.nii.gz").array
    np.testing.assert_array_equal(masks["a", 1] > 0.5, expected(tiny_data))
    np.testing.assert_allclose(masks["b", 0], masks["a", 0], atol=1e-4)
    assert not np.allclose(masks["b", 1], masks["a", 1], atol=1e-3)


def test_bad_scans_are_told_in_a_line_each_and_the_others_are_done(raw, tmp_path, capsys):
    (tmp_path / "empty.nrrd").touch()
    (tmp_path / "none").mkdir()
    write_series(tmp_path / "series", numbered())
    write_volume(tmp_path / "good.mha", Volume(numbered().array, Geometry((2.0, 2.5, 3.0))))
    scans = [tmp_path / name for name in ("empty.nrrd", "none", "absent.nii", "good.mha", "picture.png", "series")]
    capsys.readouterr()
    assert lassl("predict", RUN, *scans, "-o", tmp_path / "out") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.mha", "series.nrrd"]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 4
    for name in ("empty.nrrd", "none", "absent.nii", "picture.png"):
        assert sum(f"{tmp_path / name}: " in line for line in lines) == 1


def test_no_scan_is_overwritten_and_no_mask_by_another(raw, tmp_path, capsys):
    for folder in ("a", "b"):
        write_volume(tmp_path / folder / "scan.nrrd", numbered())
    scans = [tmp_path / "a" / "scan.nrrd", tmp_path / "b" / "scan.nrrd"]
    with pytest.raises(LasslError, match=r"out/scan\.nrrd: would be written for .*a/scan.nrrd and for .*b/scan.nrrd"):
        lassl("predict", RUN, *scans, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    before = scans[0].read_bytes()
    assert lassl("predict", RUN, scans[0], raw, "-o", tmp_path / "a") == 1
    assert scans[0].read_bytes() == before and (tmp_path / "a" / "C6.nrrd").is_file()
    assert "would be overwritten" in capsys.readouterr().err


def test_scans_of_case_folders_in_two_calls_get_masks_of_their_own(tmp_path):
    for case in ("K01", "K02"):
        write_volume(tmp_path / "in" / case / "image.nii.gz", Volume(numbered().array, Geometry((2.0, 2.5, 3.0))))
        assert lassl("predict", RUN, tmp_path / "in" / case / "image.nii.gz", "-o", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["K01.nii.gz", "K02.nii.gz"]


def test_what_is_there_stays_unless_it_may_be_overwritten_and_the_others_are_done(raw, tmp_path, capsys):
    write_volume(tmp_path / "b" / "scan.mha", Volume(numbered().array, Geometry((2.0, 2.5, 3.0))))
    out = tmp_path / "out"
    out.mkdir()
    (out / "C6.nrrd").write_text("a mask of something else")
    assert lassl("predict", RUN, raw, tmp_path / "b" / "scan.mha", "-o", out) == 1
    assert (out / "C6.nrrd").read_text() == "a mask of something else" and (out / "scan.mha").is_file()
    told = capsys.readouterr().err
    assert f"error: {raw}: {out / 'C6.nrrd'}: is there already; give another folder with -o, or --overwrite" in told
    assert lassl("predict", RUN, raw, "-o", out, "--overwrite") == 0
    assert read_volume(out / "C6.nrrd").geometry == read_volume(raw).geometry


def test_a_name_that_is_not_in_utf8_is_told_and_the_other_scans_are_done(raw, tmp_path, capfd):
    strange = tmp_path / os.fsdecode(b"\xff.nrrd")
    strange.write_bytes(raw.read_bytes())
    assert lassl("predict", RUN, strange, raw, "-o", tmp_path / "out") == 1
    assert (tmp_path / "out" / "C6.nrrd").is_file()
    assert ".nrrd: found a name that is not in UTF-8, expected one that is: rename it" in capfd.readouterr().err
    with pytest.raises(LasslError, match="is not in UTF-8"):
        lassl("predict", RUN, raw, "-o", tmp_path / os.fsdecode(b"\xfe"))


def test_a_bound_that_is_too_small_names_the_scan(raw, tmp_path, capsys):
    assert lassl("predict", RUN, raw, "-o", tmp_path, "--memory", "1e-4") == 1
    assert re.search(r"error: .*lgemri\.nrrd: a scan of .* raise --memory\n", capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--network", "teacher"], r"--network: the model has no 'teacher' \(found: first, second\); use one of these"),
        (["--stride", "8,17,8"], r"--stride: found \(8, 17, 8\), the window is \(16, 16, 16\)"),
        (["--device", "cuda"], r"--device: found no CUDA device"),
    ],
)
def test_options_that_do_not_go_with_model_or_machine_are_told(raw, tmp_path, words, told):
    if words == ["--device", "cuda"] and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(LasslError, match=told):
        lassl("predict", RUN, raw, "-o", tmp_path, *words)


@pytest.mark.parametrize("words", [["--memory", "0"], ["--passes", "0"], ["--stride", "8,8"], ["--stride", "8,8,x"]])
def test_options_of_no_sense_are_usage_errors(raw, tmp_path, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        lassl("predict", RUN, raw, "-o", tmp_path, *words)
    assert "expected" in capsys.readouterr().err


def test_stride_and_precision_take_the_place_of_the_models(raw, tmp_path):
    found = []
    write_volume(tmp_path / "long.mha", Volume(np.tile(read_volume(raw).array, (2, 1, 1)), read_volume(raw).geometry))
    for i, words in enumerate(([], ["--stride", "16,16,16"], ["--precision", "bf16"])):
        assert lassl("predict", RUN, tmp_path / "long.mha", "-o", tmp_path / str(i), "--probability", *words) == 0
        found.append(read_volume(tmp_path / str(i) / "long-probability.mha").array)
    assert 0 < np.abs(found[1] - found[0]).max() and 0 < np.abs(found[2] - found[0]).max() < 0.1


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
        read_exported(tmp_path / "edited.pt")


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
        with pytest.raises(LasslError, match=rf"{name}: is no readable model"):
            read_exported(Path(name))
    assert not Path("trapped").exists()


def test_a_model_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(LasslError, match=r"models/quick/mt_un\.pt: no such model; .*found in models/: quick/cps-d0-s0"):
        find_model("quick/mt_un")
    assert find_model("models/quick/cps-d0-s0.pt") == find_model(RUN)


def test_export_refuses_other_suffixes_and_the_model_itself(tmp_path):
    with pytest.raises(LasslError, match=r"model\.onnx: found the suffix '\.onnx', expected \.pt"):
        lassl("export", RUN, "-o", tmp_path / "model.onnx")
    with pytest.raises(LasslError, match="would be overwritten"):
        lassl("export", RUN, "-o", "models/quick/cps-d0-s0.pt")


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


def test_the_command_tells_errors_without_a_traceback(raw, tmp_path):
    words = [sys.executable, "-m", "lassl.cli.main", "predict", "quick/none", str(raw), "-o", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: models/quick/none.pt: no such model") and done.stderr.count("\n") == 1


def test_all_commands_are_there_and_installed_as_lassl(capsys):
    with pytest.raises(SystemExit, match="0"):
        lassl("--help")
    told = capsys.readouterr().out
    assert all(f"\n    {name} " in told for name in ("predict", "export", "evaluate", "doctor"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"lassl": "lassl.cli.main:main"}
    assert arguments.parser().parse_args(["evaluate", "p", "r"]).output == metrics_folder("external")
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == ["lassl*", "pipeline"]
