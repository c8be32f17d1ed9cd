"""The scores that every statistic starts from: a table of runs and cases.

Index ("label_split", "seed"), one column for each test case, NaN where a distance is undefined. A label split is a
choice of the labeled training cases, a seed the chance of a training. The order of runs and cases changes no result;
tables with another index, or a run or case twice, raise ValueError.
"""

import pandas as pd

INDEX = ["label_split", "seed"]
DIGITS = 9  # decimals: what differs less differs by rounding and is a tie


def in_order(scores: pd.DataFrame) -> pd.DataFrame:
    """The table in one order of runs and cases. Raises ValueError if it is not a table of scores."""
    if list(scores.index.names) != INDEX or scores.index.has_duplicates or scores.columns.has_duplicates:
        raise ValueError(f"scores have an index {scores.index.names}; expected {INDEX}, and each run and case once")
    ordered = scores.index.is_monotonic_increasing and scores.columns.is_monotonic_increasing
    return scores if ordered else scores.sort_index().sort_index(axis=1)


def paired(scores: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """Scores minus baseline over the runs and cases of both: same label split and seed, case by case, NaN if either is.

    If they share no run: the difference of the means over their runs, as one pseudo-run (-1, -1), which covers the
    cases only, not the chance of training. Raises ValueError if they share no case.
    """
    scores, baseline = in_order(scores), in_order(baseline)
    runs, cases = scores.index.intersection(baseline.index), scores.columns.intersection(baseline.columns)
    if cases.empty:
        raise ValueError("the two rows share no case; differences are taken case by case")
    if runs.empty:
        difference = scores[cases].mean() - baseline[cases].mean()
        return pd.DataFrame([difference], index=pd.MultiIndex.from_tuples([(-1, -1)], names=INDEX))
    return scores.loc[runs, cases] - baseline.loc[runs, cases]
