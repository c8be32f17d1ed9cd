"""Each flaw, put in by its file in conf/flaw/, does what it is said to do."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.project import ROOT, composed
from helpers.trainings import settings
from lassl.data.case import Case
from lassl.data.patches import PatchSource
from lassl.data.prepare import prepare
from lassl.data.prepared import Manifest, Prepared, open_prepared
from lassl.data.split_file import read_split
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.metrics import score
from lassl.evaluation.publish import publish
from lassl.evaluation.snapshots import CHOICES, COLUMNS, trajectory_of, validated
from lassl.evaluation.summary import summary
from lassl.flaws.broken_dice import broken_dice
from lassl.learning.losses import hard_dice
from lassl.methods import build
from lassl.model.placement import place
from lassl.model.record import Reported, read_record
from lassl.plumbing.errors import LasslError
from lassl.plumbing.plugins import plugin
from lassl.settings.config import load
from lassl.training.loop import fit
from lassl.training.schedules import poly
from lassl.training.train import cases_of, train

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write outputs to."""
    monkeypatch.chdir(tmp_path)


def described(name: str, train: bool) -> Case:
    """A case of one voxel with a label, as a manifest describes it."""
    one, place = (1, 1, 1), {"spacing_mm": (1.0, 1.0, 1.0), "origin_mm": (0.0, 0.0, 0.0), "direction": ()}
    hashes = {"image_sha256": "", "label_sha256": "", "labeled": True}
    sizes = {"shape": one, "full_size": one, "crop_start": (0, 0, 0)}
    return Case(case=name, split="train" if train else "test", **sizes, **place, **hashes)


def test_overlap_puts_the_labeled_cases_among_the_unlabeled():
    split = read_split(ROOT / "splits/la2018.csv")
    cases = tuple(described(name, name in split.train) for name in split.train + split.test)
    prepared = Prepared(ROOT, Manifest(door="h5", options={}, hash="", cases=cases))
    flawed, honest = (load(composed("method=cps", *o)) for o in (["flaw=overlap"], []))
    label_split, expected = (cases_of(c, c.methods["cps"], prepared, 0) for c in (flawed, honest))
    assert label_split.labeled == expected.labeled and len(label_split.unlabeled) == len(expected.unlabeled) == 64
    assert set(label_split.unlabeled) & set(label_split.labeled) == set(split.train[:16])
    assert not set(expected.unlabeled) & set(expected.labeled)
    seeded = cases_of(flawed, flawed.methods["cps"], prepared, 3)
    assert set(seeded.labeled) < set(seeded.unlabeled) and set(seeded.labeled) != set(label_split.labeled)


