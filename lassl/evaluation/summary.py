"""The summary of a run: which of its scores count, and how failed cases count in them.

A case fails if its prediction is empty: it then has no surface, and its distances are undefined. Where a cohort has
several structures, each is counted so by itself, and the score of a case is the mean over its structures.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lassl.evaluation.scores import DISTANCES, absent, by_structure, of_cases, summarize
from lassl.model.record import Reported
from lassl.plumbing.plugins import plugin


def excluded(cases: pd.DataFrame) -> pd.DataFrame:
    """Copy the cases without the distances of failed ones, so that means leave them out."""
    return _failed_at(cases, dict.fromkeys(DISTANCES, np.nan))


def diagonal(cases: pd.DataFrame) -> pd.DataFrame:
    """Copy the cases; distances of failed ones are the diagonal of their volume, the worst possible value."""
    return _failed_at(cases, {name: cases[f"diagonal_{name.rsplit('_', 1)[1]}"] for name in DISTANCES})


def zero(cases: pd.DataFrame) -> pd.DataFrame:
    """Copy the cases; distances of failed ones are 0, the best possible value: a flaw of older code."""
    return _failed_at(cases, dict.fromkeys(DISTANCES, 0.0))


def _failed_at(cases: pd.DataFrame, distances: "Mapping[str, float | pd.Series[float]]") -> pd.DataFrame:
    """Copy the cases, with these distances for failed ones."""
    if not cases["failed"].any():
        return cases.copy()
    return cases.assign(**{name: cases[name].mask(cases["failed"], value) for name, value in distances.items()})


@dataclass(frozen=True)
class Policy:
    """A way to count failed cases: its heading in tables, and the function that sets their distances."""

    heading: str
    count: Callable[[pd.DataFrame], pd.DataFrame]


POLICIES = {  # by their names in table.json
    "excluded": Policy("left out", excluded),
    "diagonal": Policy("volume's diagonal", diagonal),
    "zero": Policy("0, as older code does", zero),
}
FAILURES = {name: POLICIES[name].count for name in ("excluded", "diagonal")}  # the words of evaluate.failures


def chosen(cases: pd.DataFrame, reported: Reported) -> pd.DataFrame:
    """The scores of the reported variant: its network, with whole masks or the largest component."""
    parts = "largest" if reported.largest_component else "all"
    return variant(cases, reported.network, parts)


def variant(cases: pd.DataFrame, network: str, parts: str) -> pd.DataFrame:
    """The scores of one network with `parts` of its masks, all or largest; one row per case (and structure)."""
    return cases[(cases["network"] == network) & (cases["parts"] == parts)].reset_index(drop=True)


def counted(cases: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Count failed cases by a policy: excluded, diagonal, or the name of a function; one row per case.

    Raises LasslError.
    """
    return of_cases(plugin("evaluate.failures", policy, FAILURES)(cases))


def summary(cases: pd.DataFrame, reported: Reported) -> dict[str, float | int | None]:
    """Means over the cases of the reported variant, rounded to four decimals; see summarize."""
    means = summarize(counted(chosen(cases, reported), reported.failures))
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in means.items()}


def summary_text(cases: pd.DataFrame, reported: Reported) -> str:
    """The summary as JSON; of several structures also that of each, and how many references lack it."""
    told: dict[str, Any] = {**summary(cases, reported)}
    if structures := by_structure(cases):
        told["structures"] = {
            name: summary(rows, reported) | {"absent": absent(chosen(rows, reported))}
            for name, rows in structures.items()
        }
    return json.dumps(told, indent=2) + "\n"
