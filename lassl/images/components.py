"""Connected parts of masks."""

import numpy as np
import scipy.ndimage

from lassl.images.geometry import Array


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
