"""Prediction from a trained run to files, and what is told when something is wrong."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from medpy.metric import binary

from helpers.command import RUN, expected, lassl
from helpers.dicom import write_series
from helpers.scans import numbered
from helpers.trainings import settings
from lassl.data.prepared import open_prepared
from lassl.evaluation import inference
from lassl.images.components import largest_component
from lassl.images.geometry import Geometry, Volume, orientation
from lassl.images.grids import covering, resampled, turned
from lassl.images.volumes import read_volume, write_volume
from lassl.model.placement import place
from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported, write_exported
from lassl.predict.scan_files import read_scan
from lassl.results.runs import read_scores

pytestmark = [pytest.mark.usefixtures("in_project"), pytest.mark.slow]

GEOMETRY = Geometry((0.625, 0.625, 0.625))


def test_a_run_predicts_what_its_evaluation_predicted(tiny_data, raw, tmp_path, capsys):
    assert lassl("predict", RUN, raw, "-o", tmp_path / "out") == 0
    mask = read_volume(tmp_path / "out" / "C6.nrrd")
    assert mask.array.dtype == np.uint8 and mask.geometry == read_volume(raw).geometry
    np.testing.assert_array_equal(mask.array, expected(tiny_data))
    np.testing.assert_array_equal(mask.array, read_volume(Path("predictions/quick/cps-d0-s0/C6.nrrd")).array)
    ml = mask.array.sum() * 0.625**3 / 1000
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'C6.nrrd'}\t{ml:.3g} mL\n"


Change = Callable[[Volume], Volume]
SLOPE = 0.001  # of the DICOM files: normalized intensities as whole numbers


def spaced(*spacing_mm: float) -> Change:
    """Give a linear resampling to a spacing in mm, along the volume's own axes."""

    def resample(volume: Volume) -> Volume:
        grid = covering(volume.array.shape, volume.geometry, orientation(volume.geometry), spacing_mm)
        return Volume(resampled(volume, grid), grid.geometry)

    return resample


FORMS: dict[str, tuple[str, Change]] = {
    "NRRD as it is": (".nrrd", lambda volume: volume),
    "NIfTI, axes turned": (".nii.gz", lambda volume: turned(volume, "ASR")),
    "NIfTI, 1 mm": (".nii.gz", spaced(1.0, 1.0, 1.0)),
    "NIfTI, 0.8 x 0.8 x 2.5 mm": (".nii.gz", spaced(0.8, 0.8, 2.5)),
    "DICOM series": ("", lambda volume: volume),
}


def write_form(path: Path, image: Volume) -> Path:
    """Write a scan in float32, or as a DICOM folder in steps of SLOPE where the name has no suffix; gives the path."""
    if not path.suffix:
        return write_series(path, image, slope=SLOPE)
    write_volume(path, image)
    return path


@pytest.mark.parametrize("form", ["NRRD as it is", "NIfTI, axes turned"])
def test_a_scan_in_another_form_gets_the_dice_of_the_evaluation(tiny_data, tmp_path, form):
    suffix, change = FORMS[form]
    prepared = open_prepared(tiny_data.prepared)
    image, label = (Volume(of("C6").astype(np.float32), GEOMETRY) for of in (prepared.read_image, prepared.read_label))
    scan = write_form(tmp_path / f"scan{suffix}", change(image))
    assert lassl("predict", RUN, scan, "-o", tmp_path / "masks", "--normalized") == 0
    found = 100 * binary.dc(read_volume(tmp_path / "masks" / scan.name).array > 0, change(label).array > 0.5)
    scores = read_scores(settings(tiny_data).run("cps", 0, 0).cases).query("case == 'C6' and network == 'first'")
    assert found == pytest.approx(scores.set_index("parts")["dice_percent"]["all"], abs=1e-4)
    assert found == pytest.approx(100 * binary.dc(expected(tiny_data), prepared.read_label("C6")), abs=1e-9)


