"""The scores of cases: their definitions, and their means over the cases."""

from dataclasses import dataclass, fields

import pandas as pd

MEASURES = ("asd", "hd95", "assd", "hd95_max")
DISTANCES = tuple(f"{name}_{unit}" for unit in ("voxel", "mm") for name in MEASURES)  # undefined for a failed case
SUMMARY = {"dice": "dice_percent", "jaccard": "jaccard_percent", "asd": "asd_voxel", "hd95": "hd95_voxel"}
STRUCTURE = "structure"  # the column that tables of several structures have; each case has a row for each of them


@dataclass(frozen=True)
class Scores:
    """One case: overlaps in percent, surface distances in voxels and in mm (NaN if `failed`).

    Of several structures each has its own; those that the reference of a case lacks have none (NaN) and do not fail.
    """

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


UNDEFINED = tuple(  # the scores of a structure that the reference lacks
    field.name for field in fields(Scores) if field.name not in ("diagonal_voxel", "diagonal_mm", "failed")
)


def of_cases(cases: pd.DataFrame) -> pd.DataFrame:
    """One row for each case: the mean of each score over the structures that have it, and how many of them failed.

    The rows of one structure stay as they are.
    """
    if STRUCTURE not in cases:
        return cases
    scores = [field.name for field in fields(Scores) if field.name != "failed"]
    groups = cases.groupby([name for name in cases if name not in (STRUCTURE, *scores, "failed")], sort=False)
    return groups[scores].mean().assign(failed=groups["failed"].sum()).reset_index()


def by_structure(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each structure, by its name, in the form of a table of one; empty for one structure."""
    if STRUCTURE not in cases:
        return {}
    return {str(name): rows.drop(columns=STRUCTURE) for name, rows in cases.groupby(STRUCTURE, sort=False)}


def absent(cases: pd.DataFrame) -> int:
    """In how many of the rows the reference lacks the structure."""
    return int(cases["dice_percent"].isna().sum())


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
