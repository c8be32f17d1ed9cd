"""Which weights of a training are scored: the last, or a snapshot chosen on labeled cases that were held out."""

from collections.abc import Callable

import pandas as pd

# a trajectory: Dice in percent of the weights after `step` steps on a case of a part, held_out or test
COLUMNS = ("step", "part", "case", "dice_percent")


def last(trajectory: pd.DataFrame) -> int:
    """The weights at the end of training: nothing is looked at."""
    return int(trajectory["step"].max())


def validated(trajectory: pd.DataFrame) -> int:
    """The weights with the best mean Dice on the held-out cases, the later ones of equals."""
    return best(trajectory, "held_out")


def best(trajectory: pd.DataFrame, part: str) -> int:
    """The step with the best mean Dice on the cases of a part, the later one of equals."""
    means = trajectory[trajectory["part"] == part].groupby("step")["dice_percent"].mean()
    return int(means[means == means.max()].index.max())


CHOICES: dict[str, Callable[[pd.DataFrame], int]] = {"last": last, "validated": validated}
