"""The bar of a training: how far it is, and what the last steps gave."""

import io
import sys
import time
import timeit
import types
from pathlib import Path

import pandas as pd
import pytest

from helpers.trainings import settings, trained
from lassl.plumbing.errors import LasslError
from lassl.plumbing.progress import RECENT, InnerBar, bar, live_curves, recent


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


class Writer:
    """What TensorBoard gets, by tag; the event file of a writer is there from its start."""

    def __init__(self, folder: str):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.file = Path(folder, f"events.out.tfevents.{time.monotonic_ns()}")
        self.file.write_text("")

    def add_scalar(self, name: str, value: float, step: int) -> None:
        with self.file.open("a") as file:
            print(name, value, step, file=file)

    def close(self) -> None:
        pass


@pytest.fixture
def fake_tensorboard(monkeypatch):
    """The package, as far as it is used."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))


def written(folder: Path) -> list[str]:
    return [line for file in folder.glob("events*") for line in file.read_text().splitlines()]


def test_live_curves_have_every_value_of_every_step_once(tmp_path, fake_tensorboard):
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):  # a training that goes on writes its curves from the start
        with live_curves(tmp_path) as follow:
            for end in (1, 1, 4):  # a GPU hands over the values of several steps together
                follow(steps(5, 4, 3, 2, dice=0.5)[:end])
    assert written(tmp_path) == [
        f"{name} {value} {i}" for i, loss in enumerate((5, 4, 3, 2)) for name, value in (("loss", loss), ("dice", 0.5))
    ]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_without_a_folder_there_are_no_live_curves_and_no_package_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with live_curves(None) as follow:
        follow(steps(1))


def test_without_the_package_it_is_said_how_to_get_it_and_nothing_is_removed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    (tmp_path / "events.out.tfevents.1").write_text("earlier")
    with (
        pytest.raises(LasslError, match=r"running\.tensorboard: .*tensorboard is not installed; `pip install tensorb"),
        live_curves(tmp_path),
    ):
        pass
    assert written(tmp_path) == ["earlier"]


def test_an_inner_bar_moves_within_an_item_and_never_back(capfd):
    with InnerBar("predict", "scan", 2) as progress:
        shown = []
        for done, total in ((1, 4), (2, 4), (2, 8), (8, 8)):  # the total was an estimate
            progress.within(done, total)
            shown.append(progress.n)
        assert shown == [0.25, 0.5, 0.5, 1] and "window 8 of 8" in str(progress)
        progress.next()
        progress.next()  # an item that failed
        assert progress.n == 2
    assert "predict: 100%" in capfd.readouterr().err


def test_a_bar_moves_each_second_in_a_notebook_and_each_half_minute_in_a_log_file(monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert bar([1], "work", "item", 1).mininterval == 30
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    assert bar([1], "work", "item", 1).mininterval == 1
