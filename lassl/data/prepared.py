"""The prepared cohort on disk: its manifest, and its volumes read back."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import h5py
import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError

from lassl.data.case import REFERENCE, Case
from lassl.data.label_split import Split, set_aside
from lassl.images.geometry import Array, Geometry, Triple, Volume
from lassl.images.structures import Structures, several
from lassl.plumbing.errors import LasslError

MANIFEST = "manifest.json"


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

        Further training scans of their patients are left out, too. Raises LasslError if no other would be left.
        """
        training = {case.case: case for case in self.cases if case.split == "train"}
        with_label = [case.case for case in training.values() if case.labeled]
        scored, kept = set_aside(list(training), with_label, self.patients, count)
        if len(scored) < count or not kept:
            raise LasslError(
                f"params.yaml: cases.tuning: found {count}, but there are {len(training)} training cases, of which "
                f"{len(with_label)} have a label; leave some to train on"
            )
        tests = [training[case].model_copy(update={"split": "test"}) for case in scored]
        return self.model_copy(update={"cases": (*(training[case] for case in kept), *tests)})

    @property
    def patients(self) -> dict[str, str]:
        """The patient of each case for which the split file names one."""
        return {case.case: case.patient for case in self.cases if case.patient}


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
            patients=self.manifest.patients,
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
        """Read the normalized image, float32 (X, Y, Z), without reading the label. Raises LasslError.

        Of several channels it is (C, X, Y, Z).
        """
        return self._read(case, "image")

    def read_label(self, case: str) -> Array:
        """Read the label, uint8 (X, Y, Z) of classes from 0. Raises LasslError, also if the case has no label."""
        if not self._case(case).labeled:
            raise LasslError(
                f"{self.folder / MANIFEST}: case {case} has no label; add it to the raw scans and run `dvc repro`"
            )
        return self._read(case, "label")

    @property
    def channels(self) -> tuple[str, ...] | None:
        """The names of the scans' channels, None where `data.channels` was not set."""
        names = self.manifest.options.get("channels")
        return tuple(names) if names else None

    @property
    def clip(self) -> tuple[float, float] | None:
        """The intensities to which scans were clipped before they were normalized; None: they were not."""
        normalize = self.manifest.options.get("normalize")
        return (normalize["clip"][0], normalize["clip"][1]) if normalize else None

    def geometry(self, case: str) -> Geometry:
        """Return the place of the whole scan's voxels, on the prepared grid. Raises LasslError for an unknown case."""
        return self._case(case).geometry

    def crop_start(self, case: str) -> Triple:
        """Return the whole scan's voxel that is voxel (0, 0, 0) of the case. Raises LasslError as `geometry`."""
        return self._case(case).crop_start

    def full_size(self, case: str) -> Triple:
        """Return the whole scan's size in voxels of the prepared grid. Raises LasslError as `geometry`."""
        return self._case(case).full_size

    def scored_mm(self, case: str) -> tuple[float, ...]:
        """Return the spacing of `reference`. Raises LasslError as `geometry`."""
        return (self._case(case).raw or self._case(case)).spacing_mm

    def reference(self, case: str) -> Array:
        """Read the label that masks are scored against, uint8 (X, Y, Z): the raw one of a scan that was resampled.

        Others are read as by `read_label`. Raises LasslError as that does.
        """
        entry = self._case(case)
        return self._read(case, REFERENCE) if entry.raw and entry.labeled else self.read_label(case)

    def to_reference(self, case: str, maps: Array) -> Array:
        """Bring maps (S, X, Y, Z) of a case to the voxels of `reference`: linear, or themselves. Raises LasslError."""
        return self._case(case).to_reference(maps)

    def on_raw(self, case: str, mask: Array) -> Volume:
        """Put a mask (X, Y, Z) with the voxels of `reference` on the raw scan's grid, uint8. Raises LasslError."""
        return self._case(case).on_raw(mask)

    def paste(self, case: str, mask: Array) -> Volume:
        """Put a mask (X, Y, Z) of the prepared case back on the raw scan's grid, see Case. Raises LasslError."""
        return self._case(case).paste(mask)

    def cropped(self, case: str, mask: Array) -> Array:
        """Cut a mask on the raw scan's grid to the voxels of the prepared case, see Case. Raises LasslError."""
        return self._case(case).cropped(mask)

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
