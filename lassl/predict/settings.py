"""How a model predicts, and where that is found for one that was trained here and not exported."""

import json
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import pydantic
from pydantic import model_validator

from lassl.data.prepared import MANIFEST, open_prepared
from lassl.evaluation.inference import Windows
from lassl.images.components import large_components
from lassl.images.geometry import Geometry, Volume, orientation, volume_ml
from lassl.images.intensities import Limits
from lassl.model.record import Cohort, Evaluation, Trained, read_record
from lassl.paths import prepared_folder
from lassl.plumbing.errors import LasslError, note
from lassl.settings.values import Positive, Section, Size

Normalization = Literal["whole volume mean and standard deviation", "whole volume mean and standard deviation, clipped"]
NORMALIZATION: Normalization = "whole volume mean and standard deviation"
CLIPPED: Normalization = "whole volume mean and standard deviation, clipped"
# of the h5 that the field passes on (Yu et al. 2019), in voxels
FIELD_CROP: dict[str, Any] = {"crop": "label", "min_size": (112, 112, 80), "margin": (10, 19), "crop_z": False}
BATCH = 4  # windows in a forward pass, of a model without evaluation
T = TypeVar("T")
Range = tuple[float, float]  # the smallest and the largest volume (mL) of labels
Volumes = Range | dict[str, Range]  # of several structures by their names
Millimetres = Annotated[float, pydantic.Field(gt=0)]


class Crop(Section):
    """How scans of the training were cropped: the label's box, widened to `least_mm`, and then margins on all sides.

    Along x, y, z of the training; z stays whole unless `along_z`. `parts` counts the large connected components of each
    structure, such as left and right; None: each has one.
    """

    least_mm: tuple[Millimetres, Millimetres, Millimetres]
    margins_mm: tuple[Millimetres, Millimetres, Millimetres]
    along_z: bool
    parts: tuple[Positive, ...] | None = None
    later: ClassVar = ("parts",)


class PredictSettings(Section):
    """How a model predicts: pooling and windows of a volume, number format, and the grid of the training.

    Window and stride are in pooled voxels, batch counts windows per forward pass, spacing_mm is of voxels before
    pooling; orientation names the side of the patient that each axis runs towards. Scans are clipped to the intensities
    `clip` first where it is set. Without `crop` scans of the training were whole, or that is not known. `structures`
    are the names of several, in the order of the networks' classes, and their values in masks; without it there is one,
    and masks are of 0 and 1. `channels` are the names of the files of a scan in the training, if they were set.
    """

    pool: Positive
    window: Size
    stride: Size
    batch: Positive
    precision: Literal["bf16", "fp16", "fp32"]
    channels_last: bool
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    orientation: Annotated[str, pydantic.Field(pattern="^[LRPASI]{3}$")]
    normalization: Normalization
    crop: Crop | None = None
    structures: Annotated[dict[str, Positive], pydantic.Field(min_length=2)] | None = None
    clip: Limits | None = None
    channels: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] | None = None
    later: ClassVar = ("structures", "clip", "channels")

    @model_validator(mode="after")
    def _limits_where_clipped(self) -> Self:
        if (self.normalization == CLIPPED) != (self.clip is not None):
            raise ValueError(f"normalization is '{self.normalization}', but clip is {self.clip}")
        return self

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Self:
        if any(stride > size for stride, size in zip(self.stride, self.window, strict=True)):
            raise ValueError(f"stride {self.stride} exceeds the window {self.window}")
        return self

    @property
    def windows(self) -> Windows:
        """How networks go over a volume."""
        return Windows(self.pool, self.window, self.stride, self.batch)


