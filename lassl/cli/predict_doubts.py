"""What `lassl predict` tells of a mask that is probably wrong."""

import math
from collections.abc import Iterator

from lassl.images.geometry import Volume, volume_ml
from lassl.images.intensities import standing_apart

FAR = 2  # times smaller or larger than any label of the training: hardly the same structure


def doubts_of(mask: Volume, known_ml: tuple[float, float] | None) -> Iterator[str]:
    """Say why a mask can hardly be right: it is empty, or far smaller or larger than labels of the training.

    `known_ml` is the range of their volumes.
    """
    ml = volume_ml(mask)
    low, high = known_ml or (0, math.inf)
    known = f"; labels that the model learned from have {low:.3g} to {high:.3g} mL" if known_ml else ""
    if not mask.array.any():
        yield f"the mask is empty, 0 mL{known}: check the scan's spacing and what it shows"
    elif not low / FAR <= ml <= high * FAR:
        yield f"the mask has {ml:.3g} mL{known}: check the mask, the scan's spacing and what it shows"


def spoiling(scan: Volume) -> Iterator[str]:
    """Say which intensities of a scan spoil its normalization."""
    if apart := standing_apart(scan.array):
        yield f"made of a scan whose intensities stand far apart: {apart}; replace padding by the value of air, or clip"