def test_every_form_shows_the_same_body(tiny_data, tmp_path):
    label = Volume(open_prepared(tiny_data.prepared).read_label("C6").astype(np.float32), GEOMETRY)
    own = label.array.sum() * np.prod(GEOMETRY.spacing_mm)
    for form, (suffix, change) in FORMS.items():
        changed = change(label)
        found = read_scan(write_form(tmp_path / f"{form}{suffix}", changed))
        np.testing.assert_allclose(found.array, changed.array, atol=SLOPE)
        assert found.array.sum() * np.prod(found.geometry.spacing_mm) == pytest.approx(own, rel=0.05), form


def test_an_exported_file_predicts_the_same_elsewhere(tiny_data, raw, tmp_path, monkeypatch, capsys):
    assert lassl("export", RUN, "-o", tmp_path / "new" / "model.pt") == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert lassl("predict", "new/model.pt", raw, "-o", "out") == 0
    assert "no record" not in capsys.readouterr().err
    np.testing.assert_array_equal(read_volume(Path("out/C6.nrrd")).array, expected_in(tiny_data, tmp_path))


def expected_in(tiny_data, folder: Path) -> np.ndarray:
    """The mask of the exported model in a folder."""
    config = settings(tiny_data)
    where = place(config.compute)
    networks = {"first": read_exported(folder / "new/model.pt").model.networks["first"].eval()}
    image = open_prepared(tiny_data.prepared).read_image("C6")
    return inference.foregrounds(networks, image, inference.Windows.of(config), where)["first"][0] > 0.5


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
    assert sorted(path.name for path in large.iterdir()) == ["C6.nrrd", "volumes.csv"]


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


def model_that_knows(volumes_ml: tuple[float, float] | None, path: Path, bias: float = 0) -> Path:
    """Export the run's model as one that learned from such volumes; the bias is added to that of the foreground."""
    exported = read_exported(find_model(RUN))
    exported.model.networks["first"].state_dict()["head.1.bias"] += torch.tensor([0, bias])
    write_exported(path, replace(exported, volumes_ml=volumes_ml))
    return path


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]


def test_a_mask_far_from_all_volumes_of_the_training_is_told_after_it_and_in_the_end(raw, tmp_path, capsys):
    other = tmp_path / "other.nrrd"
    write_volume(other, read_volume(raw))
    out = tmp_path / "out"
    lassl("predict", RUN, raw, "-o", out)
    ml = float(read_volume(out / "C6.nrrd").array.sum() * 0.625**3 / 1000)
    assert ml > 0
    for low, high, doubtful in ((ml / 3, ml / 2.1, True), (2.1 * ml, 9.0, True), (ml / 1.9, ml / 1.9, False)):
        model = model_that_knows((low, high), tmp_path / "model.pt")
        capsys.readouterr()
        assert lassl("predict", model, raw, other, "-o", out, "--overwrite") == 0
        told = (
            f"the mask has {ml:.3g} mL; labels that the model learned from have {low:.3g} to {high:.3g} mL: check the "
            "mask, the scan's spacing and what it shows"
        )
        expected = [
            f"note: {out}/C6.nrrd: {told}",
            f"note: {out}/other.nrrd: {told}",
            f"note: look at 2 of 2 masks before you use them: C6.nrrd ({ml:.3g} mL), other.nrrd ({ml:.3g} mL)",
        ]
        assert notes(capsys) == (expected if doubtful else [])


def test_an_empty_mask_is_told_whether_or_not_the_model_says_what_it_learned_from(raw, tmp_path, capsys):
    for known, told in ((None, ""), ((2.0, 5.0), "; labels that the model learned from have 2 to 5 mL")):
        model = model_that_knows(known, tmp_path / "model.pt", bias=-1000)
        capsys.readouterr()
        assert lassl("predict", model, raw, "-o", tmp_path, "--overwrite") == 0
        assert not read_volume(tmp_path / "C6.nrrd").array.any()
        assert notes(capsys) == [
            f"note: {tmp_path}/C6.nrrd: the mask is empty, 0 mL{told}: check the scan's spacing and what it shows"
        ]


