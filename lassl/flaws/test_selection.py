"""Flaw: of all snapshots, the one is scored that is best on the test cases."""

import pandas as pd

from lassl.evaluation.snapshots import best


def oracle(trajectory: pd.DataFrame) -> int:
    """The step with the best mean Dice on the test cases, which only somebody who knows their labels can tell."""
    return best(trajectory, "test")
