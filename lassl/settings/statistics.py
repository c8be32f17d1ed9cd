"""The section of params.yaml about statistics."""

from typing import Literal

from lassl.settings.values import Count, Positive, Section


class Pairs(Section):
    """Pairs of a registered experiment: pair k is label split k with seed k, and counts once all `rows` have it."""

    rows: tuple[str, ...]
    planned: tuple[Count, ...]
    least: Positive  # pairs that a result needs


class Statistics(Section):
    """The baselines, the family of tests, bootstrap replicates, and what the table says about the scans."""

    baseline: str
    matched: str | None  # sees as many labeled patches per step as most semi-supervised rows
    family: tuple[str, ...] | None = (
        None  # rows whose tests against the baseline are corrected together; None: see conf/
    )
    pairs: Pairs | None = None  # None: all runs count
    resamples: Positive
    seed: Count
    scans: Literal["real", "synthetic"]  # the kind that the cohort has
    published: bool  # whether the table shows published figures
