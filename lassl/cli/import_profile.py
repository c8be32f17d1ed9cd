"""Writes the profile of an imported cohort: patch, pool, crop and counts that fit its scans."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lassl.cli.import_dataset import Structures
from lassl.cli.import_scans import Scan
from lassl.images.geometry import Triple, orientation
from lassl.images.grids import ALIKE

STEP = 16  # voxels: the V-Net halves every axis four times
LEAST = 32  # voxels along a side of a patch, unless the scans are shorter
MOST = 96 * 64 * 48  # voxels of a patch: half as many again as in `compact`, for a CPU
THICK = 3  # slices this many times as thick as a pixel's side are not pooled
MADE_BY = "# Made by `lassl import`"  # what a profile of ours begins with
Sides = np.ndarray[tuple[int], np.dtype[np.float64]]  # (3,), of the axes x, y, z
OPPOSITE = dict(zip("LRAPIS", "RLPASI", strict=True))


@dataclass(frozen=True)
class Fit:
    """Settings that follow from the scans, in voxels; the last two are None if all scans agree."""

    pool: int
    size: Triple  # of a patch, in pooled voxels
    margin: tuple[int, int]
    spacing_mm: tuple[float, ...] | None = None
    orientation: str | None = None

    @property
    def min_size(self) -> Triple:
        """The voxels to which the box around a label is widened: those of a patch."""
        x, y, z = (self.pool * n for n in self.size)
        return x, y, z


def fit(training: Sequence[Scan], test: Sequence[Scan]) -> Fit:
    """Choose settings by the scans to train on; those to test on only show whether all scans are alike.

    A patch covers the box around a label (the median of each side). If twice MOST voxels do not suffice for it at full
    resolution, volumes are pooled by 2, unless slices are thick; then the longest sides are cut until MOST suffices.
    """
    codes = [orientation(scan.geometry) for scan in (*training, *test)]
    code = Counter(codes[: len(training)]).most_common(1)[0][0]
    spacings = np.array([_along(code, scan, scan.geometry.spacing_mm) for scan in (*training, *test)])
    usual = np.median(spacings[: len(training)], axis=0)
    mixed = not np.allclose(spacings, spacings[0], ALIKE, 0)
    scale = spacings / usual if mixed else np.ones_like(spacings)  # to voxels of the usual spacing
    sizes = [_along(code, scan, scan.size) * s for scan, s in zip(training, scale, strict=False)]
    boxes = [_along(code, scan, scan.box) * s for scan, s in zip(training, scale, strict=False) if scan.box]
    whole, box = np.median(sizes, axis=0), np.median(boxes, axis=0)
    pool = 1 if math.prod(_patch(box, whole)) <= 2 * MOST or usual.max() >= THICK * usual.min() else 2
    size = _patch(box / pool, whole / pool)
    while math.prod(size) > MOST:
        size[size.index(max(size))] -= STEP
    smallest = pool * min(size)
    return Fit(
        pool,
        (size[0], size[1], size[2]),
        (round(smallest / 10), round(smallest / 5)),  # 10 to 19 voxels for the atria's 96
        tuple(round(float(mm), 4) for mm in usual) if mixed else None,
        code if len(set(codes)) > 1 else None,
    )


def _along(code: str, scan: Scan, values: Sequence[float]) -> Sides:
    """Values of the axes of a scan (3,) in the order of the axes named in `code`, such as LPS."""
    own = orientation(scan.geometry)
    return np.array([values[max(own.find(side), own.find(OPPOSITE[side]))] for side in code], float)


def _patch(box: Sides, whole: Sides) -> list[int]:
    """The smallest patch that covers a box, no longer than a whole scan needs."""
    return [STEP * math.ceil(min(max(side, LEAST), n) / STEP) for side, n in zip(box, whole, strict=True)]


def counts(labeled: int, unlabeled: int) -> dict[str, tuple[int, int]]:
    """Labeled and unlabeled training cases of the rows; the shares of labels are those of the challenge's scans."""
    every = labeled + unlabeled
    fifths = {"few": 1, "more": 2, "fewest": 0.5}
    chosen = {name: min(math.ceil(share * labeled / 5), every - 1) for name, share in fifths.items()}
    return {name: (count, every - count) for name, count in chosen.items()}


def _seen(fit: Fit, channels: Sequence[str]) -> str:
    """The profile's lines of several channels, and of a grid that scans are brought to."""
    lines = f"  channels: {json.dumps([*channels], ensure_ascii=False)}\n" if len(channels) > 1 else ""
    if fit.spacing_mm:
        lines += f"  spacing_mm: {list(fit.spacing_mm)}  # the median; scans of other spacings are brought to it\n"
    if fit.orientation:
        lines += f"  orientation: {fit.orientation}  # the most frequent one; scans of others are turned to it\n"
    return lines


def profile_text(
    name: str,
    came_from: str,
    structures: Structures,
    fit: Fit,
    labeled: int,
    unlabeled: int,
    channels: Sequence[str] = (),
) -> str:
    """The profile's file, YAML that is read alike as 1.1 and 1.2, from the name of the folder that was imported."""
    few, more, fewest = (f"{{labeled: {a}, unlabeled: {b}}}" for a, b in counts(labeled, unlabeled).values())
    size, least, margin = (list(values) for values in (fit.size, fit.min_size, fit.margin))
    seen = _seen(fit, channels)
    fp32 = "compute:\n  precision: fp32  # bf16 gradients are wrong on a CPU for patches this short along x\n"
    return f"""# @package _global_
{MADE_BY} from {came_from!r}: {labeled} labeled and {unlabeled} unlabeled training cases.
# Sizes were chosen by the training cases; see docs/own-data.md. All other settings are those of `compact`.
defaults:
  - compact
  - _self_
profile: {name}
data:
  cohort: {name}
  folder: data/raw/{name}
  split: splits/{name}.csv
  structures: {json.dumps(structures, ensure_ascii=False)}
{seen}  crop: label
  crop_z: true
  min_size: {least}
  margin: {margin}
patches:
  pool: {fit.pool}
  size: {size}
evaluate:
  stride: {[n // 2 for n in fit.size]}
fields_of_view: []
statistics:
  published: false
{fp32 if fit.size[0] <= LEAST else ""}labels:
  few: {few}
  more: {more}
  fewest: {fewest}
  all: {labeled}
"""
