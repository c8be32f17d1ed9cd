"""The split of a cohort, and label splits within it: which training cases are labeled, unlabeled or held out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lassl.plumbing.errors import LasslError
from lassl.seeds import stream

# (cases in the label split's order, the labeled ones, count) -> unlabeled cases
Unlabeled = Callable[[Sequence[str], Collection[str], int], Sequence[str]]


@dataclass(frozen=True)
class Split:
    """The cases to train on and to test on, each in the order of the split file; training cases with withheld label."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LabelSplit:
    """The training cases whose labels are used, those whose labels are not, and labeled ones kept out of training."""

    labeled: tuple[str, ...]
    unlabeled: tuple[str, ...]
    held_out: tuple[str, ...] = ()


def rest(order: Sequence[str], labeled: Collection[str], count: int) -> Sequence[str]:
    """Choose the first `count` cases of the label split's order that are not labeled."""
    return [case for case in order if case not in labeled][:count]


UNLABELED: dict[str, Unlabeled] = {"rest": rest}


def choose_cases(
    train: Sequence[str],
    with_label: Collection[str],
    labeled: int,
    unlabeled: int,
    label_split: int,
    held_out: int = 0,
    others: Unlabeled = rest,
) -> LabelSplit:
    """Choose which of the cases `train` are labeled, held out and unlabeled, each listed in the order of `train`.

    Label split 0 takes the first ones of the list, as the whole field does. Label split k > 0 is a choice without
    replacement, seeded by k alone; a larger `labeled` contains a smaller one. The last `held_out` of the labeled cases
    are not trained on. The function `others` chooses the unlabeled ones. Raises LasslError when cases or labels are too
    few.
    """
    _check_counts(len(train), labeled, unlabeled, held_out)
    order = list(train)
    candidates = order
    if label_split > 0:
        # "draw" names the random stream: another word would choose other cases
        order = [train[i] for i in stream(label_split, "draw").permutation(len(train))]
        candidates = [case for case in order if case in with_label]
    chosen = candidates[:labeled]
    without_label = [case for case in chosen if case not in with_label]
    if without_label or len(chosen) < labeled:
        raise LasslError(
            f"label split {label_split}: asked for {labeled} labeled cases, "
            f"found {len(chosen) - len(without_label)} with a label"
            + (f" (none for {', '.join(without_label)})" if without_label else "")
            + "; add the labels, lower `labeled` in conf/method/ or reorder the split file"
        )
    trained_on = labeled - held_out
    cases = LabelSplit(
        labeled=_in_order(train, chosen[:trained_on]),
        unlabeled=_in_order(train, others(order, chosen, unlabeled)),
        held_out=_in_order(train, chosen[trained_on:]),
    )
    if len(cases.unlabeled) != unlabeled:
        raise LasslError(
            f"params.yaml: cases.unlabeled: asked for {unlabeled} unlabeled cases, its function chose "
            f"{len(cases.unlabeled)} of the training cases; mend it or use 'rest'"
        )
    return cases


def _check_counts(cases: int, labeled: int, unlabeled: int, held_out: int) -> None:
    """Raise LasslError when the training cases are too few, or all labeled ones would be held out."""
    if labeled + unlabeled > cases:
        raise LasslError(
            f"asked for {labeled} labeled + {unlabeled} unlabeled cases, found {cases} training cases; "
            "lower the counts in conf/method/ or add cases to the split file"
        )
    if held_out >= labeled:
        raise LasslError(
            f"params.yaml: cases.held_out: found {held_out}, but only {labeled} cases are labeled; "
            "leave some to train on"
        )


def _in_order(train: Sequence[str], cases: Collection[str]) -> tuple[str, ...]:
    return tuple(case for case in train if case in cases)