def settings_of(record: Trained) -> PredictSettings:
    """Gather how a model predicts from the record of its training and, for the stride, of its evaluation.

    Without an evaluation windows overlap by half, which is noted. Raises LasslError where the grid of the training is
    not known, see `grid_of`.
    """
    trained, evaluation = record.settings, evaluation_of(record)
    window = trained.patches.size
    if not evaluation:
        note(f"note: no record of an evaluation of {record.run.name}; windows overlap by half (--stride changes it)")
    spacing_mm, code = grid_of(record.cohort)
    return PredictSettings.model_validate(
        {
            "pool": trained.patches.pool,
            "window": window,
            "stride": evaluation.stride if evaluation else tuple(n // 2 for n in window),
            "batch": evaluation.batch if evaluation else BATCH,
            "precision": record.precision,
            "channels_last": trained.compute.channels_last,
            "spacing_mm": spacing_mm,
            "orientation": code,
            "normalization": CLIPPED if record.cohort.clip else NORMALIZATION,
            "clip": record.cohort.clip,
            "channels": record.cohort.channels,
            "crop": (crop := crop_of(record.cohort, spacing_mm)) and crop | parts_of(record),
            "structures": {name: values[0] for name, values in (record.cohort.structures or {}).items()} or None,
        }
    )


def crop_of(cohort: Cohort, spacing_mm: tuple[float, float, float]) -> dict[str, Any] | None:
    """Give the fields of the Crop of the scans that a model learned from; None for whole scans.

    Margins are the mean ones. The prepared cohort tells it; where that is not there, or is another than that of the
    training, it is None, too.
    """
    folder = prepared_folder(cohort.name)
    manifest = open_prepared(folder).manifest if (folder / MANIFEST).is_file() else None
    if manifest is None or manifest.hash != cohort.hash:
        return None
    options = FIELD_CROP if manifest.layout == "h5" else manifest.options
    if options["crop"] != "label":
        return None
    return {
        "least_mm": np.multiply(options["min_size"], spacing_mm).tolist(),
        "margins_mm": (np.mean(options["margin"]) * np.array(spacing_mm)).tolist(),
        "along_z": options["crop_z"],
    }


def grid_of(cohort: Cohort) -> tuple[tuple[float, float, float], str]:
    """Give spacing (mm along x, y, z) and orientation of the scans that a model learned from.

    An older record does not say; then they are those of the prepared cohort's first case. Notes where that was prepared
    anew. Raises LasslError where it is not there.
    """
    if cohort.spacing_mm and cohort.orientation:
        return cohort.spacing_mm, cohort.orientation
    folder = prepared_folder(cohort.name)
    if not (folder / MANIFEST).is_file():
        raise LasslError(
            f"{folder / MANIFEST}: not found, and the model's record, an older one, says neither spacing nor "
            f"orientation of cohort {cohort.name}; prepare it with `dvc repro`, or use a file that `lassl export` wrote"
        )
    manifest = open_prepared(folder).manifest
    if manifest.hash != cohort.hash:
        note(f"note: cohort {cohort.name} was prepared anew since the training; taking its spacing all the same")
    first = manifest.cases[0]
    x, y, z = first.spacing_mm
    return (x, y, z), orientation(Geometry(first.spacing_mm, first.origin_mm, first.direction))


def of_labels(record: Trained, measure: Callable[[Volume], T]) -> list[list[T]]:
    """Measure the mask of each structure in the labels that a model learned from: a row for each label.

    There are no rows where the prepared cohort is not there as a whole, or is another than that of the training.
    """
    folder = prepared_folder(record.cohort.name)
    if not (folder / MANIFEST).is_file() or (prepared := open_prepared(folder)).manifest_hash != record.cohort.hash:
        return []
    rows, classes = [], range(1, record.settings.network.classes)
    try:
        for case in record.labeled:
            label, geometry = prepared.read_label(case), prepared.geometry(case)
            rows.append([measure(Volume(label == index, geometry)) for index in classes])
    except LasslError:
        return []
    return rows


def parts_of(record: Trained) -> dict[str, Any]:
    """Give `parts` of the Crop of a training: the median over its labels; nothing where each structure has one part."""
    counts = of_labels(record, lambda mask: len(large_components(mask.array)[1]))
    parts = [max(int(n), 1) for n in np.median(counts, 0)] if counts else []
    return {"parts": parts} if max(parts, default=1) > 1 else {}


def volumes_of(record: Trained) -> Volumes | None:
    """Give the smallest and the largest volume (mL) of the labels that a model learned from, by structure if several.

    None where they are not known, see `of_labels`.
    """
    ranges = [(min(column), max(column)) for column in zip(*of_labels(record, volume_ml), strict=True)]
    if record.cohort.structures and ranges:
        return dict(zip(record.cohort.structures, ranges, strict=True))
    return ranges[0] if ranges else None


def evaluation_of(record: Trained) -> Evaluation | None:
    """How the weights of a record were evaluated; None if metrics/ has no record of that. Raises LasslError."""
    path = record.run.record
    if not path.is_file():
        return None
    evaluated = read_record(path)
    return evaluated.evaluation if evaluated.weights_sha256 == record.weights_sha256 else None


def metrics_of(record: Trained) -> dict[str, float | None] | None:
    """Summary of the test cases for the weights of a record (see `summarize`), None if metrics/ has none of them."""
    path = record.run.metrics
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() and evaluation_of(record) else None
