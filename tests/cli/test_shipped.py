"""Half precision, and models that come with lassl: how large, how exact, found by name, and what is refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.command import RUN, lassl
from helpers.runs import RECORDS
from lassl.images.volumes import read_volume
from lassl.model import start
from lassl.model.record import read_record
from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import halved, read_exported

pytestmark = pytest.mark.usefixtures("in_project")

SHIPPED = sorted(start.SHIPPED.glob("*.pt"))  # before any test puts other ones there


def test_in_half_precision_a_file_is_half_as_large_and_the_mask_stays(raw, tmp_path):
    masks = {}
    for name, words in {"single": [], "half": ["--half"]}.items():
        assert lassl("export", RUN, "-o", tmp_path / f"{name}.pt", *words) == 0
        assert lassl("predict", tmp_path / f"{name}.pt", raw, "-o", tmp_path / name) == 0
        masks[name] = read_volume(tmp_path / name / "C6.nrrd").array > 0
    content = torch.load(tmp_path / "half.pt", weights_only=True)
    kinds = {tensor.dtype for tensors in content["weights"].values() for tensor in tensors.values()}
    assert kinds == {torch.float16, torch.int64}  # whole numbers: batches that norms have counted
    found = read_exported(tmp_path / "half.pt").model.networks["first"]
    assert {p.dtype for p in found.parameters()} == {torch.float32}
    for key, value in read_exported(tmp_path / "single.pt").model.networks["first"].state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], value, rtol=2**-11, atol=2**-25)  # half a unit of fp16
    assert 0.001 < masks["single"].mean() < 0.999
    assert (masks["single"] != masks["half"]).mean() < 0.001


def test_a_weight_beyond_half_precision_is_told():
    assert torch.equal(halved(torch.tensor([1.0, 1 / 3])), torch.tensor([1.0, 0.333251953125], dtype=torch.float16))
    with pytest.raises(LasslError, match=r"a weight of 7e\+04 does not fit into half precision; leave --half away"):
        halved(torch.tensor([1.0, -7e4]))


def test_a_model_that_comes_with_lassl_predicts_by_its_name_in_any_folder(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(start, "SHIPPED", tmp_path / "weights")
    lassl("export", RUN, "-o", tmp_path / "weights/atrium.pt", "--half")
    monkeypatch.chdir(tmp_path)
    for folder, model in {"named": "atrium", "given": "weights/atrium.pt"}.items():
        assert lassl("predict", model, raw, "-o", folder) == 0
    np.testing.assert_array_equal(*(read_volume(Path(f) / "C6.nrrd").array for f in ("named", "given")))
    with pytest.raises(LasslError, match=r"kidney\.pt: no such model; expected one that comes with lassl \(atrium\)"):
        find_model("kidney")
    content = torch.load("weights/atrium.pt", weights_only=True)
    content["weights"]["first"]["head.1.bias"] += 0.01
    torch.save(content, "weights/atrium.pt")
    with pytest.raises(LasslError, match=r"atrium\.pt: damaged or edited \(its content is not what was written\)"):
        lassl("predict", "atrium", raw, "-o", "again")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_card_beside_a_model_tells_its_file_its_run_and_its_scores(path):
    card = path.with_suffix(".md").read_text("utf-8")
    exported = read_exported(path)
    record = exported.model.record
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert record.weights_sha256 in card and f"{record.profile}/{record.run.name}" in card
    scores = [f"{exported.metrics[key]:.2f}" for key in ("dice", "jaccard", "asd", "hd95")]
    assert f"| {' | '.join(scores)} | {exported.metrics['failed']:.0f} |" in card
    assert f"{len(record.labeled)} labeled training scans" in card


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_scores_of_a_model_are_those_of_a_committed_run_of_the_same_weights(path):
    exported = read_exported(path)
    runs = [r for r in RECORDS if read_record(r).weights_sha256 == exported.model.record.weights_sha256]
    figures = [json.loads((r.parents[1] / f"{r.stem}.json").read_text("utf-8")) for r in runs]
    assert figures and all(found == exported.metrics for found in figures)


def test_what_comes_with_lassl_is_atrium_and_takes_no_more_than_5_mb():
    assert [path.stem for path in SHIPPED] == ["atrium"]
    assert SHIPPED[0].stat().st_size <= 5_000_000
