"""`lassl predict` and `export` with a model of several structures, and with several models at once."""

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from helpers.command import lassl
from helpers.several import SPACING, VALUES, cohort, network, save_run
from lassl.data.prepared import open_prepared
from lassl.evaluation.inference import Windows, decided, foregrounds
from lassl.images.geometry import Geometry
from lassl.images.preview import LINES
from lassl.images.volumes import read_volume, write_volume
from lassl.model.placement import Placement
from lassl.model.weights_file import content_hash
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported, write_exported

pytestmark = pytest.mark.slow

RUN, OTHER, ONE = "quick/vnet_16-d0-s0", "quick/vnet_16-d0-s1", "quick/vnet_80-d0-s0"
CPU = Placement(torch.device("cpu"), torch.float32, False)
SCAN = Path("raw/T1/image.nrrd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with two runs of three structures and one run of a single structure, none of them evaluated."""
    home = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        data = cohort(Path("raw"))
        manifest_hash = open_prepared(data.prepared).manifest_hash
        for seed in (0, 1):
            save_run(data, manifest_hash, seed)
        save_run(data.model_copy(update={"structures": None}), manifest_hash, 0, "vnet_80")
    return home


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def maps(seeds=(0,)) -> np.ndarray:
    """The mean of the probabilities of networks for the test case (3, X, Y, Z)."""
    networks = {str(seed): network(4, seed) for seed in seeds}
    image = open_prepared(Path("data/prepared/trio")).read_image("T1")
    return list(foregrounds(networks, image, Windows(1, (16, 16, 16), (8, 8, 8), 4), CPU).values())[-1]


def valued(probabilities: np.ndarray) -> np.ndarray:
    return np.array([0, *VALUES.values()])[decided(probabilities)]


def test_a_run_writes_masks_with_the_values_of_its_structures_and_lists_the_volume_of_each(tmp_path, capsys):
    assert (
        lassl("predict", RUN, SCAN, "-o", tmp_path, "--probability", "--preview", "--uncertainty", "--passes", 1) == 0
    )
    mask = read_volume(tmp_path / "T1.nrrd")
    assert mask.array.dtype == np.uint16 and set(np.unique(mask.array)) == {0, 7, 40, 300}
    np.testing.assert_array_equal(mask.array, valued(maps()))
    for name, probability in zip(VALUES, maps(), strict=True):
        np.testing.assert_allclose(read_volume(tmp_path / f"T1-probability-{name}.nrrd").array, probability, atol=1e-5)
    assert read_volume(tmp_path / "T1-uncertainty.nrrd").array.max() > np.log(2)
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "T1.png")))
    assert all((picture == color).all(-1).any() for color in LINES[:3])
    assert not any((picture == color).all(-1).any() for color in LINES[3:])
    ml = {name: (mask.array == value).sum() * 0.625**3 / 1000 for name, value in VALUES.items()}
    told = ", ".join(f"{name} {volume:.3g} mL" for name, volume in ml.items())
    assert f"{tmp_path}/T1.nrrd\t{told}\n" in capsys.readouterr().out
    (row,) = csv.DictReader((tmp_path / "volumes.csv").read_text().splitlines())
    assert list(row) == [
        "scan",
        "mask",
        "volume_ml",
        *(f"volume_ml_{n}" for n in VALUES),
        "status",
        "notes",
        "settings",
    ]
    assert {name: float(row[f"volume_ml_{name}"]) for name in VALUES} == pytest.approx(ml, abs=5e-4)
    assert float(row["volume_ml"]) == pytest.approx(sum(ml.values()), abs=5e-4)


def test_a_run_knows_the_volumes_of_each_structure_and_the_doubts_name_it(tmp_path, capsys):
    exported = read_exported(Path(f"models/{RUN}.pt"))
    ml = 0.625**3 / 1000
    assert exported.volumes_ml == {
        "liver": pytest.approx((9 * 54 * ml, 9 * 54 * ml)),
        "left-kidney": pytest.approx((300 * ml, 300 * ml)),
        "right-kidney": pytest.approx((0, 180 * ml)),
    }
    assert exported.settings.structures == VALUES
    assert lassl("predict", RUN, SCAN, "-o", tmp_path) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "T1.nrrd" in line]
    assert lines and all(line.split(": ")[2] in VALUES for line in lines)


def test_one_list_takes_scans_of_models_with_other_structures(tmp_path):
    write_volume(tmp_path / "b.nrrd", read_volume(SCAN))
    out = tmp_path / "out"
    assert lassl("predict", ONE, SCAN, "-o", out) == 0
    alone = (out / "volumes.csv").read_text()
    assert alone.splitlines()[0] == "scan,mask,volume_ml,status,notes,settings"
    assert set(np.unique(read_volume(out / "T1.nrrd").array)) <= {0, 1}
    assert lassl("predict", RUN, tmp_path / "b.nrrd", "-o", out) == 0
    first, second = csv.DictReader((out / "volumes.csv").read_text().splitlines())
    assert first["volume_ml_liver"] == "" and float(second["volume_ml_liver"]) > 0
    before = (out / "volumes.csv").read_text()
    for model, scan in ((ONE, SCAN), (RUN, tmp_path / "b.nrrd")):
        assert lassl("predict", model, scan, "-o", out) == 0  # both are done
    assert (out / "volumes.csv").read_text() == before


