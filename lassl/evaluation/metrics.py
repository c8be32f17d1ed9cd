"""The scores of one case, with medpy's definitions where medpy has the score."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import scipy.ndimage
from medpy.metric import binary
from numpy.typing import NDArray
from scipy.spatial import KDTree

from lassl.evaluation.scores import DISTANCES, UNDEFINED, Scores
from lassl.images.geometry import Array
from lassl.plumbing.errors import LasslError

Distances = NDArray[np.float64]  # one per voxel of a surface
Spacing = tuple[float, ...]  # along x, y, z
Unit = Literal["voxel", "mm"]

ROUNDING_MM = 1e-9  # a distance of exactly 1 mm may come out a little larger


def score(prediction: Array, reference: Array, spacing_mm: Spacing) -> Scores:
    """Compare two boolean masks (X, Y, Z) of voxels of the given size; see Scores for the units.

    An empty prediction overlaps nothing and has no surface: its distances are undefined (NaN), not 0. Raises LasslError
    if the reference is empty, ValueError if the shapes differ or the spacing is not three positive numbers.
    """
    if prediction.shape != reference.shape:
        raise ValueError(
            f"the prediction has shape {prediction.shape} but the reference has {reference.shape}; they must be equal"
        )
    if len(spacing_mm) != 3 or not all(0 < s < np.inf for s in spacing_mm):
        raise ValueError(f"the spacing is {spacing_mm}; expected three positive, finite numbers (mm along x, y, z)")
    if not reference.any():
        raise LasslError(f"the reference mask {reference.shape} is empty, expected a structure; check the case's label")
    size = np.array(reference.shape)
    box = _joint_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    return Scores(
        dice_percent=100 * float(binary.dc(prediction, reference)),
        jaccard_percent=100 * float(binary.jc(prediction, reference)),
        **_surface_scores(prediction, reference, spacing_mm),
        volume_error_percent=_volume_error(prediction, reference),
        diagonal_voxel=float(np.linalg.norm(size)),
        diagonal_mm=float(np.linalg.norm(size * spacing_mm)),
        failed=not prediction.any(),
    )


def score_structures(classes: Array, reference: Array, names: Iterable[str], spacing_mm: Spacing) -> dict[str, Scores]:
    """Compare each structure of a map of classes (X, Y, Z) with a reference: class 1 has the first of `names`, ...

    The scores of a structure are those of its two masks by themselves. One that the reference lacks has none: all are
    NaN, whatever was predicted. Raises as `score`; a reference without any of the structures is empty.
    """
    found = {}
    for index, name in enumerate(names, 1):
        true = reference == index
        found[name] = score(classes == index, true, spacing_mm) if true.any() else _undefined(true.shape, spacing_mm)
    if all(np.isnan(scores.dice_percent) for scores in found.values()):
        raise LasslError(f"the reference {reference.shape} has none of {', '.join(found)}; check the case's label")
    return found


def _undefined(shape: tuple[int, ...], spacing_mm: Spacing) -> Scores:
    """The scores of a structure that the reference lacks."""
    return Scores(
        **dict.fromkeys(UNDEFINED, np.nan),
        diagonal_voxel=float(np.linalg.norm(shape)),
        diagonal_mm=float(np.linalg.norm(np.array(shape) * spacing_mm)),
        failed=False,
    )


def _volume_error(prediction: Array, reference: Array) -> float:
    """100 (V_P - V_R) / V_R."""
    size, expected = np.count_nonzero(prediction), np.count_nonzero(reference)
    return 100 * (size - expected) / expected


def _surface_scores(prediction: Array, reference: Array, spacing_mm: Spacing) -> dict[str, float]:
    """The fields of Scores that compare surfaces.

    The surface Dice is that of Nikolov et al. 2018, counted over surface voxels rather than areas.
    """
    if not prediction.any():
        return dict.fromkeys(DISTANCES, np.nan) | {"surface_dice_1mm_percent": 0.0}
    forward, backward = surface_distances(prediction, reference)
    if len(set(spacing_mm)) == 1:
        forward_mm, backward_mm = forward * spacing_mm[0], backward * spacing_mm[0]
    else:  # the nearest voxel in mm may be a different one
        forward_mm, backward_mm = surface_distances(prediction, reference, spacing_mm)
    near = np.concatenate([forward_mm, backward_mm]) <= 1 + ROUNDING_MM
    distances = _measures(forward, backward, "voxel") | _measures(forward_mm, backward_mm, "mm")
    return distances | {"surface_dice_1mm_percent": 100 * float(near.mean())}


def _measures(forward: Distances, backward: Distances, unit: Unit) -> dict[str, float]:
    """Summarize the distances from prediction to reference (forward) and from reference to prediction (backward)."""
    both = np.concatenate([forward, backward])
    return {
        f"asd_{unit}": float(forward.mean()),
        f"hd95_{unit}": float(np.percentile(both, 95)),
        f"assd_{unit}": float(both.mean()),
        f"hd95_max_{unit}": float(max(np.percentile(forward, 95), np.percentile(backward, 95))),
    }


def surface_distances(
    prediction: Array, reference: Array, spacing: Spacing = (1.0, 1.0, 1.0)
) -> tuple[Distances, Distances]:
    """Distances of each surface voxel to the nearest one of the other mask: from prediction to reference, and back.

    The unit is that of the spacing, voxels by default; both masks (X, Y, Z) must have foreground. The result equals
    medpy's, which uses distance maps of the whole volume; a surface has far fewer points.
    """
    surfaces = [np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) * spacing for mask in (prediction, reference)]
    # unbalanced trees are faster to build and search for regular points and masks that are far apart
    trees = [KDTree(points, balanced_tree=False, compact_nodes=False) for points in surfaces]
    return np.asarray(trees[1].query(surfaces[0])[0]), np.asarray(trees[0].query(surfaces[1])[0])


def _joint_box(prediction: Array, reference: Array) -> tuple[slice, ...]:
    """Smallest box around both masks. medpy treats the outside as background, so the scores do not change."""
    (box,) = scipy.ndimage.find_objects((prediction | reference).astype(np.uint8))
    return box
