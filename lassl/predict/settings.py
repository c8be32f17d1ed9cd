"""What predicting needs of a model, and where it is found for one that was trained here and not exported."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from lassl.config import Config
from lassl.data.prepared import open_prepared
from lassl.images.geometry import Geometry, orientation
from lassl.paths import Run
from lassl.plumbing.errors import LasslError, note
from lassl.sections import ATRIA, Evaluate, Patches, Positive, Size

NORMALIZATION: Literal["whole volume mean and standard deviation"] = "whole volume mean and standard deviation"
SPACING_MM = (0.625, 0.625, 0.625)  # of the challenge's scans
Millimetres = Annotated[float, pydantic.Field(gt=0)]


class Needs(BaseModel):
    """What predicting needs: how volumes are pooled and windowed, in which number format, and the grid of the training.

    Window and stride are in pooled voxels, spacing_mm of voxels before pooling; orientation is the side of the patient
    that each axis runs towards; batch counts windows per forward pass.
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
    def config(self) -> Config:
        """The two sections of a configuration that inference looks at; the others are not there."""
        shape = Patches(pool=self.pool, size=self.window)
        how = {"network": "default", "largest_component": False, "failures": "excluded"}
        evaluate = Evaluate.model_validate({"stride": self.stride, "batch": self.batch, **how})
        return Config.model_construct(patches=shape, evaluate=evaluate)


def needs_of(record: Mapping[str, Any]) -> Needs:
    """Gather what predicting needs from the record of a training, that of its evaluation, and the cohort.

    Notes what is not known: without an evaluation the stride is half the window.
    """
    settings = record["settings"]
    window = settings["patches"]["size"]
    told = evaluation_of(record)
    if not told:
        note(
            f"note: no record of an evaluation of {run_of(record).name}; windows overlap by half (--stride changes it)"
        )
    spacing, axes = grid_of(record["cohort"])
    return Needs(
        pool=settings["patches"]["pool"],
        window=window,
        stride=told.get("stride", [n // 2 for n in window]),
        batch=told.get("batch", 4),
        precision=record["training"].get("precision", settings["compute"]["precision"]),
        channels_last=settings["compute"]["channels_last"],
        spacing_mm=spacing,
        orientation=axes,
        normalization=NORMALIZATION,
    )


def grid_of(cohort: Mapping[str, str]) -> tuple[tuple[float, float, float], str]:
    """Spacing in mm and orientation of a cohort's first case; the challenge's where its cohort is not there.

    Raises LasslError where another cohort is not there.
    """
    try:
        manifest = open_prepared(Path("data/prepared") / cohort["name"]).manifest
    except LasslError:
        if cohort["name"] not in ATRIA:
            raise
        note(f"note: no prepared cohort {cohort['name']}; taking the model to be trained on {SPACING_MM} mm, LPS")
        return SPACING_MM, "LPS"
    if manifest.hash != cohort["hash"]:
        note(f"note: cohort {cohort['name']} was prepared anew since the training; taking its spacing all the same")
    first = manifest.cases[0]
    x, y, z = first.spacing_mm
    return (x, y, z), orientation(Geometry(first.spacing_mm, first.origin_mm, first.direction))


def run_of(record: Mapping[str, Any]) -> Run:
    """Name the run that a record is of."""
    return Run.model_validate({key: record[key] for key in Run.model_fields})


def evaluation_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """How the weights of a record were evaluated; empty if metrics/ has no record of that, or of other weights."""
    try:
        told = yaml.safe_load(run_of(record).record.read_text("utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    same = isinstance(told, dict) and told.get("weights_sha256") == record["weights_sha256"]
    return dict(told["evaluation"]) if same else {}


def metrics_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Headline figures of the weights of a record, None if metrics/ has none of them."""
    path = run_of(record).metrics
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() and evaluation_of(record) else None
