"""The headline figures of a run: which of its scores they are of, and how failures enter them."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from lassl.evaluation.scores import summarize, with_failures
from lassl.model.record import Evaluation
from lassl.plumbing.plugins import plugin

# the scores of cases -> the same with the distances that failed cases (empty predictions) are to count with
FAILURES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "excluded": partial(with_failures, policy="excluded"),
    "diagonal": partial(with_failures, policy="diagonal"),
}


def chosen(cases: pd.DataFrame, evaluation: Evaluation) -> pd.DataFrame:
    """The scores of the variant that an evaluation reports: its network, with all parts of a mask or the largest."""
    parts = "largest" if evaluation.largest_component else "all"
    return variant(cases, evaluation.network, parts)


def variant(cases: pd.DataFrame, network: str, parts: str) -> pd.DataFrame:
    """The scores of one network with `parts` of its masks, all or largest, one row for each case."""
    return cases[(cases["network"] == network) & (cases["parts"] == parts)].reset_index(drop=True)


def counted(cases: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Let failed cases count as a policy says: excluded, diagonal, or a function's name. Raises LasslError."""
    return plugin("evaluate.failures", policy, FAILURES)(cases)


def headline(cases: pd.DataFrame, evaluation: Evaluation) -> dict[str, float | int | None]:
    """Means over the cases of the variant that an evaluation reports, rounded to four decimals; see summarize."""
    means = summarize(counted(chosen(cases, evaluation), evaluation.failures))
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in means.items()}
