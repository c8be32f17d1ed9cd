"""Evaluation of trained networks on a cohort of eight tiny scans: masks, scores in all variants, the record."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.trainings import settings, trained
from lassl.evaluation import inference
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.publish import publish
from lassl.evaluation.scores import summarize
from lassl.evaluation.summary import variant
from lassl.images.grids import shifted
from lassl.images.volumes import read_volume
from lassl.model.placement import place
from lassl.model.record import Scored, read_record
from lassl.model.trained import load_model
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Data
from lassl.training.train import train

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write outputs to."""
    monkeypatch.chdir(tmp_path)


def test_evaluation_writes_masks_scores_and_the_record(tiny_data, prepared):
    config = settings(tiny_data)
    run = config.run("mt_un", 0, 0)
    train(config, run)
    evaluate(config, run)
    publish(run)
    assert set(json.loads(run.metrics.read_text())) == {"dice", "jaccard", "asd", "hd95", "failed"}
    rows = pd.read_csv(run.cases)[["case", "network", "parts"]].itertuples(index=False, name=None)
    assert list(rows) == list(product(("C6", "C7"), ("student", "teacher", "ensemble"), ("all", "largest")))
    assert not run.snapshots.exists() and not (run.predictions / "snapshots.csv").exists()
    record = read_record(run.record)
    assert (record.snapshot_dice, record.snapshots_sha256) == ((), None)
    assert record.cohort.hash == prepared.manifest_hash
    assert record.settings.method.options["passes"] == 8
    assert record.evaluation.network == "student"
    assert record.evaluation.snapshot == Scored(use="last", step=None)
    for case in prepared.split.test:
        mask, raw = read_volume(run.predictions / f"{case}.nrrd"), read_volume(tiny_data.folder / case / "laendo.nrrd")
        assert mask.array.shape == raw.array.shape
        assert mask.geometry == raw.geometry


def test_the_probability_behind_each_mask_is_kept_in_percent_at_the_place_of_the_prepared_case(tiny_data, prepared):
    asked = {"network": "ensemble", "largest_component": False}
    config = settings(tiny_data, train={"steps": 12, "lr": 0.02}, evaluate=asked)
    run = config.run("cps", 0, 0)
    train(config, run)
    evaluate(config, run)
    where, networks = place(config.compute), load_model(run.model).networks
    placed = {name: where.module(network).eval() for name, network in networks.items()}
    for case in prepared.split.test:
        found = read_volume(run.predictions / "probability" / f"{case}.nrrd")
        expected = inference.foregrounds(placed, prepared.read_image(case), inference.Windows.of(config), where)
        assert found.array.dtype == np.uint8 and len(np.unique(found.array)) > 20
        np.testing.assert_allclose(found.array / 100, expected["ensemble"][0], atol=0.005 + 1e-6)
        assert found.geometry == shifted(prepared.geometry(case), prepared.crop_start(case))
        mask = read_volume(run.predictions / f"{case}.nrrd")
        start = [slice(a, a + n) for a, n in zip(prepared.crop_start(case), found.array.shape, strict=True)]
        assert not (mask.array[tuple(start)] > 0)[found.array < 50].any()


def test_masks_of_earlier_code_are_published_with_their_snapshots_where_there_are_any(tiny_data):
    config = settings(tiny_data)
    run = config.run("vnet_16", 0, 0)
    train(config, run)
    evaluate(config, run)
    (run.predictions / "summary.json").rename(run.predictions / "headline.json")
    for rows in ("12,test,C6,80.5\n", ""):
        (run.predictions / "snapshots.csv").write_text("step,part,case,dice_percent\n" + rows)
        publish(run)
        assert set(json.loads(run.metrics.read_text())) == {"dice", "jaccard", "asd", "hd95", "failed"}
        assert run.snapshots.is_file() == bool(rows)
    (run.predictions / "headline.json").unlink()
    with pytest.raises(
        LasslError, match=r"vnet_16-d0-s0/summary\.json: not found; run `dvc repro`, which evaluates the run"
    ):
        publish(run)


def test_the_summary_and_the_masks_are_of_the_network_and_parts_that_were_asked_for(tiny_data, prepared):
    config = settings(tiny_data, train={"steps": 12, "lr": 0.02})
    run = config.run("cps", 0, 0)
    train(config, run)
    dice = []
    for network, parts in (("default", "all"), ("second", "all"), ("second", "largest"), ("ensemble", "all")):
        asked = {"network": network, "largest_component": parts == "largest"}
        evaluate(settings(tiny_data, train={"steps": 12, "lr": 0.02}, evaluate=asked), run)
        publish(run)
        own = variant(pd.read_csv(run.cases), network.replace("default", "first"), parts)
        assert json.loads(run.metrics.read_text()) == pytest.approx(summarize(own), abs=1e-4)
        of_masks = [written_dice(run, tiny_data, case) for case in own["case"]]
        assert own["dice_percent"].tolist() == pytest.approx(of_masks, abs=1e-5)
        dice.append(own["dice_percent"].mean())
    assert len(set(dice)) == 4  # so that none stands for another


def written_dice(run: Run, data: Data, case: str) -> float:
    """Dice in percent of a written mask in the raw scan's grid."""
    paths = (run.predictions / f"{case}.nrrd", data.folder / case / "laendo.nrrd")
    mask, raw = (read_volume(path).array > 0 for path in paths)
    return float(200 * (mask & raw).sum() / (mask.sum() + raw.sum()))


def test_a_network_is_named_by_what_the_model_has(tiny_data):
    pair, single = (trained(settings(tiny_data), method) for method in ("cps", "vnet_16"))
    assert list(pair.networks) == ["first", "second"]
    assert [pair.named(which, "evaluate.network") for which in ("default", "second", "ensemble")] == [
        "first",
        "second",
        "ensemble",
    ]
    with pytest.raises(LasslError, match=r"evaluate\.network: the model has no 'teacher' \(found: first, second\)"):
        pair.named("teacher", "evaluate.network")
    assert single.named("default", "evaluate.network") == "network"
    with pytest.raises(LasslError, match=r"no 'ensemble' \(found: network\); use one of these or default"):
        single.named("ensemble", "evaluate.network")


class Sure(torch.nn.Module):
    """The same logits everywhere."""

    def __init__(self, margin: float):
        super().__init__()
        self.margin = margin

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(x), torch.full_like(x, self.margin)], 1)


def test_the_ensemble_is_the_mean_probability_at_native_resolution(tiny_data):
    config = settings(tiny_data, patches={"pool": 2})
    where = place(config.compute)
    image = np.zeros((21, 18, 17), np.float32)
    networks = {"a": Sure(3.0), "b": Sure(-1.0), "c": Sure(-9.0)}
    found = inference.foregrounds(networks, image, inference.Windows.of(config), where)
    for name, expected in {"a": 0.952574, "b": 0.268941, "c": 0.000123, "ensemble": 0.407213}.items():
        assert found[name].shape == (1, *image.shape)
        np.testing.assert_allclose(found[name], expected, atol=1e-5)
    assert list(inference.foregrounds({"a": networks["a"]}, image, inference.Windows.of(config), where)) == ["a"]
