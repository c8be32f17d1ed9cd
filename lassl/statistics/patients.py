"""For new patients, with these trainings: bootstrap intervals and signed-rank tests over cases, and Holm's correction.

Nothing here accounts for variation between trainings (see lassl/statistics/trainings.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lassl.statistics.scores import DIGITS, in_order, paired

Weights = NDArray[np.float64]  # (replicates, runs or cases): how often each was drawn
Values = NDArray[np.float64]


@lru_cache(maxsize=4)  # rows of a table have the same runs and cases
def resamples(runs: tuple[tuple[int, int], ...], cases: int, count: int, seed: int) -> tuple[Weights, Weights]:
    """Bootstrap weights of runs (count, len(runs)) and of cases (count, cases).

    Draws label splits with replacement, and for each draw as many of its seeds as it has, also with replacement. A
    replicate has one sample of cases for all runs, because all runs are scored on the same cases (Owen 2007, The
    pigeonhole bootstrap): new cases for each run would divide the variance between cases by the number of runs,
    although more runs say nothing about other patients. The drawn cases do not depend on the runs.
    """
    rng = np.random.default_rng(seed)
    case_weights = _picks(rng, np.full(count, cases), cases)
    split_of = np.array([label_split for label_split, _ in runs])
    label_splits = np.unique(split_of)
    run_weights = np.empty((count, len(runs)))
    for label_split, times in zip(
        label_splits, _picks(rng, np.full(count, len(label_splits)), len(label_splits)).T, strict=True
    ):
        seeds = np.flatnonzero(split_of == label_split)
        run_weights[:, seeds] = _picks(rng, times * len(seeds), len(seeds))
    return run_weights, case_weights


def _picks(rng: np.random.Generator, picks: NDArray[np.number], things: int) -> Weights:
    """How often each of `things` is drawn in replicates with `picks` draws each: (count,) -> (count, things)."""
    return rng.multinomial(picks.astype(np.int64), np.full(things, 1 / things)).astype(np.float64)


def _means(scores: pd.DataFrame, weights: tuple[Weights, Weights]) -> Values:
    """Mean of the defined scores in each replicate (count,), NaN if there are none."""
    run_weights, case_weights = weights
    values = scores.to_numpy(dtype=np.float64)
    defined = ~np.isnan(values)
    totals = (run_weights @ np.where(defined, values, 0.0) * case_weights).sum(1)
    sizes = (run_weights @ defined.astype(np.float64) * case_weights).sum(1)
    means: Values = np.divide(totals, sizes, out=np.full_like(totals, np.nan), where=sizes > 0)
    return means


def interval(scores: pd.DataFrame, level: float = 0.95, count: int = 10000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the mean of the defined scores, NaN if there are none.

    Replicates without a defined score are left out. With one run it is the ordinary bootstrap over cases, which ignores
    variation between trainings. With few label splits it is too narrow: resampling D of them shows only (D - 1) / D of
    their variance.
    """
    scores = in_order(scores)
    if not scores.notna().any(axis=None):
        return np.nan, np.nan
    means = _means(scores, resamples(tuple(scores.index), scores.shape[1], count, seed))
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """A row against a baseline with respect to new patients, in units of the score; NaN if undefined."""

    difference: float  # mean over the runs and cases of both, row minus baseline
    low: float  # bootstrap interval over the cases
    high: float
    p_value: float  # over the cases
    cases: int  # with a defined difference


def compare(
    scores: pd.DataFrame, baseline: pd.DataFrame, level: float = 0.95, count: int = 10000, seed: int = 0
) -> Comparison:
    """Compare by paired differences: interval, and two-sided Wilcoxon signed-rank test over the cases.

    Both use each case's mean difference over the runs, so they hold for new cases but only for these runs. Zero
    differences are dropped (Wilcoxon 1945); p is 1 if all are zero. With n differences left, p is at least 2 / 2^n. It
    is exact for up to 50 differences without ties; otherwise scipy chooses.
    """
    differences = paired(scores, baseline)
    by_case = differences.mean().dropna()
    mean = float(np.nanmean(differences)) if len(by_case) else np.nan
    one_run = pd.DataFrame([by_case], index=differences.index[:1])
    low, high = interval(one_run, level, count, seed)
    return Comparison(mean, low, high, _signed_rank(by_case.to_numpy()), len(by_case))


def _signed_rank(differences: Values) -> float:
    """Two-sided p of the signed-rank test; NaN without differences, 1 if all are zero."""
    import scipy.stats  # takes half a second, and only tests need it

    rounded = np.round(differences, DIGITS)
    moved = rounded[rounded != 0]  # dropped here because scipy abandons the exact test if there is a zero
    if not len(moved):
        return 1.0 if len(rounded) else np.nan
    return float(scipy.stats.wilcoxon(moved).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests, at most 1 (Holm 1979, step-down). NaN stays NaN and does not count."""
    adjusted = np.array(p_values, dtype=np.float64)
    order = np.argsort(adjusted)[: np.count_nonzero(~np.isnan(adjusted))]  # NaN are sorted last
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(p) for p in adjusted]
