"""Snapshots: when they are kept, what they hold, how one is chosen, and that the chosen one is scored."""

import json

import pandas as pd
import pytest
import torch

from helpers.trainings import settings
from lassl.data.prepared import Prepared
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.publish import publish
from lassl.evaluation.snapshots import CHOICES, COLUMNS, best, last, recorded, trajectory_of, validated
from lassl.model.record import Scored, read_record
from lassl.model.trained import load_model
from lassl.training.loop import snapshot_steps
from lassl.training.train import train

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write outputs to."""
    monkeypatch.chdir(tmp_path)


def trajectory(held_out: dict[int, list[float]], test: dict[int, list[float]]) -> pd.DataFrame:
    """Dice of the cases of both parts by step, as rows in no order."""
    parts = {"test": test, "held_out": held_out}
    rows = [
        (step, part, f"{part} {i}", dice)
        for part, steps in parts.items()
        for step, values in steps.items()
        for i, dice in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


FOUND = trajectory(
    held_out={60: [70, 90, 50], 80: [80, 90, 40], 40: [95, 20, 20], 100: [60, 60, 60]},
    test={100: [10, 20], 40: [35, 15], 80: [20, 25], 60: [30, 15]},
)


def test_the_last_weights_are_those_of_the_last_step_whatever_they_score():
    assert last(FOUND) == 100


def test_validated_is_the_best_mean_on_the_held_out_cases_and_the_later_of_equals():
    assert validated(FOUND) == 80  # 70 on average, as after 60
    assert validated(FOUND[FOUND["step"] != 80]) == 60


def test_validated_does_not_look_at_the_test_cases():
    changed = FOUND.assign(dice_percent=FOUND["dice_percent"].mask(FOUND["part"] == "test", 1.0))
    assert validated(changed) == validated(FOUND)
    assert best(FOUND, "test") == 40


def test_there_are_two_choices_of_ours():
    assert CHOICES == {"last": last, "validated": validated}


@pytest.mark.parametrize(
    ("steps", "count", "expected"),
    [
        (6000, 10, {3000, 3300, 3600, 3900, 4200, 4500, 4800, 5100, 5400, 5700}),
        (100, 4, {50, 62, 75, 87}),
        (7, 1, {3}),
        (9, 3, {4, 6, 7}),
        (240, 0, set()),
        (8, 50, {4, 5, 6, 7}),  # more than there are steps in the second half: each of them
    ],
)
def test_snapshots_are_spread_evenly_from_the_middle_without_the_last_step(steps, count, expected):
    assert snapshot_steps(steps, count) == expected


def trained(config, method="vnet_16"):
    run = config.run(method, 0, 0)
    train(config, run)
    return run, load_model(run.model)


def test_a_snapshot_holds_the_weights_that_the_training_had_after_its_step(tiny_data):
    constant = {"lr": 0.02, "schedule": "constant"}  # so that a shorter training makes the same first steps
    _, whole = trained(settings(tiny_data, train={"steps": 9} | constant, snapshots={"count": 3}))
    assert sorted(whole.snapshots) == [4, 6, 7] and whole.steps == 9
    for step in (4, 6):
        _, short = trained(settings(tiny_data, train={"steps": step} | constant))
        (found,) = whole.after(step).values()
        pairs = zip(found.state_dict().items(), short.networks["network"].state_dict().items(), strict=True)
        assert all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


def test_the_default_network_alone_has_snapshots_and_after_the_last_step_are_all_networks(tiny_data):
    _, found = trained(settings(tiny_data, train={"steps": 4}, snapshots={"count": 1}), "cps")
    assert list(found.snapshots) == [2] and list(found.after(2)) == ["first"]
    pairs = zip(found.after(2)["first"].parameters(), found.networks["first"].parameters(), strict=True)
    assert not all(torch.equal(early, late) for early, late in pairs)
    for step in (None, 4):
        assert found.after(step) == found.networks


def test_keeping_snapshots_changes_no_weight(tiny_data):
    _, without = trained(settings(tiny_data, train={"steps": 4}), "mt_un")
    _, kept = trained(settings(tiny_data, train={"steps": 4}, snapshots={"count": 2}), "mt_un")
    assert len(kept.snapshots) == 2 and not without.snapshots
    assert kept.record.weights_sha256 == without.record.weights_sha256


def earliest(found: pd.DataFrame) -> int:
    return int(found["step"].min())


def test_the_trajectory_is_written_and_the_chosen_snapshot_is_scored(tiny_data):
    shape = {"train": {"steps": 24, "lr": 0.02}, "network": {"width": 4, "dropout": 0.0}, "cases": {"held_out": 1}}
    run, model_of_run = trained(settings(tiny_data, **shape, snapshots={"count": 2}))
    assert model_of_run.record.held_out == ("C2",)
    summaries = {}
    for use in ("last", "validated", f"{__name__}:earliest"):
        evaluate(settings(tiny_data, **shape, snapshots={"count": 2, "use": use}), run)
        publish(run)
        found = trajectory_of(read_record(run.record).snapshot_dice)
        assert list(found.columns) == list(COLUMNS)
        rows = list(found[["step", "part", "case"]].itertuples(index=False, name=None))
        cases = [("held_out", "C2"), ("test", "C6"), ("test", "C7")]
        assert rows == [(step, *case) for step in (12, 18, 24) for case in cases]
        scored = read_record(run.record).evaluation.snapshot
        own = found[(found["step"] == scored.step) & (found["part"] == "test")]["dice_percent"]
        summaries[use] = (scored.step, json.loads(run.metrics.read_text())["dice"])
        assert scored.use == use and summaries[use][1] == pytest.approx(own.mean(), abs=1e-3)
    (end, late), (start, early) = summaries["last"], summaries[f"{__name__}:earliest"]
    assert (start, end) == (12, 24) and abs(late - early) > 1
    assert summaries["validated"][0] == validated(found)


def test_without_snapshots_nothing_is_followed_and_the_last_weights_are_scored(tiny_data):
    config = settings(tiny_data, cases={"held_out": 1})
    run, _ = trained(config)
    evaluate(config, run)
    publish(run)
    assert "snapshot_dice" not in run.record.read_text() and not run.snapshots.exists()
    assert read_record(run.record).evaluation.snapshot == Scored(use="last", step=None)


def test_a_trajectory_is_kept_in_a_record_with_six_decimals():
    found = trajectory({40: [70.12345678, 90]}, {40: [0.1], 100: [100 / 3]}).sort_values(["step", "part"])
    expected = [(40, "held_out", "held_out 0", 70.123457), (40, "held_out", "held_out 1", 90.0)]
    expected += [(40, "test", "test 0", 0.1), (100, "test", "test 0", 33.333333)]
    assert list(trajectory_of(recorded(found)).itertuples(index=False, name=None)) == expected
    assert trajectory_of(()).empty and list(trajectory_of(()).columns) == list(COLUMNS)


def test_each_image_is_read_once_for_all_snapshots_and_once_for_the_scores(tiny_data, monkeypatch):
    config = settings(tiny_data, train={"steps": 9}, cases={"held_out": 1}, snapshots={"count": 3})
    run, _ = trained(config)
    read, read_image = [], Prepared.read_image
    monkeypatch.setattr(Prepared, "read_image", lambda self, case: read.append(case) or read_image(self, case))
    evaluate(config, run)
    assert read == ["C2", "C6", "C7", "C6", "C7"]