def test_an_exported_file_is_of_version_2_and_predicts_the_same_elsewhere(tmp_path, monkeypatch):
    scan = SCAN.resolve()
    assert lassl("export", RUN, "-o", tmp_path / "model.pt") == 0
    assert lassl("export", ONE, "-o", tmp_path / "one.pt") == 0
    versions = [torch.load(tmp_path / f"{n}.pt", weights_only=True)["version"] for n in ("model", "one")]
    assert versions == [2, 1]
    expected = valued(maps())
    monkeypatch.chdir(tmp_path)
    assert lassl("predict", "model.pt", scan, "-o", "out") == 0
    np.testing.assert_array_equal(read_volume(Path("out/T1.nrrd")).array, expected)
    content = torch.load("model.pt", weights_only=True)
    assert content["volumes_ml"]["liver"] == list(read_exported(Path("model.pt")).volumes_ml["liver"])
    assert content["needs"]["structures"] == VALUES and content["network"]["classes"] == 4


def test_a_file_whose_structures_are_not_those_of_its_network_is_refused(tmp_path):
    exported = read_exported(Path(f"models/{RUN}.pt"))
    settings = exported.settings.model_copy(update={"structures": {"liver": 1, "spleen": 2}})
    path = tmp_path / "model.pt"
    write_exported(path, exported)
    content = torch.load(path, weights_only=True)
    content["needs"]["structures"] = settings.structures
    torch.save(content | {"sha256": content_hash(content)}, path)
    with pytest.raises(LasslError, match=r"damaged or edited \(4 classes of the network, structures liver, spleen\)"):
        read_exported(path)


def test_onnx_gives_the_probability_of_each_structure_and_names_them(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    lassl("export", RUN, "-o", tmp_path / "model.onnx", "--format", "onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    image = torch.randn(2, 1, 32, 16, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(4)(image).softmax(1)[:, 1:].numpy()
    (found,) = session.run(None, {"image": image.numpy()})
    assert found.shape == (2, 3, 32, 16, 48) and expected.std() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    told = session.get_modelmeta().custom_metadata_map
    assert told["structures"] == '{"liver": 40, "left-kidney": 300, "right-kidney": 7}'
    assert "probability of liver, left-kidney, right-kidney, float32 (batch, 3, x, y, z)" in told["output"]


def test_several_models_give_the_mean_of_their_probabilities(tmp_path):
    assert lassl("predict", f"{RUN},{OTHER}", SCAN, "-o", tmp_path / "both", "--probability") == 0
    for name, model in (("first", RUN), ("second", OTHER)):
        assert lassl("predict", model, SCAN, "-o", tmp_path / name, "--probability") == 0
    for name in VALUES:
        both, first, second = (
            read_volume(tmp_path / run / f"T1-probability-{name}.nrrd").array for run in ("both", "first", "second")
        )
        np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)
        assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(read_volume(tmp_path / "both/T1.nrrd").array, valued(maps((0, 1))))
    rows = [next(csv.DictReader((tmp_path / n / "volumes.csv").open())) for n in ("both", "first", "second")]
    assert len({row["settings"] for row in rows}) == 3


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (f"{RUN},{ONE}", rf"^{ONE}: differs from {RUN} in structures null, not {{\"liver\": 40, .*; models of an ens"),
        (f"{RUN},{RUN}", rf"^{RUN}: is named twice; an ensemble takes different models$"),
        (f"{RUN},nowhere", r"^models/nowhere\.pt: no such model; expected"),
        (f"{RUN},", r"no such model"),
    ],
)
def test_models_that_do_not_go_together_are_told_in_one_line(models, told, tmp_path):
    with pytest.raises(LasslError, match=told) as error:
        lassl("predict", models, SCAN, "-o", tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_file_with_a_comma_in_its_name_is_one_model(tmp_path):
    assert lassl("export", ONE, "-o", tmp_path / "a,b.pt") == 0
    assert lassl("predict", tmp_path / "a,b.pt", SCAN, "-o", tmp_path / "out") == 0
    assert read_volume(tmp_path / "out/T1.nrrd").geometry == Geometry(SPACING)


def test_a_run_whose_structure_has_two_sides_looks_for_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sides = {"kidneys": (300, 7)}
    changes = {"cohort": "pair", "structures": sides, "crop": "label", "min_size": (4, 4, 4), "margin": (1, 1)}
    data = cohort(Path("raw"), **changes)
    run = save_run(data, open_prepared(data.prepared).manifest_hash)
    crop = read_exported(run.model).settings.crop
    assert crop is not None and crop.parts == (2,)  # the median: one case has one kidney
    lassl("export", run.model, "-o", "model.pt")
    assert torch.load("model.pt", weights_only=True)["version"] == 2
    assert read_exported(Path("model.pt")).settings.crop == crop
