"""The prepared cohort on disk: its manifest, and its volumes read back."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import h5py
import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError

from lassl.data.label_split import Split
from lassl.images.geometry import Array, Geometry, Triple, Volume
from lassl.images.structures import Structures, several
from lassl.plumbing.errors import LasslError

MANIFEST = "manifest.json"
Subset = Literal["train", "test"]


class Case(BaseModel):
    """A prepared case.

    It has its own size and that of the raw scan in voxels, the voxel of the raw scan at which its crop begins, the raw
    scan's geometry (see lassl.images.geometry.Geometry), whether there is a label, and the sha256 of image and label.
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

    @property
    def geometry(self) -> Geometry:
        """The place of the raw scan's voxels in the patient."""
        return Geometry(self.spacing_mm, self.origin_mm, self.direction)


class Manifest(BaseModel):
    """The content of a prepared folder: how it was made, its cases in split order, and one hash over all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["challenge", "h5", "own"] = pydantic.Field(alias="door")  # its name in the file
    options: dict[str, Any]
    hash: str
    cases: tuple[Case, ...]

    def text(self) -> str:
        """The content of the file MANIFEST."""
        return self.model_dump_json(indent=1, by_alias=True) + "\n"

    def for_tuning(self, count: int) -> Self:
        """The cohort with the last `count` labeled training cases instead of the test cases, which are left out.

        Raises LasslError if no other training case would be left.
        """
        training = [case for case in self.cases if case.split == "train"]
        scored = {case.case for case in [case for case in training if case.labeled][-count:]}
        if len(scored) < count or len(scored) == len(training):
            raise LasslError(
                f"params.yaml: cases.tuning: found {count}, but there are {len(training)} training cases, of which "
                f"{len(scored)} have a label; leave some to train on"
            )
        cases = [c.model_copy(update={"split": "test"}) if c.case in scored else c for c in training]
        return self.model_copy(update={"cases": tuple(sorted(cases, key=lambda case: case.split == "test"))})


def cohort_hash(cases: Sequence[Case]) -> str:
    """Hash (sha256) every case's content hashes, split and place; ignores paths and times."""
    return hashlib.sha256(json.dumps([case.model_dump() for case in cases], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """A prepared cohort on disk; volumes are read on demand, and labels only by `read_label`."""

    folder: Path
    manifest: Manifest

    @property
    def manifest_hash(self) -> str:
        """The sha256 of the cohort's content."""
        return self.manifest.hash

    @cached_property
    def cases(self) -> dict[str, Case]:
        """Name -> description of each case, in split order: train, then test."""
        return {case.case: case for case in self.manifest.cases}

    @property
    def split(self) -> Split:
        """The training and test cases."""
        cases = self.manifest.cases
        return Split(
            train=tuple(case.case for case in cases if case.split == "train"),
            test=tuple(case.case for case in cases if case.split == "test"),
        )

    @property
    def with_label(self) -> frozenset[str]:
        """The cases that have a label."""
        return frozenset(name for name, case in self.cases.items() if case.labeled)

    @property
    def structures(self) -> Structures | None:
        """Several structures, whose classes the labels have: name -> values in the raw labels; None for one."""
        return several({name: tuple(values) for name, values in self.manifest.options.get("structures", {}).items()})

    def read_image(self, case: str) -> Array:
        """Read the normalized image, float32 (X, Y, Z), without reading the label. Raises LasslError."""
        return self._read(case, "image")

    def read_label(self, case: str) -> Array:
        """Read the label, uint8 (X, Y, Z), 1 inside the atrium. Raises LasslError, also if the case has no label."""
        if not self._case(case).labeled:
            raise LasslError(
                f"{self.folder / MANIFEST}: case {case} has no label; add it to the raw scans and run `dvc repro`"
            )
        return self._read(case, "label")

    def geometry(self, case: str) -> Geometry:
        """Return the place of the raw scan's voxels in the patient. Raises LasslError if the case is unknown."""
        return self._case(case).geometry

    def crop_start(self, case: str) -> Triple:
        """Return the raw scan's voxel that is voxel (0, 0, 0) of the prepared case. Raises LasslError as `geometry`."""
        return self._case(case).crop_start

    def full_size(self, case: str) -> Triple:
        """Return the raw scan's size in voxels. Raises LasslError as `geometry`."""
        return self._case(case).full_size

    def paste(self, case: str, mask: Array) -> Volume:
        """Put a mask (X, Y, Z) of the prepared case back into the raw scan's grid, uint8, with 0 around it.

        Raises LasslError if the mask does not have the size of the case.
        """
        entry = self._case(case)
        if mask.shape != entry.shape:
            raise LasslError(
                f"case {case}: found a mask of size {mask.shape}, expected {entry.shape}; predict it again"
            )
        full = np.zeros(entry.full_size, np.uint8)
        full[tuple(slice(start, start + n) for start, n in zip(entry.crop_start, entry.shape, strict=True))] = mask
        return Volume(full, self.geometry(case))

    def _case(self, case: str) -> Case:
        if case not in self.cases:
            raise LasslError(f"{self.folder / MANIFEST}: no case {case}; add it to the split file and run `dvc repro`")
        return self.cases[case]

    def _read(self, case: str, key: str) -> Array:
        self._case(case)
        path = self.folder / f"{case}.h5"
        try:
            with h5py.File(path) as file:
                array: Array = file[key][()]
                return array
        except (OSError, KeyError, RuntimeError) as error:
            raise LasslError(f"{path}: cannot read the {key} ({error}); create it again with `dvc repro`") from None


def open_prepared(folder: Path, tuning: int = 0) -> Prepared:
    """Open a prepared cohort by its manifest; `tuning` as in Manifest.for_tuning. Raises LasslError.

    With tuning, the cohort has no test cases, and reading one is an error.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError:
        raise LasslError(f"{path}: cannot be read; prepare the cohort with `dvc repro`") from None
    except ValidationError as error:
        raise LasslError(f"{path}: damaged ({error.error_count()} errors); create it again with `dvc repro`") from None
    return Prepared(folder, manifest.for_tuning(tuning) if tuning else manifest)