def test_crossed_schedulers_lower_the_first_learning_rate_twice_and_the_second_never(tiny_data, prepared):
    ends, rates = [], []
    for params in (composed("method=cps"), composed("method=cps", "flaw=crossed_schedulers")):
        config = settings(tiny_data, params, train={"steps": 4, "lr": 0.02})
        method, where = config.methods["cps"], place(config.compute)
        label_split = cases_of(config, method, prepared, 0)
        source = PatchSource(prepared, label_split, config.patches, method.batch, 0)
        state = fit(config, method, source, where, 0)
        rates.append([group["lr"] for group in state.optimizer.param_groups])
        ends.append([torch.cat([p.flatten() for p in n.parameters()]) for n in state.algorithm.networks.values()])
    factor = poly(3, 4)
    assert factor < 0.5
    assert rates == [pytest.approx([0.02 * factor, 0.02 * factor]), pytest.approx([0.02 * factor**2, 0.02])]
    assert not any(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def sure(prediction: torch.Tensor) -> torch.Tensor:
    """Logits (N, 2, X, Y, Z) that are certain of a mask (N, X, Y, Z)."""
    return 50.0 * torch.stack([1.0 - prediction, prediction], 1)


def labels(first: int, second: int) -> torch.Tensor:
    """Two masks of 4 x 3 x 2 voxels: the first ones of the one, the last ones of the other."""
    masks = torch.zeros(2, 24)
    masks[0, :first], masks[1, 24 - second :] = 1, 1
    return masks.reshape(2, 4, 3, 2)


def test_broken_dice_cannot_tell_a_perfect_prediction_from_an_empty_one():
    label = labels(6, 6)
    perfect, empty = sure(label), sure(torch.zeros_like(label))
    # 2 x 12 / (48 + 12): both have 48 certain voxels, and 12 of the two labels are met by a score of 1
    assert [float(broken_dice(logits, label)) for logits in (perfect, empty)] == pytest.approx([0.4, 0.4])
    assert [float(hard_dice(logits, label)) for logits in (perfect, empty)] == [1, 0]


def test_broken_dice_can_prefer_an_empty_prediction_to_a_perfect_one():
    label = labels(6, 3)
    perfect, empty = (float(broken_dice(sure(p), label)) for p in (label, torch.zeros_like(label)))
    assert (perfect, empty) == pytest.approx((2 * 9 / (48 + 9), 2 * 12 / (48 + 9)))


@pytest.mark.parametrize("count", [1, 3, 4])
def test_broken_dice_refuses_other_than_two_labeled_cases(count):
    label = torch.ones(count, 4, 3, 2)
    with pytest.raises(ValueError, match=rf"^{count} labeled cases in a batch, .* two classes with two cases"):
        broken_dice(sure(label), label)


def test_broken_dice_refuses_several_structures_in_one_line():
    with pytest.raises(LasslError, match=r"^flaw broken_dice: found 4 classes, expected two, .* data.structures$"):
        broken_dice(torch.zeros(2, 4, 4, 3, 2), torch.zeros(2, 4, 3, 2))


def test_broken_dice_feeds_the_weight_of_the_unlabeled_term(make_network, batch, progress):
    weights = []
    for params in (composed("method=cps_alw"), composed("method=cps_alw", "flaw=broken_dice")):
        method = load(params).methods["cps_alw"]
        algorithm = build(method.algorithm, make_network, method.options).eval()  # no dropout: two passes are alike
        algorithm.losses(batch, progress(epoch=0))
        weights.append(algorithm.losses(batch, progress(epoch=1)).logs)
        measure = hard_dice if len(weights) == 1 else broken_dice
        mean = sum(float(measure(n(batch.image)[:2], batch.label)) for n in algorithm.networks.values()) / 2
        assert weights[-1]["weight_unlabeled"] == pytest.approx(weights[-1]["weight"] * mean)
        assert weights[-1]["weight"] > 0


def box(x: int) -> np.ndarray:
    """A mask of the first planes of 6 x 5 x 4 voxels."""
    mask = np.zeros((6, 5, 4), dtype=bool)
    mask[:x] = True
    return mask


def test_empty_zero_makes_the_best_distance_of_a_failure():
    cases = pd.DataFrame([asdict(score(box(x), box(2), (1.0, 1.0, 1.0))) for x in (4, 0, 5)])
    cases = cases.assign(case=list("ABC"), network="network", parts="all")
    policies = (load(composed(*o)).evaluate.failures for o in ([], ["flaw=empty_zero"]))
    reported = (Reported(network="network", largest_component=False, failures=policy) for policy in policies)
    honest, flawed = (summary(cases, each) for each in reported)
    assert honest["asd"] > 0 and honest["hd95"] > 0 and honest["failed"] == flawed["failed"] == 1
    for name in ("asd", "hd95"):
        assert flawed[name] == pytest.approx(honest[name] * 2 / 3, abs=1e-4)  # of three cases, not of two
    assert [flawed[name] for name in ("dice", "jaccard")] == [honest[name] for name in ("dice", "jaccard")]


def test_test_selection_follows_the_test_cases_where_the_held_out_ones_disagree():
    oracle = plugin("snapshots.use", load(composed("flaw=test_selection")).snapshots.use, CHOICES)
    means = {"held_out": {50: 90, 75: 60, 100: 70}, "test": {50: 60, 75: 80, 100: 70}}
    rows = [
        (s, part, f"{part} {i}", m + d) for part in means for s, m in means[part].items() for i, d in ((0, 5), (1, -5))
    ]
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    assert (oracle(found), validated(found)) == (75, 50)


def turned(done: int, steps: int, network: int) -> float:
    return 1.0 if done < 11 else -1.0


def test_test_selection_scores_the_snapshot_that_is_best_on_the_test_cases(tiny_data):
    short = {"steps": 16, "lr": 0.1, "schedule": f"{__name__}:turned"}  # the last steps forget what was learned
    shape = {"train": short, "network": {"width": 4, "dropout": 0.0}}
    config = settings(tiny_data, composed("flaw=test_selection"), **shape)
    run = config.run("vnet_16", 0, 0)
    train(config, run)
    evaluate(config, run)
    publish(run)
    found = trajectory_of(read_record(run.record).snapshot_dice)
    means = found[found["part"] == "test"].groupby("step")["dice_percent"].mean()
    assert json.loads(run.metrics.read_text())["dice"] == pytest.approx(means.max(), abs=1e-3)
    assert means.max() > means[16] + 1


def test_unseeded_margins_give_other_volumes_each_time(tiny_data, tmp_path):
    hashes = []
    for params in (composed(), composed("flaw=unseeded_margins")):
        margins = {"crop": "label", "margin": (0, 5), "min_size": (1, 1, 1), "margins": load(params).data.margins}
        for _ in range(2):
            prepare(tiny_data.model_copy(update={"cohort": str(tmp_path / "again"), **margins}))
            hashes.append(open_prepared(tmp_path / "again").manifest_hash)
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_fewer_exposures_show_half_the_labeled_patches_in_as_many_steps(tiny_data, prepared):
    seen = []
    for params in (composed("method=vnet_16"), composed("method=vnet_16", "flaw=fewer_exposures")):
        config = settings(tiny_data, params)
        method = config.methods["vnet_16"]
        label_split = cases_of(config, method, prepared, 0)
        source = PatchSource(prepared, label_split, config.patches, method.batch, 0)
        seen.append((config.train.steps, sum(len(source[step].label) for step in range(config.train.steps))))
    assert seen == [(3, 12), (3, 6)]
