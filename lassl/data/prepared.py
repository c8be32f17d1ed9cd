"""A cohort: which of its cases are labeled in a draw, and the prepared volumes read back."""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import h5py
import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError

from lassl.data.split_file import Split
from lassl.images.geometry import Array, Geometry, Triple, Volume
from lassl.plumbing.errors import LasslError
from lassl.seeds import stream

MANIFEST = "manifest.json"
Part = Literal["train", "test"]
# (cases in the draw's order, the labeled ones, count) -> unlabeled cases
Unlabeled = Callable[[Sequence[str], Collection[str], int], Sequence[str]]


@dataclass(frozen=True)
class Draw:
    """The training cases whose labels are seen, those whose labels are not, and those kept out of training."""

    labeled: tuple[str, ...]
    unlabeled: tuple[str, ...]
    held_out: tuple[str, ...] = ()


def rest(order: Sequence[str], labeled: Collection[str], count: int) -> Sequence[str]:
    """The unlabeled cases: the first ones of the draw's order that are not labeled."""
    return [case for case in order if case not in labeled][:count]


UNLABELED: dict[str, Unlabeled] = {"rest": rest}


def draw_cases(
    train: Sequence[str],
    with_label: Collection[str],
    labeled: int,
    unlabeled: int,
    draw: int,
    held_out: int = 0,
    others: Unlabeled = rest,
) -> Draw:
    """Choose which training cases are labeled, and which `others` are unlabeled.

    Draw 0 takes the first ones of the list, as the whole field does. Draw k > 0 is a choice without replacement, seeded
    by k alone, listed in the order of `train`; a larger `labeled` contains a smaller one. The last `held_out` of the
    labeled cases are not trained on. Raises LasslError when cases or labels are too few.
    """
    if labeled + unlabeled > len(train):
        raise LasslError(
            f"asked for {labeled} labeled + {unlabeled} unlabeled cases, found {len(train)} training cases; "
            "lower the counts in conf/method/ or add cases to the split file"
        )
    if held_out >= labeled:
        raise LasslError(
            f"params.yaml: cases.held_out: found {held_out}, but only {labeled} cases are labeled; "
            "leave some to train on"
        )
    order = list(train)
    candidates = order
    if draw > 0:
        order = [train[i] for i in stream(draw, "draw").permutation(len(train))]
        candidates = [case for case in order if case in with_label]
    chosen = candidates[:labeled]
    bare = [case for case in chosen if case not in with_label]
    if bare or len(chosen) < labeled:
        raise LasslError(
            f"draw {draw}: asked for {labeled} labeled cases, found {len(chosen) - len(bare)} with a label"
            + (f" (none for {', '.join(bare)})" if bare else "")
            + "; add the labels, lower `labeled` in conf/method/ or reorder the split file"
        )
    kept = labeled - held_out
    parts = (chosen[:kept], others(order, chosen, unlabeled), chosen[kept:])
    found = Draw(*(tuple(case for case in train if case in part) for part in parts))
    if len(found.unlabeled) != unlabeled:
        raise LasslError(
            f"params.yaml: cases.unlabeled: asked for {unlabeled} unlabeled cases, its function chose "
            f"{len(found.unlabeled)} of the training cases; mend it or use 'rest'"
        )
    return found


class Case(BaseModel):
    """A prepared case: its sizes in voxels, where its crop begins in the raw scan, the raw scan's geometry, hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    split: Part
    shape: Triple
    full_size: Triple
    crop_start: Triple
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    labeled: bool
    image_sha256: str
    label_sha256: str | None


class Manifest(BaseModel):
    """What a prepared folder holds: how it was made, its cases in split order, and one hash over all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["challenge", "h5", "own"] = pydantic.Field(alias="door")  # its name in the file
    options: dict[str, Any]
    hash: str
    cases: tuple[Case, ...]

    def for_tuning(self, count: int) -> Self:
        """The cohort with the last `count` labeled training cases in the place of the test cases, which are left out.

        Raises LasslError where no other training case would be left.
        """
        training = [case for case in self.cases if case.split == "train"]
        scored = {case.case for case in [case for case in training if case.labeled][-count:]}
        if len(scored) < count or len(scored) == len(training):
            raise LasslError(
                f"params.yaml: cases.tuning: found {count}, but {len(training)} training cases, of which "
                f"{len(scored)} have a label; leave some to train on"
            )
        cases = [c.model_copy(update={"split": "test"}) if c.case in scored else c for c in training]
        return self.model_copy(update={"cases": tuple(sorted(cases, key=lambda case: case.split == "test"))})


def cohort_hash(cases: Sequence[Case]) -> str:
    """Hash (sha256) every case's content hashes, split and place; paths and times have no part in it."""
    return hashlib.sha256(json.dumps([case.model_dump() for case in cases], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """A prepared cohort on disk; volumes are read when they are asked for, and a label only by `read_label`."""

    folder: Path
    manifest: Manifest

    @property
    def manifest_hash(self) -> str:
        """The sha256 of the cohort's content."""
        return self.manifest.hash

    @cached_property
    def cases(self) -> dict[str, Case]:
        """Every case's description by its name, in split order: train, then test."""
        return {case.case: case for case in self.manifest.cases}

    @property
    def split(self) -> Split:
        """The cases to train on and to test on."""
        return Split(*(tuple(c.case for c in self.manifest.cases if c.split == part) for part in ("train", "test")))

    @property
    def with_label(self) -> frozenset[str]:
        """The cases that have a label."""
        return frozenset(name for name, case in self.cases.items() if case.labeled)

    def read_image(self, case: str) -> Array:
        """Read the normalized image, float32 (X, Y, Z); the label is not touched. Raises LasslError."""
        return self._read(case, "image")

    def read_label(self, case: str) -> Array:
        """Read the label, uint8 (X, Y, Z), 1 inside the atrium. Raises LasslError, also for a case without label."""
        if not self._case(case).labeled:
            raise LasslError(
                f"{self.folder / MANIFEST}: case {case} has no label; add it to the raw scans, `dvc repro`"
            )
        return self._read(case, "label")

    def geometry(self, case: str) -> Geometry:
        """Give where the voxels of the raw scan lie in the patient."""
        entry = self._case(case)
        return Geometry(entry.spacing_mm, entry.origin_mm, entry.direction)

    def crop_start(self, case: str) -> Triple:
        """Give the raw scan's voxel that is voxel (0, 0, 0) of the prepared case."""
        return self._case(case).crop_start

    def full_size(self, case: str) -> Triple:
        """Give the raw scan's size in voxels."""
        return self._case(case).full_size

    def paste(self, case: str, mask: Array) -> Volume:
        """Put a mask (X, Y, Z) of the prepared case back into the raw scan's grid, uint8 and 0 around it."""
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
            raise LasslError(f"{path}: cannot read the {key} ({error}); make it again with `dvc repro`") from None


def open_prepared(folder: Path, tuning: int = 0) -> Prepared:
    """Open a prepared cohort by its manifest; `tuning` as in Manifest.for_tuning. Raises LasslError.

    With tuning the test cases are not part of it: whoever asks for one is refused.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError:
        raise LasslError(f"{path}: cannot be read; prepare the cohort with `dvc repro`") from None
    except ValidationError as error:
        raise LasslError(f"{path}: damaged ({error.error_count()} errors); make it again with `dvc repro`") from None
    return Prepared(folder, manifest.for_tuning(tuning) if tuning else manifest)
