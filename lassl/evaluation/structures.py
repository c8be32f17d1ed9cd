"""Several structures in evaluation: their rows among the scores of cases, and their files among the predictions."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from medpy.metric import binary

from lassl.data.prepared import Prepared
from lassl.evaluation import metrics
from lassl.evaluation.scores import STRUCTURE
from lassl.images.geometry import Array
from lassl.images.structures import Structures
from lassl.model.record import Trained
from lassl.plumbing.errors import LasslError
from lassl.settings.values import CHANNELS


def rows_of(
    about: Mapping[str, Any],
    classes: Array,
    reference: Array,
    spacing_mm: metrics.Spacing,
    structures: Structures | None,
) -> list[dict[str, Any]]:
    """The rows of a mask in a table of cases: what they are about, and its scores.

    Mask and reference have classes (X, Y, Z). Several structures have a row each, and its name is in it; None stands
    for one structure, which has one row. Raises as metrics.score.
    """
    if structures is None:
        return [{**about, **asdict(metrics.score(classes > 0, reference > 0, spacing_mm))}]
    found = metrics.score_structures(classes, reference, structures, spacing_mm)
    return [{**about, STRUCTURE: name, **asdict(scores)} for name, scores in found.items()]


def mean_dice(classes: Array, reference: Array, count: int) -> float:
    """Dice in percent of a map of classes 1, ..., count (X, Y, Z): the mean over those that the reference has."""
    masks = [(classes == index, reference == index) for index in range(1, count + 1)]
    dice = [binary.dc(mask, true) for mask, true in masks if true.any()]
    return 100 * float(sum(dice) / len(dice))


def check_structures(record: Trained, prepared: Prepared) -> None:
    """Raise LasslError if a model has other structures, or other channels, than the prepared cohort."""
    seen, there = (each or CHANNELS for each in (record.cohort.channels, prepared.channels))
    if seen != there:
        raise LasslError(
            f"{record.run.model}: sees the channels {', '.join(seen)}, but {prepared.folder} has {', '.join(there)}; "
            "train it again with `dvc repro`"
        )
    found, expected = (record.cohort.structures or {}), (prepared.structures or {})
    if list(found) != list(expected) or record.settings.network.classes != 1 + max(1, len(expected)):
        raise LasslError(
            f"{record.run.model}: has {_named(found)}, but {prepared.folder} has {_named(expected)}; train it again "
            "with `dvc repro`"
        )


def _named(structures: Structures) -> str:
    return f"the structures {', '.join(structures)}" if structures else "one structure"
