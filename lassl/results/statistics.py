"""How sure the figures of a table are: intervals, tests, ranks and the sources of variance.

The scores of a row (a method) are a table of runs and cases: index ("draw", "seed"), one column for each test case, NaN
where a distance is undefined. A draw is a choice of the labeled training cases, a seed the chance of a training. The
order of runs and cases changes no result; tables with another index, or a run or case twice, raise ValueError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Weights = NDArray[np.float64]  # (replicates, runs or cases): how often each was picked
Values = NDArray[np.float64]
INDEX = ["draw", "seed"]
DIGITS = 9  # decimals: what differs less differs by rounding and is a tie


def resamples(runs: Sequence[tuple[int, int]], cases: int, count: int, seed: int) -> tuple[Weights, Weights]:
    """Bootstrap weights of runs (count, len(runs)) and of cases (count, cases).

    Picks as many draws as there are, with replacement, and for each as many of its seeds as it has. A replicate has one
    sample of cases for all runs, since all are scored on the same ones (Owen 2007, The pigeonhole bootstrap): new cases
    for each run would divide the variance between cases by the number of runs, though more runs tell nothing of other
    patients. The cases picked do not depend on the runs.
    """
    rng = np.random.default_rng(seed)
    case_weights = _picks(rng, np.full(count, cases), cases)
    draw_of = np.array([draw for draw, _ in runs])
    draws = np.unique(draw_of)
    run_weights = np.empty((count, len(runs)))
    for draw, times in zip(draws, _picks(rng, np.full(count, len(draws)), len(draws)).T, strict=True):
        seeds = np.flatnonzero(draw_of == draw)
        run_weights[:, seeds] = _picks(rng, times * len(seeds), len(seeds))
    return run_weights, case_weights


def _picks(rng: np.random.Generator, picks: NDArray[np.number], things: int) -> Weights:
    """How often each of some things is picked, in replicates of so many picks: (count,) -> (count, things)."""
    return rng.multinomial(picks.astype(np.int64), np.full(things, 1 / things)).astype(np.float64)


def _means(scores: pd.DataFrame, weights: tuple[Weights, Weights]) -> Values:
    """Mean of the defined scores in each replicate (count,), NaN where there are none."""
    run_weights, case_weights = weights
    values = scores.to_numpy(dtype=np.float64)
    defined = ~np.isnan(values)
    totals = (run_weights @ np.where(defined, values, 0.0) * case_weights).sum(1)
    sizes = (run_weights @ defined.astype(np.float64) * case_weights).sum(1)
    means: Values = np.divide(totals, sizes, out=np.full_like(totals, np.nan), where=sizes > 0)
    return means


def _sorted(scores: pd.DataFrame) -> pd.DataFrame:
    """The table in one order of runs and cases. Raises ValueError if it is not a table of scores."""
    if list(scores.index.names) != INDEX or scores.index.has_duplicates or scores.columns.has_duplicates:
        raise ValueError(f"scores have an index {scores.index.names}; expected {INDEX}, and each run and case once")
    return scores.sort_index().sort_index(axis=1)


def interval(scores: pd.DataFrame, level: float = 0.95, count: int = 10000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the mean of the defined scores, NaN if there are none.

    Replicates without a defined score are left out. One run gives the ordinary bootstrap over cases, which knows
    nothing of other trainings. Few draws make it too narrow: resampling D of them shows (D - 1) / D of their variance.
    """
    scores = _sorted(scores)
    if not scores.notna().any(axis=None):
        return np.nan, np.nan
    means = _means(scores, resamples(scores.index.to_list(), scores.shape[1], count, seed))
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired(scores: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """Scores minus baseline over the runs and cases of both: same draw and seed, case by case, NaN if either is.

    If they share no run: the difference of the means over their runs, as one pseudo-run (-1, -1). Its bootstrap covers
    the cases only, not the chance of training. Raises ValueError if they share no case.
    """
    scores, baseline = _sorted(scores), _sorted(baseline)
    runs, cases = scores.index.intersection(baseline.index), scores.columns.intersection(baseline.columns)
    if cases.empty:
        raise ValueError("the two rows share no case; differences are taken case by case")
    if runs.empty:
        difference = scores[cases].mean() - baseline[cases].mean()
        return pd.DataFrame([difference], index=pd.MultiIndex.from_tuples([(-1, -1)], names=INDEX))
    return scores.loc[runs, cases] - baseline.loc[runs, cases]


@dataclass(frozen=True)
class Comparison:
    """A row against a baseline, in units of the score; NaN where nothing is defined."""

    difference: float  # mean over the runs and cases of both, row minus baseline
    low: float  # its bootstrap interval
    high: float
    p_value: float  # over the cases
    cases: int  # with a defined difference


def compare(
    scores: pd.DataFrame, baseline: pd.DataFrame, level: float = 0.95, count: int = 10000, seed: int = 0
) -> Comparison:
    """Compare by paired differences: interval, and two-sided Wilcoxon signed-rank test over the cases.

    The test takes each case's mean difference over the runs, so it speaks of other cases and these runs; the interval
    speaks of other runs, too. Zero differences are dropped (Wilcoxon 1945); p is 1 if all are zero. With n differences
    left it is at least 2 / 2^n. It is exact up to 50 of them without ties; scipy chooses otherwise.
    """
    differences = paired(scores, baseline)
    by_case = differences.mean().dropna()
    mean = float(np.nanmean(differences)) if len(by_case) else np.nan
    return Comparison(mean, *interval(differences, level, count, seed), _signed_rank(by_case.to_numpy()), len(by_case))


def _signed_rank(differences: Values) -> float:
    """Two-sided p of the signed-rank test; NaN without differences, 1 if all are zero."""
    import scipy.stats  # takes half a second, and only tests need it

    rounded = np.round(differences, DIGITS)
    moved = rounded[rounded != 0]  # dropped here because scipy leaves the exact test when it sees a zero
    if not len(moved):
        return 1.0 if len(rounded) else np.nan
    return float(scipy.stats.wilcoxon(moved).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests, at most 1 (Holm 1979, step-down). NaN stay NaN and do not count."""
    adjusted = np.array(p_values, dtype=np.float64)
    order = np.argsort(adjusted)[: np.count_nonzero(~np.isnan(adjusted))]  # NaN are sorted last
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(p) for p in adjusted]


def probability_of_best(
    rows: Mapping[str, pd.DataFrame], higher_is_better: bool, count: int = 10000, seed: int = 0
) -> dict[str, float]:
    """Share of bootstrap replicates in which each row has the best mean; ties are split, the sum is 1.

    Over the runs and cases that all rows share, the same replicates for all. A row without a defined score in a
    replicate is not the best of it; NaN for all if no row ever has one. Raises ValueError if they share no run or case.
    """
    tables = [_sorted(scores) for scores in rows.values()]
    runs = reduce(pd.Index.intersection, [table.index for table in tables])
    cases = reduce(pd.Index.intersection, [table.columns for table in tables])
    if runs.empty or cases.empty:
        raise ValueError(f"the rows share {len(runs)} runs and {len(cases)} cases; at least one of each is needed")
    weights = resamples(runs.to_list(), len(cases), count, seed)
    means = np.array([_means(table.loc[runs, cases], weights) for table in tables])
    means = means[:, ~np.isnan(means).all(0)].round(DIGITS)
    if not means.size:
        return dict.fromkeys(rows, np.nan)
    best = means == (np.nanmax(means, 0) if higher_is_better else np.nanmin(means, 0))
    return dict(zip(rows, (best / best.sum(0)).mean(1).tolist(), strict=True))


@dataclass(frozen=True)
class Variance:
    """Standard deviations in units of the score, by source; None where the runs and cases cannot tell."""

    draw: float | None  # between draws of labeled cases
    seed: float | None  # between seeds of one draw
    case: float | None  # between test cases
    rest: float | None  # of a case in a run, beside all these: their interaction


def variance_split(scores: pd.DataFrame) -> Variance:
    """Split the variance by a balanced random-effects analysis: score = mean + draw + seed in draw + case + rest.

    Mean squares are equated with their expectations, negative estimates become 0 (Searle, Casella and McCulloch 1992,
    Variance Components, Chapter 4). One draw: its part is None. One seed for each draw: the seed's part is None and in
    the draw's. One run: only the case's part, the sample standard deviation, which has the rest in it. Less than two
    cases: nothing. Where draws have unequal numbers of seeds only the seeds of all draws are used, then only the cases
    that are defined in every run.
    """
    grid = _grid(_sorted(scores))
    draws, seeds, cases = grid.shape
    if not grid.size or cases < 2:
        return Variance(None, None, None, None)
    mean, by_draw, by_run, by_case = grid.mean(), grid.mean((1, 2)), grid.mean(2), grid.mean((0, 1))
    draw = _mean_square(by_draw - mean, seeds * cases, draws - 1)
    seed = _mean_square(by_run - by_draw[:, None], cases, draws * (seeds - 1))
    case = _mean_square(by_case - mean, draws * seeds, cases - 1)
    rest = _mean_square(grid - by_run[..., None] - by_case + mean, 1, (draws * seeds - 1) * (cases - 1))
    return Variance(
        draw=_deviation(draw, rest if seed is None else seed, seeds * cases),
        seed=_deviation(seed, rest, cases),
        case=_deviation(case, rest, draws * seeds),
        rest=_deviation(rest, None, 1),
    )


def _grid(scores: pd.DataFrame) -> Values:
    """Sorted scores as a complete grid (draws, seeds, cases), of size 0 if the draws have no seed in common."""
    draws = scores.index.unique("draw")
    if scores.groupby(level="draw").size().nunique() > 1:
        counts = scores.groupby(level="seed").size()
        scores = scores[scores.index.isin(counts.index[counts == len(draws)], level="seed")]
    complete = scores.dropna(axis=1).to_numpy(dtype=np.float64)
    return complete.reshape(len(draws), len(complete) // max(len(draws), 1), complete.shape[1])


def _mean_square(deviations: Values, repeated: int, freedom: int) -> float | None:
    """Sum of squares over the whole grid by its degrees of freedom, None if there are none."""
    return repeated * float((deviations**2).sum()) / freedom if freedom else None


def _deviation(mean_square: float | None, below: float | None, repeated: int) -> float | None:
    """Standard deviation of a source whose expected mean square is `below` (None: 0) plus repeated x its variance."""
    return None if mean_square is None else float(np.sqrt(max(mean_square - (below or 0.0), 0.0) / repeated))
