"""A model of two channels segments scans of two files: command, API, memory, model file, ONNX."""

import csv
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import lassl
from helpers.channels import CHANNELS, PLACE, SIZE, config_of, scan, two_channels
from helpers.command import lassl as command
from helpers.trainings import predicting, trained
from lassl.cli.predict_scans import scans_in
from lassl.data.prepared import open_prepared
from lassl.evaluation.inference import Windows, foregrounds
from lassl.images.geometry import Geometry, Volume, channels_of, directions
from lassl.images.volumes import read_volume, to_image, write_volume
from lassl.model.placement import Placement
from lassl.model.trained import load_model
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.predict.import_weights import score_imported
from lassl.predict.model_file import read_exported
from lassl.predict.scan_files import files_of, read_scan, split_name
from lassl.predict.segment import segment
from lassl.predict.slabs import needed_bytes, plan
from lassl.predict.task import PROBABILITY, Task
from lassl.settings.sections import Network

pytestmark = pytest.mark.slow

RUN = "quick/vnet_16-d0-s0"
CPU = Placement(torch.device("cpu"), torch.float32, False)
PAIR = "raw/T/t1.nii.gz,raw/T/flair.nrrd"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a cohort of two channels and a run on it."""
    home = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        trained(config_of(two_channels(home)))
        content = torch.load(f"models/{RUN}.pt", weights_only=True)
        odds = np.log(1 / (1 / probability() - 1))
        content["weights"]["network"]["head.1.bias"][1] -= float(np.quantile(odds, 0.8))  # a fifth becomes foreground
        torch.save(content, f"models/{RUN}.pt")
    return home


@pytest.fixture(autouse=True)
def inside(home, monkeypatch):
    monkeypatch.chdir(home)


def probability() -> np.ndarray:
    """That of the run's network for the test case T, as in evaluation (X, Y, Z)."""
    network = load_model(Path(f"models/{RUN}.pt")).networks["network"].eval()
    image = open_prepared(Path("prepared").resolve()).read_image("T")
    (found,) = foregrounds({"n": network}, image, Windows(1, (16, 16, 16), (8, 8, 8), 4), CPU).values()
    return found[0]


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "volumes.csv").open()))


def test_files_with_a_comma_between_are_one_scan_which_is_done_once(tmp_path, capsys):
    assert command("predict", RUN, PAIR, "-o", tmp_path, "--probability", "--preview") == 0
    found = read_volume(tmp_path / "T-probability.nii.gz").array
    np.testing.assert_allclose(found, probability(), atol=1e-5)
    np.testing.assert_array_equal(read_volume(tmp_path / "T.nii.gz").array, found > 0.5)
    (row,) = rows(tmp_path)
    assert row["scan"] == f"{Path('raw/T/t1.nii.gz').absolute()},{Path('raw/T/flair.nrrd').absolute()}"
    assert (tmp_path / "T.png").is_file()
    capsys.readouterr()
    assert command("predict", RUN, PAIR, "-o", tmp_path, "--probability", "--preview") == 0
    assert "1 scan is done already" in capsys.readouterr().err


def test_a_folder_of_cases_has_a_scan_for_each_case(tmp_path):
    assert command("predict", RUN, "raw", "-o", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.glob("*.nii.gz")) == [f"{case}.nii.gz" for case in "ABCDEFTU"]
    assert command("predict", RUN, "raw/T", "-o", tmp_path / "one") == 0
    assert (tmp_path / "one/T.nii.gz").read_bytes() == (tmp_path / "T.nii.gz").read_bytes()


def test_a_case_without_one_of_the_channels_is_told_and_the_others_are_segmented(tmp_path, capsys):
    for case in "TU":
        for name in ("t1.nii.gz", "flair.nrrd"):
            if (case, name) != ("U", "flair.nrrd"):
                (tmp_path / "in" / case).mkdir(parents=True, exist_ok=True)
                (tmp_path / "in" / case / name).symlink_to(Path(f"raw/{case}/{name}").absolute())
    (tmp_path / "in/T/t2.nii.gz").symlink_to(Path("raw/T/t1.nii.gz").absolute())
    found = scans_in(tmp_path / "in", tmp_path / "out", CHANNELS)
    assert [path.name for path in found.others] == ["t2.nii.gz"] and list(found.scans.values()) == [Path(), Path()]
    assert command("predict", RUN, tmp_path / "in", "-o", tmp_path / "out") == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert error.startswith(f"error: {tmp_path}/in/U/flair.nii.gz: not found; expected a scan's file")
    assert (tmp_path / "out/T.nii.gz").is_file() and not (tmp_path / "out/U.nii.gz").exists()


