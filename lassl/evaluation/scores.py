"""The scores of cases: their definitions, and their means over the cases."""

from dataclasses import dataclass

import pandas as pd

MEASURES = ("asd", "hd95", "assd", "hd95_max")
DISTANCES = tuple(f"{name}_{unit}" for unit in ("voxel", "mm") for name in MEASURES)  # undefined for a failed case
SUMMARY = {"dice": "dice_percent", "jaccard": "jaccard_percent", "asd": "asd_voxel", "hd95": "hd95_voxel"}


@dataclass(frozen=True)
class Scores:
    """One case: overlaps in percent, surface distances in voxels and in mm (NaN if `failed`)."""

    dice_percent: float
    jaccard_percent: float
    asd_voxel: float  # mean distance, prediction to reference only
    hd95_voxel: float  # 95th percentile of the distances of both directions
    assd_voxel: float  # mean of the distances of both directions
    hd95_max_voxel: float  # the larger of the two directions' 95th percentiles
    asd_mm: float
    hd95_mm: float
    assd_mm: float
    hd95_max_mm: float
    surface_dice_1mm_percent: float  # share of both masks' surface voxels within 1 mm of the other surface
    volume_error_percent: float  # of the reference's volume; negative if the prediction is too small
    diagonal_voxel: float  # of the whole volume: the largest possible distance
    diagonal_mm: float
    failed: bool  # the prediction is empty


def summarize(cases: pd.DataFrame) -> dict[str, float | int | None]:
    """Means over cases (one row each, with the fields of Scores); a distance is averaged over the cases that have it.

    Keys: those of SUMMARY (dice and jaccard in percent, asd and hd95 in voxels; None if no case has a value), and
    failed, the number of cases whose prediction is empty.
    """
    means = {key: _mean(cases[column]) for key, column in SUMMARY.items()}
    return {**means, "failed": int(cases["failed"].sum())}


def _mean(column: "pd.Series[float]") -> float | None:
    """Mean of the defined values, or None if there are none."""
    return float(column.mean()) if column.notna().any() else None
