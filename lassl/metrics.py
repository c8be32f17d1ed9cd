"""The scores of one case and their means over the cases, as medpy defines them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.ndimage
from medpy.metric import binary
from numpy.typing import NDArray
from scipy.spatial import KDTree

from lassl.errors import LasslError
from lassl.volumes import Array

Distances = NDArray[np.float64]  # one for each voxel of a surface


@dataclass(frozen=True)
class Scores:
    """One case: overlaps in percent, surface distances in voxels (NaN if the prediction is empty: `failed`)."""

    dice_percent: float
    jaccard_percent: float
    asd_voxel: float  # mean distance, prediction to reference only
    hd95_voxel: float  # 95th percentile of the distances of both directions
    failed: bool


def score(prediction: Array, reference: Array) -> Scores:
    """Compare two boolean masks (X, Y, Z).

    An empty prediction overlaps nothing and has no surface: its distances are undefined, not 0. Raises LasslError if
    the reference is empty, ValueError if the shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"the prediction is {prediction.shape}, the reference {reference.shape}; they must be equal")
    if not reference.any():
        raise LasslError(f"the reference mask {reference.shape} is empty; expected an atrium: check the case's label")
    if not prediction.any():
        return Scores(0.0, 0.0, np.nan, np.nan, failed=True)
    box = _joint_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    there, back = surface_distances(prediction, reference)
    return Scores(
        dice_percent=100 * float(binary.dc(prediction, reference)),
        jaccard_percent=100 * float(binary.jc(prediction, reference)),
        asd_voxel=float(there.mean()),
        hd95_voxel=float(np.percentile(np.concatenate([there, back]), 95)),
        failed=False,
    )


def surface_distances(prediction: Array, reference: Array) -> tuple[Distances, Distances]:
    """Distance in voxels of each surface voxel to the other mask's nearest one: prediction to reference, and back.

    Equal to medpy's, which measures whole distance maps to look them up on a surface, a far smaller set of points.
    """
    surfaces = [np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) for mask in (prediction, reference)]
    # unbalanced trees are built and searched faster when the points are regular and the masks far apart
    trees = [KDTree(points, balanced_tree=False, compact_nodes=False) for points in surfaces]
    return np.asarray(trees[1].query(surfaces[0])[0]), np.asarray(trees[0].query(surfaces[1])[0])


def _joint_box(prediction: Array, reference: Array) -> tuple[slice, ...]:
    """Smallest box around both masks. medpy takes what is outside for background, so the scores stay the same."""
    (box,) = scipy.ndimage.find_objects((prediction | reference).astype(np.uint8))
    return box


def summarize(cases: pd.DataFrame) -> dict[str, float | int | None]:
    """Means over the cases, one row each with the fields of Scores; a distance counts only the cases that have it.

    Keys: dice and jaccard in percent, asd and hd95 in voxels (None if no case has one), failed: the number of cases.
    """
    return {
        "dice": _mean(cases["dice_percent"]),
        "jaccard": _mean(cases["jaccard_percent"]),
        "asd": _mean(cases["asd_voxel"]),
        "hd95": _mean(cases["hd95_voxel"]),
        "failed": int(cases["failed"].sum()),
    }


def _mean(column: "pd.Series[float]") -> float | None:
    """Mean of the defined values, None if there are none."""
    return float(column.mean()) if column.notna().any() else None
