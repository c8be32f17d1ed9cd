"""The cases that the report shows: scans, masks and uncertainty of all of them, surfaces of three."""

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
from lassl.images.geometry import Array, Box, Triple, channels_of
from lassl.images.structures import classes_in
from lassl.paths import PROBABILITY, probability_files
from lassl.plumbing.errors import LasslError
from lassl.plumbing.progress import bar
from lassl.report.structures import encoded, surfaces
from lassl.report.volume import SMOOTH, box_around, gray_range, sheet, step_of, thinned
from lassl.results.measures import DICE
from lassl.results.runs import Result, score_table

VOXELS = 60e6  # at most, of all cases together
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


def means_of_cases(group: Sequence[Result], column: str, structure: str = "") -> "pd.Series[float]":
    """A score of each case, or of one of its structures, by the case's name: mean over the runs that have it."""
    frames = {r.run: r.reported_structures()[structure] if structure else r.reported_cases() for r in group}
    means: pd.Series[float] = score_table(frames, column).mean()
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

    The cases of `ranks` have surfaces, too. The colors of their distances have one `limit` in mm, the median of the
    masks' `reach`: some colors end there.
    """
    names = sorted(rows[0].result.reported_cases()["case"])
    most = VOXELS / len(names)
    rank_of = {case: rank for rank, case in ranks.items()}
    cases = [view(case, rank_of.get(case), rows, prepared, most) for case in bar(names, "report", "case", len(names))]
    reaches = [reach for content in cases for reach in content.pop("reaches") if reach]
    limit = max(LEAST_MM, ceil(np.median(reaches))) if reaches else LEAST_MM
    return [content | {"limit": limit} for content in cases]


def view(case: str, rank: str | None, rows: Sequence[Shown], prepared: Prepared, most: float) -> dict[str, Any]:
    """One case: its scan, reference and masks; the surfaces of one that has a rank. At most so many voxels.

    Of several structures, each has its own runs in a mask, and its own surfaces.
    """
    structures = prepared.structures or {}
    count = max(1, len(structures))
    reference = prepared.read_label(case)
    masks = {row.row: cropped(row.result, case, prepared) for row in rows}
    box = box_around([reference, *masks.values()])
    step = step_of(box, most)
    shown = thinned(box, step)
    image = channels_of(prepared.read_image(case))[0][shown]
    spacing = prepared.geometry(case).spacing_mm
    maps = {r.row: uncertainty(r, case, prepared, thinned(box, 2 * step)) for r in rows if r.uncertain}
    ghost, found, reaches = surfaces(reference, masks, spacing, list(structures)) if rank else (None, {}, [])
    return {
        "case": case,
        "rank": rank,
        "start": [side.start for side in box],
        "step": step,
        "voxel": [length * step for length in spacing],
        "image": sheet(image, *gray_range(image)),
        "reference": encoded(reference[shown], count),
        "masks": {name: encoded(mask[shown], count) for name, mask in masks.items()},
        "uncertainty": {name: found for name, found in maps.items() if found},
        "dice": {row.row: row.dice(case) for row in rows},
        "ghost": ghost,
        "surfaces": found,
        "reaches": reaches,
    }


def uncertainty(row: Shown, case: str, prepared: Prepared, box: Box) -> dict[str, Any] | None:
    """Entropy of the probabilities behind a mask, black 0, white the largest; None where no probability was kept."""
    if not row.probabilities.is_dir():
        return None
    paths = probability_files(row.result.names.predictions, case, prepared.structures)
    size = prepared.cases[case].shape
    probabilities = np.stack([read_probability(path, size)[box] for path in paths])
    return sheet(entropy(probabilities), 0, log(1 + len(paths)), SMOOTH)


def cropped(result: Result, case: str, prepared: Prepared) -> Array:
    """The classes of a predicted mask in the prepared case's grid (X, Y, Z). Raises LasslError."""
    path = result.names.predictions / f"{case}.nrrd"
    mask = volumes.read_volume(path).array
    classes = classes_in(mask, prepared.structures) if prepared.structures else (mask > 0).astype(np.uint8)
    try:
        return prepared.cropped(case, classes)
    except LasslError as error:
        raise LasslError(f"{path}: {error}") from None


def read_probability(path: Path, size: Triple) -> Array:
    """The probability in [0, 1] (X, Y, Z) that the evaluation wrote in percent. Raises LasslError for another size."""
    found = volumes.read_volume(path).array
    if found.shape != size:
        raise LasslError(
            f"{path}: found {found.shape} voxels, expected {size} as in the prepared case: run `dvc repro`"
        )
    probability: Array = found / np.float32(100)
    return probability


def entropy(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Entropy in nats, in [0, ln (1 + S)], from the probabilities (S, ...) of all classes but the background."""
    background = np.maximum(1 - probabilities.sum(0), 0)  # whole percents may add up to more than 1
    result: NDArray[np.floating[Any]] = entr(probabilities).sum(0) + entr(background)
    return result
