"""One structure out of a label with several values."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lassl.images.geometry import Array, Volume
from lassl.plumbing.errors import LasslError

SHOWN = 12  # values of a label that a message lists

Structures = Mapping[str, tuple[int, ...]]


def mask_of(path: Path, label: Volume, structures: Structures | None) -> Volume:
    """Make a mask of the one structure in `structures`: 1 where the label (X, Y, Z) has one of its values, else 0.

    A label is left as it is where `structures` is None. Raises LasslError for a label that has none of the values.
    """
    if structures is None:
        return label
    ((name, values),) = structures.items()
    mask: Array = np.isin(label.array, values).astype(np.uint8)
    if not mask.any():
        raise LasslError(
            f"{path}: label values {listed_values(label.array)}, none of {list(values)} (data.structures.{name}); "
            "correct data.structures, or delete the file to use the case unlabeled"
        )
    return Volume(mask, label.geometry)


def listed_values(array: Array) -> str:
    """The values of a label (X, Y, Z) in brackets, in order; of many the first ones, and how many there are."""
    values = [f"{value:g}" for value in np.unique(array.ravel("K")).tolist()]
    more = f", ... ({len(values)} in all)" if len(values) > SHOWN else ""
    return f"[{', '.join(values[:SHOWN])}{more}]"
