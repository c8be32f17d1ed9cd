"""Flaw: scores the snapshot that is best on the test cases."""

import pandas as pd

from lassl.evaluation.snapshots import best


def oracle(trajectory: pd.DataFrame) -> int:
    """The step with the best mean Dice on the test cases, which requires knowing their labels."""
    return best(trajectory, "test")