def test_a_scan_of_other_channels_than_the_models_is_told(tmp_path, capsys):
    assert command("predict", RUN, "raw/T/t1.nii.gz", "-o", tmp_path) == 1
    assert (
        "error: raw/T/t1.nii.gz: found 1 channel, the model expects 2: t1, flair, in this order, as in "
        "t1.nii.gz,flair.nii.gz; give a scan's files as the model's training had them"
    ) in capsys.readouterr().err
    assert command("predict", "atrium", PAIR, "-o", tmp_path) == 1
    assert f"error: {PAIR}: found 2 channels, the model expects one; give" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.nii.gz"))


def test_channels_on_different_grids_are_told(tmp_path, capsys):
    write_volume(tmp_path / "flair.nrrd", Volume(scan("T")[1], Geometry(PLACE.spacing_mm)))
    assert command("predict", RUN, f"raw/T/t1.nii.gz,{tmp_path}/flair.nrrd", "-o", tmp_path / "out") == 1
    assert (
        f"{tmp_path}/flair.nrrd: found origin_mm (0.0, 0.0, 0.0), but its first channel, raw/T/t1.nii.gz, has (3.0, "
        "-4.0, 5.0); resample the channels of a scan to one grid"
    ) in capsys.readouterr().err


def test_a_scan_is_not_overwritten_by_its_mask(capsys):
    assert command("predict", RUN, PAIR, "-o", "raw/T", "--overwrite") == 0
    Path("raw/T/T.nii.gz").unlink()
    Path("raw/T/volumes.csv").unlink()
    single = "raw/A/t1.nii.gz,raw/T/flair.nrrd,raw/A.nii.gz"
    assert command("predict", RUN, single, "-o", "raw") == 1
    assert "raw/A.nii.gz: is one of the scans and would be overwritten" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*the mask has")
def test_the_api_takes_a_list_of_paths_or_images():
    model = lassl.load(RUN)
    assert model.channels == CHANNELS and lassl.load("atrium").channels is None
    found = model.segment(PAIR.split(","), probability=True)
    np.testing.assert_allclose(sitk.GetArrayFromImage(found.probability).T, probability(), atol=1e-5)
    images = [to_image(Volume(channel, PLACE)) for channel in scan("T")[:2]]
    same = model.segment(images)
    assert 0.1 < sitk.GetArrayFromImage(same).mean() < 0.3
    assert sitk.GetArrayFromImage(same).tobytes() == sitk.GetArrayFromImage(found.mask).tobytes()
    with pytest.raises(LasslError, match=r"^raw/T/t1\.nii\.gz: found 1 channel, the model expects 2: t1, flair"):
        model.segment("raw/T/t1.nii.gz")
    with pytest.raises(LasslError, match=r"^scan\[1\]: found a int, expected a path or an image of SimpleITK"):
        model.segment([images[0], 7])
    moved = to_image(Volume(scan("T")[1], Geometry()))
    with pytest.raises(LasslError, match=r"^scan\[1\]: found origin_mm \(0\.0, 0\.0, 0\.0\), but its first channel"):
        model.segment([images[0], moved])


def test_an_exported_model_has_version_2_and_its_channels(tmp_path):
    assert command("export", RUN, "-o", tmp_path / "two.pt") == 0
    content = torch.load(tmp_path / "two.pt", weights_only=True)
    assert content["version"] == 2 and content["needs"]["channels"] == list(CHANNELS)
    assert content["network"]["channels"] == 2
    read = read_exported(tmp_path / "two.pt")
    assert read.settings.channels == CHANNELS
    with pytest.raises(ValueError, match="2 channels of the network, channels one"):
        replace(read, settings=read.settings.model_copy(update={"channels": None}))


def test_models_of_other_channels_are_no_ensemble(home):
    one = Path("models/quick/other.pt")
    content = torch.load(f"models/{RUN}.pt", weights_only=True)
    content["record"]["cohort"]["channels"] = ["flair", "t1"]
    torch.save(content, one)
    with pytest.raises(LasslError, match=r'differs from .* in channels \["flair", "t1"\], not \["t1", "flair"\]'):
        lassl.load(RUN, one)