def test_intensities_that_spoil_the_normalization_are_told_with_the_mask(raw, tmp_path, capsys):
    model = model_that_knows(None, tmp_path / "model.pt", bias=1000)  # no mask is empty
    scan = read_volume(raw)
    image = scan.array.astype(np.int16)
    image[:4] = -32768
    write_volume(tmp_path / "padded.nrrd", Volume(image, scan.geometry))
    capsys.readouterr()
    for words, count in (((), 1), (("--normalized",), 0)):
        assert lassl("predict", model, tmp_path / "padded.nrrd", "-o", tmp_path / f"out{count}", *words) == 0
        found = notes(capsys)
        assert len(found) == count
    assert lassl("predict", model, tmp_path / "padded.nrrd", "-o", tmp_path / "out") == 0
    (line,) = notes(capsys)
    assert line.startswith(
        f"note: {tmp_path}/out/padded.nrrd: made of a scan whose intensities stand far apart: {image[:4].size} of "
        f"{image.size} voxels are -32768, the others "
    )


def test_a_run_and_its_exported_file_know_the_volumes_that_the_run_learned_from(tiny_data, tmp_path, monkeypatch):
    prepared = open_prepared(tiny_data.prepared)
    exported = read_exported(find_model(RUN))
    volumes = [prepared.read_label(case).sum() * 0.625**3 / 1000 for case in exported.model.record.labeled]
    assert exported.volumes_ml == pytest.approx((min(volumes), max(volumes))) and min(volumes) < max(volumes)
    write_exported(tmp_path / "model.pt", exported)
    monkeypatch.chdir(tmp_path)
    assert read_exported(tmp_path / "model.pt").volumes_ml == exported.volumes_ml


def test_bad_scans_are_told_in_a_line_each_and_the_others_are_done(raw, tmp_path, capsys):
    (tmp_path / "empty.nrrd").touch()
    (tmp_path / "none").mkdir()
    write_series(tmp_path / "series", numbered())
    write_volume(tmp_path / "good.mha", Volume(numbered().array, Geometry((2.0, 2.5, 3.0))))
    scans = [tmp_path / name for name in ("empty.nrrd", "none", "absent.nii", "good.mha", "picture.png", "series")]
    capsys.readouterr()
    assert lassl("predict", RUN, *scans, "-o", tmp_path / "out") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.mha", "series.nrrd", "volumes.csv"]
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
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["K01.nii.gz", "K02.nii.gz", "volumes.csv"]


def test_what_is_there_stays_unless_it_may_be_overwritten_and_the_others_are_done(raw, tmp_path, capsys):
    write_volume(tmp_path / "b" / "scan.mha", Volume(numbered().array, Geometry((2.0, 2.5, 3.0))))
    out = tmp_path / "out"
    out.mkdir()
    (out / "C6.nrrd").write_text("a mask of something else")
    assert lassl("predict", RUN, raw, tmp_path / "b" / "scan.mha", "-o", out) == 1
    assert (out / "C6.nrrd").read_text() == "a mask of something else" and (out / "scan.mha").is_file()
    told = capsys.readouterr().err
    assert f"error: {raw}: {out / 'C6.nrrd'}: exists already; give another folder or name, or use --overwrite" in told
    assert lassl("predict", RUN, raw, "-o", out, "--overwrite") == 0
    assert read_volume(out / "C6.nrrd").geometry == read_volume(raw).geometry


def test_a_name_that_is_not_in_utf8_is_told_and_the_other_scans_are_done(raw, tmp_path, capfd):
    strange = tmp_path / os.fsdecode(b"\xff.nrrd")
    strange.write_bytes(raw.read_bytes())
    assert lassl("predict", RUN, strange, raw, "-o", tmp_path / "out") == 1
    assert (tmp_path / "out" / "C6.nrrd").is_file()
    assert ".nrrd: the name is not valid UTF-8; rename the file" in capfd.readouterr().err
    with pytest.raises(LasslError, match="is not valid UTF-8"):
        lassl("predict", RUN, raw, "-o", tmp_path / os.fsdecode(b"\xfe"))


def test_a_bound_that_is_too_small_names_the_scan(raw, tmp_path, capsys):
    assert lassl("predict", RUN, raw, "-o", tmp_path, "--memory", "1e-4") == 1
    assert re.search(r"error: .*lgemri\.nrrd: a scan of .* raise --memory \(memory_gib\)\n", capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["volumes.csv"]


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
