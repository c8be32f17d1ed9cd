"""Connected parts of masks."""

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from lassl.images.geometry import Array

LARGE = 0.25  # of the largest component: what is smaller is not a structure of its own


def large_components(mask: Array) -> tuple[Array, NDArray[np.int64]]:
    """Number the connected components of a mask (X, Y, Z) from 1; gives also the numbers of those that are LARGE."""
    components, _ = scipy.ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())[1:]
    return components, 1 + np.flatnonzero(sizes >= LARGE * sizes.max(initial=0))


def largest_component(mask: Array) -> Array:
    """Keep the largest connected component of a mask (X, Y, Z); an empty mask stays empty.

    Voxels that share a face, an edge or a corner are connected.
    """
    components, count = scipy.ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count == 0:
        return mask
    sizes = np.bincount(components.ravel())
    largest: Array = components == 1 + sizes[1:].argmax()  # component 0 is the background
    return largest


def largest_of_each(classes: Array, count: int) -> Array:
    """Keep the largest connected component of each class 1, ..., count in a map of classes (X, Y, Z)."""
    kept: Array = np.zeros_like(classes)
    for index in range(1, count + 1):
        kept[largest_component(classes == index)] = index
    return kept