def test_onnx_takes_all_channels(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    assert command("export", RUN, "-o", tmp_path / "two.onnx", "--format", "onnx") == 0
    session = runtime.InferenceSession(tmp_path / "two.onnx", providers=["CPUExecutionProvider"])
    image = torch.randn(2, 2, 16, 32, 16, generator=torch.Generator().manual_seed(0))
    network = load_model(Path(f"models/{RUN}.pt")).networks["network"].eval()
    with torch.inference_mode():
        expected = network(image).softmax(1)[:, 1:].numpy()
    (found,) = session.run(None, {"image": image.numpy()})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    told = session.get_modelmeta().custom_metadata_map["input"]
    assert told.startswith("window of pooled voxels, float32 (batch, 2, x, y, z)")


def task(channels: int = 2, **changes) -> Task:
    """A random network of so many channels."""
    torch.manual_seed(0)
    network = VNet(Network(width=2, residual=True, dropout=0.5, channels=channels)).eval()
    names = {"channels": ("t1", "flair", "t2")[:channels]} if channels > 1 else {}
    settings = predicting(**{"spacing_mm": (1.0, 1.0, 1.0), "window": (16, 16, 16), "stride": (8, 8, 8)} | names)
    return Task({"n": network}, settings, CPU, **changes)


def volume(size: tuple[int, int, int], geometry: Geometry, channels: int = 2) -> Volume:
    return Volume(np.random.default_rng(0).normal(size=(channels, *size)).astype(np.float32), geometry)


@pytest.mark.parametrize("place", [PLACE, Geometry((0.8, 1.2, 1.5), (1.0, 2.0, 3.0), directions("PIR"))])
def test_a_scan_is_seen_as_its_channels_one_by_one_are(place):
    """A network that sees the second channel alone gives what a network of one channel gives of it."""
    two, one = task(2), task(1)
    weights = one.networks["n"].state_dict()
    first = "encoder.0.convolutions.0.weight"
    plain = {"n": VNet(Network(width=2, residual=False, dropout=0.5)).eval()}
    plain["n"].load_state_dict(weights)
    both = VNet(Network(width=2, residual=False, dropout=0.5, channels=2)).eval()
    both.load_state_dict(weights | {first: torch.cat([torch.zeros_like(weights[first]), weights[first]], 1)})
    seen = volume((30, 24, 20), place)
    found = segment(seen, replace(two, networks={"n": both}, passes=1))
    alone = segment(Volume(seen.array[1], place), replace(one, networks=plain, passes=1))
    for name in (PROBABILITY, "uncertainty"):
        np.testing.assert_allclose(found[name], alone[name], atol=2e-5)


def test_slabs_count_all_channels_and_stay_within_the_memory():
    seen = volume((160, 40, 36), PLACE, 3)
    asked = task(3)
    axis, _ = plan(seen, asked)
    one = needed_bytes(Volume(seen.array[0], PLACE), axis, 160, task(1))
    assert needed_bytes(seen, axis, 160, asked) >= one + 2 * 2 * seen.array[0].nbytes
    bounded = replace(asked, memory_gib=0.6 * needed_bytes(seen, axis, 160, asked) / 2**30)
    assert len(plan(seen, bounded)[1]) > 1
    tracemalloc.start()
    maps = segment(seen, bounded)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + seen.array.nbytes < bounded.memory_gib * 2**30
    whole = segment(seen, asked)
    assert np.isfinite(maps[PROBABILITY]).all() and maps[PROBABILITY].shape == whole[PROBABILITY].shape


def test_a_model_of_crops_sees_a_crop_of_all_channels():
    crop = {"least_mm": (16.0, 16.0, 16.0), "margins_mm": (2.0, 2.0, 2.0), "along_z": True}
    needs = task().settings.model_copy(update={"crop": predicting(crop=crop).crop})
    maps = segment(volume((48, 40, 40), PLACE), replace(task(), settings=needs))
    assert maps[PROBABILITY].shape == (1, 48, 40, 40)


def test_a_scan_of_two_files_has_two_channels_and_a_name_with_a_comma_is_one_file(tmp_path):
    assert read_scan(Path(PAIR)).array.shape == (2, *SIZE)
    write_volume(tmp_path / "a,b.nrrd", Volume(scan("T")[0], PLACE))
    assert len(channels_of(read_scan(tmp_path / "a,b.nrrd").array)) == 1


def test_folders_with_commas_in_their_names_do_not_matter(tmp_path):
    case = tmp_path / "Doe, John"
    case.mkdir()
    for name in ("t1.nii.gz", "flair.nrrd"):
        (case / name).symlink_to(Path(f"raw/T/{name}").absolute())
    ((found, within),) = scans_in(tmp_path, tmp_path / "out", CHANNELS).scans.items()
    assert files_of(found) == [case / "t1.nii.gz", case / "flair.nrrd"] and within == Path()
    assert split_name(found, CHANNELS) == ("Doe, John", ".nii.gz")
    assert read_scan(found).array.shape == (2, *SIZE)


def test_a_channel_in_two_files_is_told(tmp_path):
    for name, source in {"t1.nii.gz": "t1.nii.gz", "t1.nii": "t1.nii.gz", "flair.nrrd": "flair.nrrd"}.items():
        write_volume(tmp_path / "T" / name, read_volume(Path(f"raw/T/{source}")))
    (found,) = scans_in(tmp_path, tmp_path / "out", CHANNELS).scans
    with pytest.raises(LasslError, match=r"found 3 channels, the model expects 2: t1, flair"):
        lassl.load(RUN).segment(found)


def test_imported_weights_are_not_scored_on_a_cohort_of_several_channels():
    cohort = open_prepared(Path("prepared").resolve())
    model = SimpleNamespace(config=SimpleNamespace(classes=2), record=SimpleNamespace(name="theirs"))
    with pytest.raises(LasslError) as error:
        score_imported(model, None, cohort, None)
    assert str(error.value) == (
        f"{cohort.folder}: found the channels t1, flair, but theirs sees one; prepare the cohort with one channel"
    )
