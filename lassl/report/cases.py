"""The cases that the report shows: which ones, their slices with outlines, their surfaces."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr

from lassl.data.prepared import Prepared
from lassl.images import volumes
from lassl.images.geometry import Array, Box, Triple
from lassl.paths import PROBABILITY
from lassl.plumbing.errors import LasslError
from lassl.plumbing.progress import bar
from lassl.report import figures
from lassl.report.slices import box_around, chosen_slices, gray_range, outline, picture
from lassl.report.surface import distances_mm, small
from lassl.results.measures import DICE
from lassl.results.runs import Result, score_table

UNDECIDED = log(2)  # nats: no entropy of two classes is larger
LEAST_MM = 2  # the colors of distances reach at least so far


@dataclass(frozen=True)
class Shown:
    """A row of the table, the one of its runs whose masks are shown, and whether its uncertainty is shown, too."""

    row: str
    title: str
    result: Result
    uncertain: bool = False

    @property
    def probabilities(self) -> Path:
        """The folder of the probabilities behind the masks; predictions of earlier code lack it."""
        return self.result.names.predictions / PROBABILITY

    def dice(self, case: str) -> float:
        """Dice of a case in percent."""
        return float(self.result.reported_cases().set_index("case")[DICE.column][case])


def means_of_cases(group: Sequence[Result], column: str) -> "pd.Series[float]":
    """A score of each case, by name: mean over the runs that have it."""
    means: pd.Series[float] = score_table({r.run: r.reported_cases() for r in group}, column).mean()
    return means.sort_index()


def extremes(groups: Mapping[str, Sequence[Result]]) -> dict[str, str]:
    """The cases with the best, median and worst mean Dice over the rows; fewer where there are no three."""
    over_rows = pd.concat([means_of_cases(group, DICE.column) for group in groups.values()], axis=1).mean(axis=1)
    order = list(over_rows.sort_values(kind="stable").index)
    ranks: dict[str, str] = {}
    for rank, case in {"best": order[-1], "worst": order[0], "median": order[len(order) // 2]}.items():
        if case not in ranks.values():
            ranks[rank] = case
    return {rank: ranks[rank] for rank in ("best", "median", "worst") if rank in ranks}


def showable(
    titles: Mapping[str, str], groups: Mapping[str, Sequence[Result]], uncertain: Collection[str], prepared: Prepared
) -> list[Shown]:
    """The first run of each row whose predictions are on this machine and belong to the prepared cohort.

    The rows `uncertain` are shown with their uncertainty.
    """
    rows = []
    for row, group in groups.items():
        here = [r for r in group if fits(r, prepared) and r.names.predictions.is_dir()]
        rows += [Shown(row, titles[row], here[0], row in uncertain)] if here else []
    return rows


def fits(result: Result, prepared: Prepared) -> bool:
    """Whether a run was trained and scored on this prepared cohort."""
    return result.record.cohort.hash == prepared.manifest_hash


def views(rows: Sequence[Shown], ranks: Mapping[str, str], prepared: Prepared) -> list[dict[str, Any]]:
    """What the page's script needs of each case. Raises LasslError for a mask that is missing or of another size.

    The colors of distances have one `limit` in mm, the median of the masks' `reach`: some colors end there.
    """
    cases = [view(rank, case, rows, prepared) for rank, case in ranks.items()]
    reaches = [reach for content in cases for row in content["rows"] if (reach := row.pop("reach"))]
    limit = max(LEAST_MM, ceil(np.median(reaches))) if reaches else LEAST_MM
    return [content | {"limit": limit} for content in cases]


def view(rank: str, case: str, rows: Sequence[Shown], prepared: Prepared) -> dict[str, Any]:
    """One case: pictures and outlines of its slices, and its surfaces."""
    image, reference = prepared.read_image(case), prepared.read_label(case) > 0
    masks = [cropped(row.result, case, prepared) > 0 for row in rows]
    box = box_around([reference, *masks])
    spacing = prepared.geometry(case).spacing_mm
    numbers = chosen_slices(box[2])
    dark, bright = gray_range(image[box])
    return {
        "rank": rank,
        "case": case,
        "size": [s.stop - s.start for s in box[:2]],
        "voxel": spacing[:2],
        "numbers": numbers,
        "pictures": [picture(image[(*box[:2], z)], dark, bright) for z in numbers],
        "reference": outlines(reference, box, numbers),
        "surface": figures.ghost(small(reference), spacing),
        "rows": [
            row_view(row, case, mask, reference, box, numbers, prepared)
            for row, mask in bar(zip(rows, masks, strict=True), f"report, case {case}", "row", len(rows))
        ],
    }


def row_view(
    row: Shown, case: str, mask: Array, reference: Array, box: Box, numbers: Sequence[int], prepared: Prepared
) -> dict[str, Any]:
    """One row's outlines, surface (None for an empty mask) and uncertainty (None if it is not shown) of a case.

    `reach` is the 95th percentile of the surface's distances in mm, whatever their sign.
    """
    spacing = prepared.geometry(case).spacing_mm
    surface, reach = None, 0.0
    if mask.any():
        mesh = small(mask)
        distances = distances_mm(mesh, reference, spacing)
        surface, reach = figures.colored_surface(mesh, spacing, distances), float(np.percentile(abs(distances), 95))
    uncertainty = None
    if row.uncertain and row.probabilities.is_dir():
        probability = read_probability(row.probabilities / f"{case}.nrrd", mask.shape)
        uncertainty = [picture(entropy(probability[(*box[:2], z)]), 0, UNDECIDED) for z in numbers]
    return {
        "row": row.row,
        "title": row.title,
        "dice": row.dice(case),
        "outlines": outlines(mask, box, numbers),
        "surface": surface,
        "uncertainty": uncertainty,
        "reach": reach,
    }


def outlines(mask: Array, box: Box, numbers: Sequence[int]) -> list[str]:
    """The mask's outline in each slice of the box."""
    return [outline(mask[(*box[:2], z)]) for z in numbers]


def cropped(result: Result, case: str, prepared: Prepared) -> Array:
    """A predicted mask in the prepared case's grid (X, Y, Z). Raises LasslError."""
    path = result.names.predictions / f"{case}.nrrd"
    full = volumes.read_volume(path).array
    if full.shape != prepared.full_size(case):
        expected = prepared.full_size(case)
        raise LasslError(f"{path}: found {full.shape} voxels, expected {expected} as in the raw scan: run `dvc repro`")
    start, shape = prepared.crop_start(case), prepared.cases[case].shape
    mask: Array = full[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
    return mask


def read_probability(path: Path, size: Triple) -> Array:
    """The probability in [0, 1] (X, Y, Z) that the evaluation wrote in percent. Raises LasslError for another size."""
    found = volumes.read_volume(path).array
    if found.shape != size:
        raise LasslError(
            f"{path}: found {found.shape} voxels, expected {size} as in the prepared case: run `dvc repro`"
        )
    probability: Array = found / np.float32(100)
    return probability


def entropy(probability: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Entropy in nats, in [0, ln 2], of two classes, from the probability of one."""
    result: NDArray[np.floating[Any]] = entr(probability) + entr(1 - probability)
    return result
