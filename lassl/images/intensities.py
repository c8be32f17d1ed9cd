"""Intensities: their normalization, outlying ones, which distort it, and those that are of no use."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lassl.images.geometry import Array, Box, each_channel

BINS = 256  # from the lowest intensity to the highest
FEW = 1e-3  # share of the voxels: fewer outlying ones than this are damaged, or metal
LARGEST = 1e150  # difference of two intensities
TOO_WIDE = 1.5  # ratio of the standard deviation of all voxels to that of the others


Limits = tuple[float, float]  # the smallest and the largest intensity that is left by clipping


def normalize(image: Array, box: Box, clip: Limits | None = None) -> Array:
    """Compute (image - mean) / std in a box, float32, with mean and std of the whole image (X, Y, Z) in float64.

    The image is clipped to the limits first. Of several channels (C, X, Y, Z) each is normalized by itself.
    """

    def one(channel: Array) -> Array:
        channel = clipped_to(channel, clip)
        mean, std = channel.mean(dtype=np.float64), channel.std(dtype=np.float64)
        normalized: Array = ((channel[box] - mean) / std).astype(np.float32)
        return normalized

    return each_channel(image, one)


def clipped_to(image: Array, clip: Limits | None) -> Array:
    """Clip an image (X, Y, Z) to limits, float32; the image itself without limits."""
    if clip is None:
        return image
    clipped: Array = np.clip(image.astype(np.float32), *clip)
    return clipped


def clipped_away(image: Array, clip: Limits | None) -> str:
    """Describe how clipping leaves an image (X, Y, Z), or a channel, without contrast; empty if it does not."""
    if image.ndim == 4:
        return next(filter(None, (clipped_away(channel, clip) for channel in image)), "")
    low, high = image.min(), image.max()
    if clip is None or (high > clip[0] and low < clip[1]):
        return ""
    limits = f"[{clip[0]:g}, {clip[1]:g}]"
    return (
        f"all values, {low:.6g} to {high:.6g}, become one by clipping to {limits}; rescale them, or change the limits"
    )


def image_problems(path: Path, image: Array, clip: Limits | None = None) -> Iterator[str]:
    """Give a line for the first problem of an image (X, Y, Z): complex, empty, not finite, constant, out of range.

    Also constant by `clip`.
    """
    if image.dtype.kind not in "iuf":
        yield f"{path}: found {image.dtype} voxels, expected real numbers; export the magnitude image"
    elif image.size == 0:
        yield f"{path}: the image has no voxels, its size is {image.shape}; copy it again"
    elif bad := np.count_nonzero(~np.isfinite(image)):
        yield f"{path}: {bad} voxels are NaN or infinite; export the scan again"
    elif image.min() == image.max():
        yield f"{path}: the image is constant, every voxel is {image.min()}; export the scan again"
    elif not 1 / LARGEST < float(image.max()) - float(image.min()) < LARGEST:  # their squares are computed
        yield f"{path}: values of {image.min():.3g} to {image.max():.3g} overflow in normalization; rescale them"
    elif text := clipped_away(image, clip):
        yield f"{path}: {text}"


def standing_apart(image: Array) -> str:
    """Describe outlying intensities of an image (X, Y, Z) of finite numbers; an empty text if there are none.

    Of several channels (C, X, Y, Z) it is the text of the first that has some.

    The histogram is cut at its longest empty run. One of the two parts is outlying if all voxels together spread much
    wider than the other part, and if it is padding (a single value such as -2000, but not 0, the background of many
    scans) or has only FEW voxels (such as one of 1e9). A bright structure is neither.
    """
    if image.ndim == 4:
        return next(filter(None, map(standing_apart, image)), "")
    low, high = float(image.min()), float(image.max())
    counts, edges = np.histogram(image, BINS, (low, high))
    filled = np.flatnonzero(counts)  # the first and the last bin among them
    steps = np.diff(filled)
    if len(steps) == 0 or steps.max() == 1:
        return ""
    below = image < edges[filled[steps.argmax()] + 1]
    few, many = sorted((image[below], image[~below]), key=np.size)
    if few.size < FEW * image.size:
        apart, others = few, many
    elif few.min() < few.max() and many.min() == many.max() != 0:
        apart, others = many, few
    elif few.min() == few.max() != 0 and many.min() < many.max():
        apart, others = few, many
    else:
        return ""
    if image.std(dtype=np.float64) <= TOO_WIDE * others.std(dtype=np.float64):
        return ""
    return f"{apart.size} of {image.size} voxels are {_range(apart)}, the others {_range(others)}"


def _range(values: Array) -> str:
    low, high = values.min(), values.max()
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
