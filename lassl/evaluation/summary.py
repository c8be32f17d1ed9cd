"""The summary of a run: which of its scores they are of, and how failed cases count in them.

A failed case is one whose prediction is empty: it has no surface, and its distances are undefined.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lassl.evaluation.scores import DISTANCES, summarize
from lassl.model.record import Reported
from lassl.plumbing.plugins import plugin


def excluded(cases: pd.DataFrame) -> pd.DataFrame:
    """Copy the cases, without the distances of the failed ones: means leave them out."""
    return _failed_at(cases, dict.fromkeys(DISTANCES, np.nan))


def diagonal(cases: pd.DataFrame) -> pd.DataFrame:
    """Copy the cases; the distances of the failed ones are the diagonal of their volume, the worst there is."""
    return _failed_at(cases, {name: cases[f"diagonal_{name.rsplit('_', 1)[1]}"] for name in DISTANCES})


def zero(cases: pd.DataFrame) -> pd.DataFrame:
    """Copy the cases; the distances of the failed ones are 0, the best there is: a flaw of older code."""
    return _failed_at(cases, dict.fromkeys(DISTANCES, 0.0))


def _failed_at(cases: pd.DataFrame, distances: "Mapping[str, float | pd.Series[float]]") -> pd.DataFrame:
    """Copy the cases; the failed ones, if there are any, get these distances."""
    if not cases["failed"].any():
        return cases.copy()
    return cases.assign(**{name: cases[name].mask(cases["failed"], value) for name, value in distances.items()})


@dataclass(frozen=True)
class Policy:
    """A way to count failed cases: what a table calls it, and the function that sets their distances."""

    heading: str
    count: Callable[[pd.DataFrame], pd.DataFrame]


POLICIES = {  # by their names in table.json
    "excluded": Policy("left out", excluded),
    "diagonal": Policy("volume's diagonal", diagonal),
    "zero": Policy("0, as older code does", zero),
}
FAILURES = {name: POLICIES[name].count for name in ("excluded", "diagonal")}  # the words of evaluate.failures


def chosen(cases: pd.DataFrame, reported: Reported) -> pd.DataFrame:
    """The scores of the variant that is reported: its network, with all parts of a mask or the largest."""
    parts = "largest" if reported.largest_component else "all"
    return variant(cases, reported.network, parts)


def variant(cases: pd.DataFrame, network: str, parts: str) -> pd.DataFrame:
    """The scores of one network with `parts` of its masks, all or largest, one row for each case."""
    return cases[(cases["network"] == network) & (cases["parts"] == parts)].reset_index(drop=True)


def counted(cases: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Let failed cases count as a policy says: excluded, diagonal, or a function's name. Raises LasslError."""
    return plugin("evaluate.failures", policy, FAILURES)(cases)


def summary(cases: pd.DataFrame, reported: Reported) -> dict[str, float | int | None]:
    """Means over the cases of the variant that is reported, rounded to four decimals; see summarize."""
    means = summarize(counted(chosen(cases, reported), reported.failures))
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in means.items()}
