"""How a model predicts, and where that is found for one that was trained here and not exported."""

import json
from typing import Annotated, Literal, Self

import pydantic
from pydantic import BaseModel, ConfigDict, model_validator

from lassl.data.prepared import MANIFEST, open_prepared
from lassl.evaluation.inference import Windows
from lassl.images.geometry import Geometry, orientation
from lassl.model.record import Cohort, Evaluation, Trained, read_record
from lassl.paths import prepared_folder
from lassl.plumbing.errors import LasslError, note
from lassl.sections import Positive, Size

NORMALIZATION: Literal["whole volume mean and standard deviation"] = "whole volume mean and standard deviation"
BATCH = 4  # windows in a forward pass, of a model without evaluation
Millimetres = Annotated[float, pydantic.Field(gt=0)]


class PredictSettings(BaseModel):
    """How a model predicts: pooling and windows of a volume, number format, and the grid of the training.

    Window and stride are in pooled voxels, batch counts windows per forward pass, spacing_mm is of voxels before
    pooling; orientation names the side of the patient that each axis runs towards.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool: Positive
    window: Size
    stride: Size
    batch: Positive
    precision: Literal["bf16", "fp16", "fp32"]
    channels_last: bool
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    orientation: Annotated[str, pydantic.Field(pattern="^[LRPASI]{3}$")]
    normalization: Literal["whole volume mean and standard deviation"]

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
            "normalization": NORMALIZATION,
        }
    )


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


def evaluation_of(record: Trained) -> Evaluation | None:
    """How the weights of a record were evaluated; None if metrics/ has no record of that. Raises LasslError."""
    path = record.run.record
    if not path.is_file():
        return None
    evaluated = read_record(path)
    return evaluated.evaluation if evaluated.weights_sha256 == record.weights_sha256 else None


def metrics_of(record: Trained) -> dict[str, float | None] | None:
    """Headline figures of the weights of a record (see `summarize`), None if metrics/ has none of them."""
    path = record.run.metrics
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() and evaluation_of(record) else None
