"""A published checkpoint as a model: written, used to predict, exported, and scored on the test cases."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from medpy.metric import binary

from helpers.command import lassl
from helpers.lineage import network
from helpers.trainings import settings
from lassl.data.prepared import open_prepared
from lassl.evaluation.external_record import read_external_record
from lassl.images.volumes import read_volume
from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError
from lassl.predict.import_weights import profile_stride, read_imported, score_imported
from lassl.predict.model_file import read_exported

pytestmark = pytest.mark.slow

MODEL = Path("models/imported/net.pt")
WINDOW = (112, 112, 80)


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A folder with a checkpoint that was adopted as `net`; gives the network that it is of."""
    monkeypatch.chdir(tmp_path)
    state, network_of_it = network("uamt", seed=3)
    torch.save(state, "iter_6000.pth")
    assert lassl("import-weights", "iter_6000.pth", "--name", "net", "--title", "A net & 16L") == 0
    return network_of_it


def put_params(tiny_data, **changes):
    """Write params.yaml of the tiny cohort; gives the settings."""
    config = settings(tiny_data, **changes)
    values = config.model_dump(mode="json") | {"data": tiny_data.model_dump(mode="json") | {"cohort": "tiny"}}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    return config


@torch.no_grad()
def naive(theirs, image, window, stride):
    """Mean foreground softmax of windows that are laid as in the code of UA-MT, one by one."""
    missing = [max(w - n, 0) for n, w in zip(image.shape, window, strict=True)]
    padded = np.pad(image, [(m // 2, m - m // 2) for m in missing])
    total, count = np.zeros(padded.shape), np.zeros(padded.shape)
    numbers = [-(-(n - w) // s) + 1 for n, w, s in zip(padded.shape, window, stride, strict=True)]
    for index in product(*map(range, numbers)):
        corner = [min(i * s, n - w) for i, s, n, w in zip(index, stride, padded.shape, window, strict=True)]
        place = tuple(slice(a, a + w) for a, w in zip(corner, window, strict=True))
        total[place] += theirs(torch.from_numpy(padded[place])[None, None]).softmax(1)[0, 1].numpy()
        count[place] += 1
    inside = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape, strict=True))
    return (total / count)[inside]


def test_a_model_is_written_with_what_predicting_needs_and_its_origin(theirs):
    content = torch.load(MODEL, weights_only=True)
    needs = content["needs"]
    assert (needs["window"], needs["stride"], needs["pool"]) == ([112, 112, 80], [18, 18, 4], 1)
    assert (needs["spacing_mm"], needs["orientation"], needs["precision"]) == ([0.625] * 3, "LPS", "fp32")
    record = content["record"]
    assert (record["trained"], record["name"], record["title"]) == ("elsewhere", "net", "A net & 16L")
    assert record["checkpoint"] == "iter_6000.pth" and len(record["checkpoint_sha256"]) == 64
    assert content["cohort_sha256"] is None and content["metrics"] is None
    assert "settings" not in record and "training" not in record


def test_what_is_left_aside_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save({"net": network("dtc")[0], "opt": {}}, "dtc.pth")
    lassl("import-weights", "dtc.pth", "--name", "dtc", "-o", "here.pt")
    assert capsys.readouterr().err == (
        "note: dtc.pth: ignored entries that are not part of the network: opt, out_conv.weight, out_conv.bias\n"
    )
    assert Path("here.pt").is_file() and not Path("models").exists()


def test_a_checkpoint_of_several_structures_names_them_by_number_and_is_not_scored_here(
    tiny_data, raw, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    state, _ = network("uamt")
    more = {f"out_conv.{key}": torch.cat([state[f"out_conv.{key}"]] * 2)[:3] for key in ("weight", "bias")}
    torch.save(state | more, "three.pth")
    assert lassl("import-weights", "three.pth", "--name", "three") == 0
    content = torch.load("models/imported/three.pt", weights_only=True)
    assert content["version"] == 2 and content["needs"]["structures"] == {"class_1": 1, "class_2": 2}
    assert content["network"]["classes"] == 3
    assert lassl("predict", "imported/three", raw, "-o", "masks", "--device", "cpu") == 0
    assert set(np.unique(read_volume(Path("masks/C6.nrrd")).array)) <= {0, 1, 2}
    put_params(tiny_data)
    with pytest.raises(
        LasslError, match=r"^three: 2 structures, 1 in .*; expected one in both: write masks of the raw"
    ):
        lassl("evaluate", "models/imported/three.pt", tiny_data.prepared)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--name", "a/b"), "--name: found 'a/b', expected letters"),
        (("--name", "a", "--title", "a|b"), "--title: found 'a|b', expected one line"),
        (("--name", "a", "-o", "a.onnx"), r"a\.onnx: found the suffix '\.onnx', expected \.pt"),
    ],
)
def test_wrong_words_are_refused_and_nothing_is_written(theirs, words, told):
    with pytest.raises(LasslError, match=told):
        lassl("import-weights", "iter_6000.pth", *words)
    assert list(Path("models/imported").iterdir()) == [MODEL]


def test_a_refused_checkpoint_leaves_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"fc.weight": torch.ones(1)}, "other.pth")
    with pytest.raises(LasslError, match=r"other\.pth: found fc\.weight, expected the V-Net"):
        lassl("import-weights", "other.pth", "--name", "other")
    assert not list(Path().rglob("*.pt"))


