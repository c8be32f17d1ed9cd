"""Which weights of a training are scored: the last, or a snapshot chosen on labeled cases that were held out."""

from collections.abc import Callable

import pandas as pd

# of a trajectory: Dice in percent on a case after `step` steps; `part` is the subset of the case, held_out or test
COLUMNS = ("step", "part", "case", "dice_percent")


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
