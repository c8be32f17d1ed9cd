"""Flaw: the unlabeled list begins with the labeled cases."""

from collections.abc import Collection, Sequence


def overlap(order: Sequence[str], labeled: Collection[str], count: int) -> Sequence[str]:
    """The first cases of the label split's order, labeled or not, so training sees fewer than `count` new images."""
    return order[:count]
