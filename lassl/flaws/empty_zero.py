"""Flaw: an empty prediction counts with a distance of 0, the best possible value."""

import pandas as pd

from lassl.evaluation import summary


def zero(cases: pd.DataFrame) -> pd.DataFrame:
    """Copy the cases with every distance of failed ones set to 0."""
    return summary.zero(cases)
