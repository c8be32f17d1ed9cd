"""Chooses the weights of a training to score: the last, or a snapshot that is best on held-out labeled cases."""

from collections.abc import Callable, Sequence

import pandas as pd

from lassl.model.record import SnapshotDice
from lassl.plumbing.files import text_hash

# of a trajectory: Dice in percent on a case after `step` steps; `part` is the subset of the case, held_out or test
COLUMNS = ("step", "part", "case", "dice_percent")
NO_ROWS = text_hash(",".join(COLUMNS) + "\n")  # the hash in earlier records of runs without snapshots


def last(trajectory: pd.DataFrame) -> int:
    """The last step of training."""
    return int(trajectory["step"].max())


def validated(trajectory: pd.DataFrame) -> int:
    """The step with the best mean Dice on the held-out cases; the later one if equal."""
    return best(trajectory, "held_out")


def best(trajectory: pd.DataFrame, subset: str) -> int:
    """The step with the best mean Dice on the cases of a subset (held_out or test); the later one if equal."""
    means = trajectory[trajectory["part"] == subset].groupby("step")["dice_percent"].mean()
    return int(means[means == means.max()].index.max())


CHOICES: dict[str, Callable[[pd.DataFrame], int]] = {"last": last, "validated": validated}


def recorded(trajectory: pd.DataFrame) -> tuple[SnapshotDice, ...]:
    """A trajectory in the form of a record, with six decimals of each Dice."""
    dice: dict[int, dict[str, dict[str, float]]] = {}
    for step, part, case, percent in trajectory[list(COLUMNS)].itertuples(index=False, name=None):
        dice.setdefault(int(step), {"held_out": {}, "test": {}})[part][case] = round(float(percent), 6)
    return tuple(SnapshotDice(step=step, **parts) for step, parts in dice.items())


def trajectory_of(dice: Sequence[SnapshotDice]) -> pd.DataFrame:
    """The trajectory from a record."""
    rows = [
        (snapshot.step, part, case, percent)
        for snapshot in dice
        for part, cases in (("held_out", snapshot.held_out), ("test", snapshot.test))
        for case, percent in cases.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
