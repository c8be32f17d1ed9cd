"""The split of a cohort, and its label splits: which training cases are labeled, unlabeled or held out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lassl.plumbing.errors import LasslError
from lassl.seeds import stream

# (cases in the label split's order, the labeled ones, count) -> unlabeled cases
Unlabeled = Callable[[Sequence[str], Collection[str], int], Sequence[str]]


@dataclass(frozen=True)
class Split:
    """Training and test cases in the order of the split file, and the training cases whose label is withheld.

    `patients` has the patient of each case for which the file names one.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    withheld: frozenset[str] = frozenset()
    patients: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelSplit:
    """Training cases with used labels, with unused labels, and labeled cases kept out of training."""

    labeled: tuple[str, ...]
    unlabeled: tuple[str, ...]
    held_out: tuple[str, ...] = ()


def rest(order: Sequence[str], labeled: Collection[str], count: int) -> Sequence[str]:
    """Choose the first `count` cases of the label split's order that are not labeled."""
    return [case for case in order if case not in labeled][:count]


UNLABELED: dict[str, Unlabeled] = {"rest": rest}


def set_aside(
    train: Sequence[str], with_label: Collection[str], patients: Mapping[str, str], count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the last `count` labeled training cases, all of them if there are fewer, and those left to train on.

    Further scans of the chosen `patients` (case -> patient) are neither: a network would know the patient.
    """
    chosen = tuple([case for case in train if case in with_label][-count:] if count else ())
    known = {patients[case] for case in chosen if case in patients}
    return chosen, tuple(case for case in train if case not in chosen and patients.get(case) not in known)


def choose_cases(
    train: Sequence[str],
    with_label: Collection[str],
    labeled: int,
    unlabeled: int,
    label_split: int,
    held_out: int = 0,
    others: Unlabeled = rest,
    patients: Mapping[str, str] | None = None,
) -> LabelSplit:
    """Choose which of the cases `train` are labeled, held out and unlabeled, each listed in the order of `train`.

    Label split 0 takes the first cases of the list, as the whole field does. Label split k > 0 is a choice without
    replacement, seeded by k alone; a larger `labeled` contains a smaller one. Training leaves out the last `held_out`
    labeled cases. The function `others` chooses the unlabeled ones. Raises LasslError if there are too few cases or
    labels, or if one of the `patients` (case -> patient) would be held out and trained on.
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
            f"label split {label_split}: expected {labeled} labeled cases, "
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
            f"params.yaml: cases.unlabeled: expected {unlabeled} unlabeled cases, but its function chose "
            f"{len(cases.unlabeled)} of the training cases; fix it or use 'rest'"
        )
    _check_patients(cases, patients or {}, label_split)
    return cases


def _check_patients(cases: LabelSplit, patients: Mapping[str, str], label_split: int) -> None:
    """Raise LasslError if a held-out case is of a patient of whom another scan is trained on."""
    trained = {patients[case]: case for case in (*cases.unlabeled, *cases.labeled) if case in patients}
    for case in cases.held_out:
        if other := trained.get(patients.get(case, "")):
            raise LasslError(
                f"label split {label_split}: case {case} is held out, but {other} of the same patient is trained on; "
                "take another label split, or reorder the split file so that patients with one scan are held out"
            )


def _check_counts(cases: int, labeled: int, unlabeled: int, held_out: int) -> None:
    """Raise LasslError if there are too few training cases, or if all labeled ones would be held out."""
    if labeled + unlabeled > cases:
        raise LasslError(
            f"expected {labeled} labeled + {unlabeled} unlabeled cases, found {cases} training cases; "
            "lower the counts in conf/method/ or add cases to the split file"
        )
    if held_out >= labeled:
        raise LasslError(
            f"params.yaml: cases.held_out: found {held_out}, but only {labeled} cases are labeled; "
            "leave some to train on"
        )


def _in_order(train: Sequence[str], cases: Collection[str]) -> tuple[str, ...]:
    return tuple(case for case in train if case in cases)