def test_predict_and_export_take_it(theirs, raw, tiny_data):
    lassl("export", "imported/net", "-o", "copy.pt")
    lassl("predict", "copy.pt", raw, "-o", "masks", "--device", "cpu")
    image = open_prepared(tiny_data.prepared).read_image("C6")  # that cohort is not cropped
    expected = naive(theirs, image, WINDOW, (18, 18, 4)) > 0.5
    assert 0 < expected.sum() < expected.size
    assert np.array_equal(read_volume(Path("masks/C6.nrrd")).array, expected)
    assert read_exported(find_model("imported/net")).model.record == read_exported(Path("copy.pt")).model.record
    with pytest.raises(LasslError, match=r"--network: the model has no 'teacher' \(found: network\); use default"):
        lassl("predict", "copy.pt", raw, "-o", "more", "--network", "teacher")


def test_an_edited_file_is_refused(theirs):
    content = torch.load(MODEL, weights_only=True)
    content["record"]["title"] = "Another net"
    torch.save(content, MODEL)
    with pytest.raises(LasslError, match=r"net\.pt: damaged or edited"):
        lassl("evaluate", MODEL, "data/prepared/none")


def test_evaluate_scores_it_on_the_test_cases_as_published(theirs, tiny_data, capsys):
    config = put_params(tiny_data)
    assert lassl("evaluate", MODEL, tiny_data.prepared) == 0
    cases = pd.read_csv("metrics/external/net.csv")
    variants = [("external", "all"), ("external", "largest")]
    variants += [("external, stride 8 8 8", "all"), ("external, stride 8 8 8", "largest")]
    assert sorted({(n, p) for n, p in cases[["network", "parts"]].itertuples(index=False)}) == variants
    prepared = open_prepared(tiny_data.prepared)
    for case in prepared.split.test:
        mask = naive(theirs, prepared.read_image(case), WINDOW, (18, 18, 4)) > 0.5
        row = cases[(cases["case"] == case) & (cases["network"] == "external") & (cases["parts"] == "all")]
        assert row["dice_percent"].item() == pytest.approx(100 * binary.dc(mask, prepared.read_label(case)), abs=1e-4)
    record = read_external_record(Path("metrics/external/records/net.yaml"))
    assert record.title == "A net & 16L" and record.segmented.weights.checkpoint == "iter_6000.pth"
    assert (record.segmented.window, record.segmented.stride) == (WINDOW, (18, 18, 4))
    assert record.segmented.cohort.hash == prepared.manifest_hash
    assert record.segmented.precision == config.compute.precision == "fp32"
    assert "A net & 16L: Dice" in capsys.readouterr().out
    Path("metrics/external/net.json").unlink()
    with pytest.raises(LasslError, match=r"external/net\.csv: exists already; .*--overwrite"):
        lassl("evaluate", MODEL, tiny_data.prepared)


def test_a_model_that_was_adopted_stays_unless_it_may_be_overwritten(theirs):
    before = MODEL.read_bytes()
    torch.save(network("uamt", seed=4)[0], "other.pth")
    with pytest.raises(LasslError, match=r"models/imported/net\.pt: exists already; .*--overwrite to replace it"):
        lassl("import-weights", "other.pth", "--name", "net")
    assert MODEL.read_bytes() == before
    assert lassl("import-weights", "other.pth", "--name", "net", "--overwrite") == 0
    assert read_imported(MODEL)[0].record.checkpoint == "other.pth"


def test_overlapping_windows_lie_as_in_the_code_of_the_field(theirs, tiny_data):
    config = put_params(tiny_data, evaluate={"stride": (16, 16, 16)})
    model, needs = read_imported(MODEL)
    needs = needs.model_copy(update={"window": (16, 16, 16), "stride": (3, 2, 1)})
    prepared = open_prepared(tiny_data.prepared)
    scored = score_imported(model, needs, prepared, config)
    for name, stride in {"external": (3, 2, 1), "external, stride 16 16 16": (16, 16, 16)}.items():
        for case in prepared.split.test:
            mask = naive(theirs, prepared.read_image(case), (16, 16, 16), stride) > 0.5
            cases = scored.cases[(scored.cases["network"] == name) & (scored.cases["parts"] == "all")]
            found = cases.set_index("case")["dice_percent"][case]
            assert found == pytest.approx(100 * binary.dc(mask, prepared.read_label(case)))


def test_the_stride_of_a_profile_is_meant_in_voxels_of_the_scan_and_leaves_no_gap(theirs, tiny_data):
    needs = read_imported(MODEL)[1]
    patches = {"pool": 2, "size": (64, 64, 48)}
    halves = settings(tiny_data, patches=patches, evaluate={"stride": (32, 32, 24)})
    assert profile_stride(needs, halves) == (64, 64, 48)
    gaps = settings(tiny_data, patches=patches, evaluate={"stride": (64, 64, 48)})
    assert profile_stride(needs, gaps) == WINDOW
    as_published = settings(tiny_data, patches={"size": WINDOW}, evaluate={"stride": (18, 18, 4)})
    put_params(tiny_data)
    assert profile_stride(needs, as_published) == needs.stride


def test_a_model_of_ours_a_missing_one_and_a_split_are_refused(theirs, project, tiny_data):
    with pytest.raises(
        LasslError, match=r"cps-d0-s0\.pt: was trained by lassl, expected a model of `lassl import-weights`"
    ):
        lassl("evaluate", project / "models/quick/cps-d0-s0.pt", tiny_data.prepared)
    with pytest.raises(LasslError, match=r"none\.pt: no such file, expected a model of `lassl import-weights`"):
        lassl("evaluate", "none.pt", tiny_data.prepared)
    with pytest.raises(LasslError, match=r"--split: found one together with a model"):
        lassl("evaluate", MODEL, tiny_data.prepared, "--split", tiny_data.split)
