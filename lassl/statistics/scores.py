"""The input of all statistics: a table of the scores of runs and cases.

Index ("label_split", "seed"), one column per test case, NaN for an undefined distance. A label split is a choice of the
labeled training cases; a seed determines the random numbers of a training. The order of runs and cases does not matter.
Tables with another index, or with a repeated run or case, raise ValueError.
"""

import pandas as pd

INDEX = ["label_split", "seed"]
DIGITS = 9  # decimals: smaller differences are due to rounding and count as ties


def in_order(scores: pd.DataFrame) -> pd.DataFrame:
    """The table in a fixed order of runs and cases. Raises ValueError if it is not a table of scores."""
    if list(scores.index.names) != INDEX or scores.index.has_duplicates or scores.columns.has_duplicates:
        raise ValueError(f"scores have an index {scores.index.names}; expected {INDEX}, and each run and case once")
    ordered = scores.index.is_monotonic_increasing and scores.columns.is_monotonic_increasing
    return scores if ordered else scores.sort_index().sort_index(axis=1)


def paired(scores: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """Scores minus baseline, paired by label split, seed and case; NaN if either is NaN.

    If they share no run, returns the difference of the means over their runs as one pseudo-run (-1, -1), which accounts
    for cases but not for trainings. Raises ValueError if they share no case.
    """
    scores, baseline = in_order(scores), in_order(baseline)
    runs, cases = scores.index.intersection(baseline.index), scores.columns.intersection(baseline.columns)
    if cases.empty:
        raise ValueError("the two rows share no case, but differences are computed case by case")
    if runs.empty:
        difference = scores[cases].mean() - baseline[cases].mean()
        return pd.DataFrame([difference], index=pd.MultiIndex.from_tuples([(-1, -1)], names=INDEX))
    return scores.loc[runs, cases] - baseline.loc[runs, cases]
