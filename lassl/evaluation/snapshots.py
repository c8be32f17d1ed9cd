"""Which weights of a training are scored: the last, or a snapshot chosen on labeled cases that were held out."""

from collections.abc import Callable, Sequence

import pandas as pd

from lassl.model.record import SnapshotDice
from lassl.plumbing.files import text_hash

# of a trajectory: Dice in percent on a case after `step` steps; `part` is the subset of the case, held_out or test
COLUMNS = ("step", "part", "case", "dice_percent")
NO_ROWS = text_hash(",".join(COLUMNS) + "\n")  # what earlier records have of a run without snapshots


def last(trajectory: pd.DataFrame) -> int:
    """The step of the weights at the end of training, whatever their Dice."""
    return int(trajectory["step"].max())


def validated(trajectory: pd.DataFrame) -> int:
    """The step of the weights with the best mean Dice on the held-out cases, the later one of equals."""
    return best(trajectory, "held_out")


def best(trajectory: pd.DataFrame, subset: str) -> int:
    """The step with the best mean Dice on the cases of a subset (held_out or test), the later one of equals."""
    means = trajectory[trajectory["part"] == subset].groupby("step")["dice_percent"].mean()
    return int(means[means == means.max()].index.max())


CHOICES: dict[str, Callable[[pd.DataFrame], int]] = {"last": last, "validated": validated}


def recorded(trajectory: pd.DataFrame) -> tuple[SnapshotDice, ...]:
    """A trajectory as a record keeps it, with six decimals of each Dice."""
    dice: dict[int, dict[str, dict[str, float]]] = {}
    for step, part, case, percent in trajectory[list(COLUMNS)].itertuples(index=False, name=None):
        dice.setdefault(int(step), {"held_out": {}, "test": {}})[part][case] = round(float(percent), 6)
    return tuple(SnapshotDice(step=step, **parts) for step, parts in dice.items())


def trajectory_of(dice: Sequence[SnapshotDice]) -> pd.DataFrame:
    """The trajectory that a record keeps."""
    rows = [
        (snapshot.step, part, case, percent)
        for snapshot in dice
        for part, cases in (("held_out", snapshot.held_out), ("test", snapshot.test))
        for case, percent in cases.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
