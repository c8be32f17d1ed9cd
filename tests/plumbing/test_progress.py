"""The bar of a training: how far it is, and what the last steps gave."""

import io
import sys
import timeit

import pandas as pd
import pytest

from helpers.trainings import settings, trained
from lassl.plumbing.progress import RECENT, bar, recent


def steps(*losses: float, **others: float) -> list[dict[str, float]]:
    return [{"loss": loss, **others} for loss in losses]


def test_loss_and_dice_are_means_over_the_last_steps_only():
    assert RECENT == 20
    assert recent(steps(*[100] * 30, *[1, 3] * 10, dice=0.5)) == "loss 2.000, Dice 0.500"
    assert recent(steps(4, 1, dice=0.25)) == "loss 2.500, Dice 0.250"


def test_what_a_method_does_not_log_is_left_out():
    assert recent(steps(1, 2, agreement=0.9)) == "loss 1.500"
    assert recent(steps(1) + steps(2, dice=0.75)) == "loss 1.500, Dice 0.750"
    assert recent([]) == ""


def test_there_is_no_bar_for_no_items_and_one_for_some(capfd):
    assert list(bar([], "snapshots", "snapshot", total=0)) == [] and capfd.readouterr().err == ""
    assert list(bar("ab", "cases", "case", total=2)) == ["a", "b"] and "cases: 100%" in capfd.readouterr().err


@pytest.mark.parametrize("method", ["vnet_16", "cps", "mt_un"])
def test_in_a_log_file_too_the_bar_of_a_training_ends_full_with_its_last_loss_and_dice(
    tiny_data, tmp_path, monkeypatch, method
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    config = settings(tiny_data)
    trained(config, method)
    first, *_, last = [line for line in log.getvalue().split("\r") if line.startswith("train")]
    assert " 0/3 " in first and "100%" in last and " 3/3 " in last
    folder = config.run(method, 0, 0).curves
    loss, dice = (pd.read_csv(folder / f"{name}.tsv", sep="\t")[name].mean() for name in ("loss", "dice"))
    assert f"loss {loss:.3f}, Dice {dice:.3f}]" in last


def test_on_a_terminal_of_80_columns_the_values_of_a_long_training_are_seen(monkeypatch):
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    log.isatty = lambda: True
    shown = bar(iter(range(10)), "train", "step", 6000, 5990)
    shown.ncols = 80
    for _ in shown:
        shown.set_postfix_str("loss 0.412, Dice 0.831", refresh=False)
    last = log.getvalue().split("\r")[-1].rstrip("\n")
    assert len(last) <= 80 and "6000/6000" in last and last.endswith("loss 0.412, Dice 0.831]")


def test_it_costs_nothing_beside_a_step():
    curves = steps(*range(6000), dice=0.5)
    assert min(timeit.repeat(lambda: recent(curves), number=100, repeat=5)) / 100 < 2e-4  # seconds


def test_a_bar_moves_each_second_in_a_notebook_and_each_half_minute_in_a_log_file(monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert bar([1], "work", "item", 1).mininterval == 30
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    assert bar([1], "work", "item", 1).mininterval == 1
