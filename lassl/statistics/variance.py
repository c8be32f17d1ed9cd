"""Where the variance of a row's scores comes from: draws of labels, seeds, cases, and the rest."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lassl.statistics.scores import in_order

Values = NDArray[np.float64]


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
    grid = _grid(in_order(scores))
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
