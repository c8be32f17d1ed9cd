"""The sources of the variance of a row's scores: label splits, seeds, cases, and the rest."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lassl.statistics.scores import in_order

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Variance:
    """Standard deviations in units of the score, by source; None if the runs and cases cannot separate a source."""

    label_split: float | None  # between label splits
    seed: float | None  # between seeds of one label split
    case: float | None  # between test cases
    rest: float | None  # of a case in a run, apart from the others: their interaction


def variance_split(scores: pd.DataFrame) -> Variance:
    """Split the variance by a balanced random-effects analysis: score = mean + split + seed in split + case + rest.

    Mean squares are equated with their expectations, and negative estimates become 0 (Searle, Casella and McCulloch
    1992, Variance Components, Chapter 4). With one label split, its part is None. With one seed per label split, the
    seed's part is None and included in the label split's. With one run, there is only the case's part, the sample
    standard deviation, which includes the rest. With fewer than two cases, all are None. If label splits have unequal
    numbers of seeds, only seeds present in all label splits count, and then only cases defined in every run.
    """
    grid = _grid(in_order(scores))
    label_splits, seeds, cases = grid.shape
    if not grid.size or cases < 2:
        return Variance(None, None, None, None)
    mean, by_split, by_run, by_case = grid.mean(), grid.mean((1, 2)), grid.mean(2), grid.mean((0, 1))
    label_split = _mean_square(by_split - mean, seeds * cases, label_splits - 1)
    seed = _mean_square(by_run - by_split[:, None], cases, label_splits * (seeds - 1))
    case = _mean_square(by_case - mean, label_splits * seeds, cases - 1)
    rest = _mean_square(grid - by_run[..., None] - by_case + mean, 1, (label_splits * seeds - 1) * (cases - 1))
    return Variance(
        label_split=_deviation(label_split, rest if seed is None else seed, seeds * cases),
        seed=_deviation(seed, rest, cases),
        case=_deviation(case, rest, label_splits * seeds),
        rest=_deviation(rest, None, 1),
    )


def _grid(scores: pd.DataFrame) -> Values:
    """Sorted scores as a complete grid (splits, seeds, cases), of size 0 if the splits have no seed in common."""
    label_splits = scores.index.unique("label_split")
    if scores.groupby(level="label_split").size().nunique() > 1:
        counts = scores.groupby(level="seed").size()
        scores = scores[scores.index.isin(counts.index[counts == len(label_splits)], level="seed")]
    complete = scores.dropna(axis=1).to_numpy(dtype=np.float64)
    return complete.reshape(len(label_splits), len(complete) // max(len(label_splits), 1), complete.shape[1])


def _mean_square(deviations: Values, repeated: int, freedom: int) -> float | None:
    """Sum of squares over the whole grid divided by its degrees of freedom, or None without any."""
    return repeated * float((deviations**2).sum()) / freedom if freedom else None


def _deviation(mean_square: float | None, below: float | None, repeated: int) -> float | None:
    """Standard deviation of a source whose expected mean square is `below` (None: 0) plus repeated x its variance."""
    return None if mean_square is None else float(np.sqrt(max(mean_square - (below or 0.0), 0.0) / repeated))
