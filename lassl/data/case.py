"""A prepared case: its description, and the way from its voxels to those of the raw scan and back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, model_serializer

from lassl.data.raw import RawLayout
from lassl.images.geometry import Array, Box, Geometry, Triple, Volume
from lassl.images.grids import Grid, classes_onto, described, onto, shifted, wanted
from lassl.images.intensities import normalize
from lassl.plumbing.errors import LasslError
from lassl.plumbing.processor import memory_bytes
from lassl.settings.sections import Data

REFERENCE = "reference"  # the dataset of a raw label, of a scan that was resampled
VOXEL_BYTES = 24  # at most, of a voxel that a scan is resampled to: the image, and the parts of its label's structures
CHANNEL_BYTES = 4  # of a voxel for each further channel
Subset = Literal["train", "test"]
Placed = tuple[Volume, Array | None]  # a scan, and the classes of its label if it has one, on another grid


class Raw(BaseModel):
    """The grid of a raw scan that was brought to another one, and the sha256 of its label there if it has one.

    It has the scan's size in voxels and its geometry, see lassl.images.geometry.Geometry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Triple
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    label_sha256: str | None

    @property
    def grid(self) -> Grid:
        """The raw scan's voxels."""
        return Grid(self.size, Geometry(self.spacing_mm, self.origin_mm, self.direction))


class Case(BaseModel):
    """A prepared case.

    It has its own size and that of the whole scan in voxels, the voxel of the scan at which its crop begins, the scan's
    geometry (see lassl.images.geometry.Geometry), whether there is a label, and the sha256 of image and label. Size,
    crop and geometry are those of the grid that the scan was brought to; `raw` has its own, None where it is the same.
    `patient` is the one that the split file names, if it does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    split: Subset
    shape: Triple
    full_size: Triple
    crop_start: Triple
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    labeled: bool
    image_sha256: str
    label_sha256: str | None
    raw: Raw | None = None
    patient: str | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, plain: Any) -> dict[str, Any]:
        """Leave out `raw` and `patient` where there is none, as in manifests of earlier code."""
        later = ("raw", "patient")
        return {key: value for key, value in plain(self).items() if key not in later or value is not None}

    def with_patient(self, patients: Mapping[str, str]) -> Self:
        """The case with its patient, if `patients` (case -> patient) has one for it."""
        return self.model_copy(update={"patient": patients.get(self.case)})

    @property
    def geometry(self) -> Geometry:
        """The place of the whole scan's voxels in the patient."""
        return Geometry(self.spacing_mm, self.origin_mm, self.direction)

    @property
    def place(self) -> Geometry:
        """The place of the case's own voxels in the patient."""
        return shifted(self.geometry, self.crop_start)

    def to_reference(self, maps: Array) -> Array:
        """Bring maps (S, X, Y, Z) of the case to the raw grid, linear, if that is another one: 0 outside of the case.

        Else they are the maps themselves.
        """
        return np.stack([onto(Volume(each, self.place), self.raw.grid) for each in maps]) if self.raw else maps

    def on_raw(self, mask: Array) -> Volume:
        """Put a mask (X, Y, Z) with the voxels that `to_reference` gives on the raw scan's grid, uint8."""
        return Volume(mask.astype(np.uint8), self.raw.grid.geometry) if self.raw else self.paste(mask)

    def paste(self, mask: Array) -> Volume:
        """Put a mask (X, Y, Z) of the case on the raw scan's grid, uint8, with 0 around it.

        On another grid each voxel gets the class with the largest linear part. Raises LasslError if the mask does not
        have the size of the case.
        """
        if mask.shape != self.shape:
            raise LasslError(
                f"case {self.case}: found a mask of size {mask.shape}, expected {self.shape}; predict it again"
            )
        if self.raw:
            return Volume(classes_onto(Volume(mask, self.place), self.raw.grid), self.raw.grid.geometry)
        full = np.zeros(self.full_size, np.uint8)
        full[self._box] = mask
        return Volume(full, self.geometry)

    def cropped(self, mask: Array) -> Array:
        """Cut a mask on the raw scan's grid to the voxels of the case (X, Y, Z), the reverse of `paste`.

        Raises LasslError if the mask does not have the size of the raw scan.
        """
        expected = self.raw.size if self.raw else self.full_size
        if mask.shape != expected:
            raise LasslError(f"found {mask.shape} voxels, expected {expected} as in the raw scan: run `dvc repro`")
        if self.raw:
            return classes_onto(Volume(mask, self.raw.grid.geometry), Grid(self.shape, self.place))
        cut: Array = mask[self._box]
        return cut

    @property
    def _box(self) -> Box:
        """The case's voxels in the whole scan."""
        x, y, z = (slice(start, start + n) for start, n in zip(self.crop_start, self.shape, strict=True))
        return x, y, z


def cohort_hash(cases: Sequence[Case]) -> str:
    """Hash (sha256) every case's content hashes, split and place; ignores paths and times."""
    return hashlib.sha256(json.dumps([case.model_dump() for case in cases], sort_keys=True).encode()).hexdigest()


def changes_of_h5(data: Data, layout: RawLayout) -> list[str]:
    """A line for the settings of scans that are to be changed, if the layout has scans that are prepared already."""
    keys = [f"data.{key}" for key in Data.later if getattr(data, key) != Data.model_fields[key].default]
    if layout.raw or not keys:
        return []
    return [
        f"{data.folder}: h5 files are normalized and have no place, so {' and '.join(keys)} cannot change them; use "
        "scans as NRRD or NIfTI, or leave the setting out"
    ]


def regridded(data: Data, scan: Volume, mask: Array | None) -> Placed | None:
    """Bring a scan, normalized, and the classes of its label to the grid of the settings; None if it has that already.

    Values are linear, float32; a voxel of the label gets the class with the largest linear part. Raises LasslError for
    a grid that does not fit into memory, and for one so coarse that nothing of the label is left.
    """
    own = Grid(scan.size, scan.geometry)
    grid = wanted(own, data.orientation, data.spacing_mm)
    if grid is None:
        return None
    voxel_bytes = VOXEL_BYTES + CHANNEL_BYTES * (len(data.channels) - 1)
    needed, memory = float(np.prod(grid.size, dtype=float)) * voxel_bytes, memory_bytes()
    if needed > memory:
        raise LasslError(
            f"{_sizes(own.size)} voxels of {described(own.geometry)} would become {_sizes(grid.size)} of "
            f"{described(grid.geometry)}, which take {needed / 2**30:.3g} GiB, and this machine has "
            f"{memory / 2**30:.3g}; check the spacing in the header, or set a larger data.spacing_mm"
        )
    classes = None if mask is None else classes_onto(Volume(mask, own.geometry), grid)
    if classes is not None and not classes.any():
        raise LasslError(
            f"nothing of the label is left at {described(grid.geometry)}, from {described(own.geometry)}; set a "
            "smaller data.spacing_mm, or leave the case out"
        )
    x, y, z = (slice(0, n) for n in own.size)
    normalized = normalize(scan.array, (x, y, z), data.clip)
    return Volume(onto(Volume(normalized, own.geometry), grid), grid.geometry), classes


def _sizes(size: Triple) -> str:
    return " x ".join(map(str, size))
