"""Structures out of a label: each is one or several of the label's values; and labels that are of no use."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lassl.images.geometry import Array, Volume, grid_mismatch
from lassl.plumbing.errors import LasslError

SHOWN = 12  # values of a label that a message lists

Structures = Mapping[str, tuple[int, ...]]  # name -> values in a label; their order gives the classes 1, 2, ...


def classes_of(path: Path, label: Volume, structures: Structures | None) -> Volume:
    """Turn the values of a label (X, Y, Z) into classes, uint8: 1 in the first of the structures, 2 in the next, ...

    A value of no structure is background, 0. A label is left as it is where `structures` is None. Raises LasslError for
    a label that has none of the values.
    """
    if structures is None:
        return label
    classes = classes_in(label.array, structures)
    if not classes.any():
        raise LasslError(
            f"{path}: label values {listed_values(label.array)}, none of {_asked_for(structures)}; "
            "correct data.structures, or delete the file to use the case unlabeled"
        )
    return Volume(classes, label.geometry)


def classes_in(array: Array, structures: Structures) -> Array:
    """The classes, uint8, of an array of values; a value of no structure is background, 0."""
    classes: Array = np.zeros(array.shape, np.uint8)
    for index, values in enumerate(structures.values(), 1):
        classes[np.isin(array, values)] = index
    return classes


def several(structures: Structures | None) -> Structures | None:
    """The structures if there are at least two, else None: a mask of one structure has 0 and 1."""
    return structures if structures and len(structures) > 1 else None


def with_values(classes: Volume, structures: Structures | None) -> Volume:
    """A mask for users, of the smallest type that holds it: the first value of each structure in the place of a class.

    With less than two structures the classes 0 and 1 stay.
    """
    if not (named := several(structures)):
        return classes
    values = np.array([0, *(values[0] for values in named.values())])
    return Volume(values.astype(np.min_scalar_type(int(values.max())))[classes.array], classes.geometry)


def _asked_for(structures: Structures) -> str:
    """The values of structures, and the key that has them."""
    ((name, values), *others) = structures.items()
    if not others:
        return f"{list(values)} (data.structures.{name})"
    return f"{sorted(value for values in structures.values() for value in values)} (data.structures)"


def listed_values(array: Array) -> str:
    """The values of a label (X, Y, Z) in brackets, in order; of many the first ones, and how many there are."""
    values = [f"{value:g}" for value in np.unique(array.ravel("K")).tolist()]
    more = f", ... ({len(values)} in all)" if len(values) > SHOWN else ""
    return f"[{', '.join(values[:SHOWN])}{more}]"


def label_problems(
    path: Path, label: Volume, image: Volume | None, structures: Structures | None = None
) -> Iterator[str]:
    """Give a line if a label is not on the grid of its image (None: unknown), and one if its values are wrong."""
    if image and (mismatch := grid_mismatch(label, image, "image")):
        yield f"{path}: {mismatch}; export the two together"
    if structures is None and values_of_no_mask(label.array):
        yield (
            f"{path}: found label values {listed_values(label.array)}, expected 0 and 1, or 0 and 255; name the values "
            "of each structure in data.structures, as in {hippocampus: [47, 48]}, or keep one structure"
        )
    elif not label.array.any():
        yield f"{path}: the label is empty, every voxel is 0; draw it, or delete the file to use the case as unlabeled"
    elif label.array.all():
        value = label.array.max()
        yield (
            f"{path}: the label fills the whole image, every voxel is {value:g}; draw it, or delete the file to use "
            "the case as unlabeled"
        )


def values_of_no_mask(array: Array) -> list[float]:
    """The first five values of an array that is not a mask; empty for a mask, which has only 0 and 1, or 0 and 255."""
    values: list[float] = np.unique(array.ravel("K")).tolist()
    return [] if set(values) <= {0, 1} or set(values) <= {0, 255} else values[:5]
