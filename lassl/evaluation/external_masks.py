"""Other people's masks, scored as ours are, so that any method can stand in the table."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lassl.data.raw import CHALLENGE_SPACING_MM, LAYOUTS, SUFFIXES, RawLayout, read_scan, values_of_no_mask
from lassl.evaluation import metrics
from lassl.evaluation.summary import headline
from lassl.images import volumes
from lassl.images.geometry import Volume, grid_mismatch
from lassl.images.names import utf8
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import text_hash, write_text
from lassl.plumbing.progress import bar

EVALUATION: dict[str, Any] = {"network": "external", "largest_component": False, "failures": "excluded"}


@dataclass(frozen=True)
class Masks:
    """The mask files of a folder by case, and the form of raw scans that they are part of (None: of none)."""

    files: dict[str, Path]
    layout: RawLayout | None = None

    @property
    def placed(self) -> bool:
        """Whether the files say where their voxels lie; the field's h5 do not."""
        return self.layout is None or self.layout.raw

    def read(self, case: str) -> Volume:
        """Read a case's mask, boolean (X, Y, Z). Raises LasslError, also for other values than those of a mask."""
        path = self.files[case]
        volume = read_scan(self.layout, path.parent, "label", False) if self.layout else volumes.read_volume(path)
        if volume is None:
            raise LasslError(f"{path}: no label; add it or leave the case out")
        if values := values_of_no_mask(volume.array):
            raise LasslError(f"{path}: values {values}, expected 0 and 1 or 0 and 255; write one structure's mask")
        return Volume(volume.array > 0, volume.geometry)


@dataclass(frozen=True)
class Scored:
    """The scores of each case, hashes of what was scored, and what its maker may want to know."""

    cases: pd.DataFrame
    hashes: dict[str, str]
    notes: tuple[str, ...]


def score_folders(predictions: Path, references: Path, only: Sequence[str] | None = None) -> Scored:
    """Score the prediction of every reference, or of `only` these cases; files are matched by name without suffix.

    References are mask files or a folder of raw scans. Spacing is the reference's. An empty prediction is a failure.
    Raises LasslError with a line for each problem of all cases.
    """
    ours, problems = find_predictions(predictions)
    theirs, more = find_references(references)
    wanted = sorted(theirs.files if only is None else only)
    problems += more + list(_absent(predictions, ours, references, theirs, wanted))
    problems += [] if wanted else [f"{references}: no case to score; name at least one"]
    rows, digests = [], []
    there = [case for case in wanted if case in ours.files and case in theirs.files]
    for case in bar(there, "evaluate", "case", len(there)):
        pair = _read_pair(case, ours, theirs, problems)
        if pair and not problems:
            scores = metrics.score(pair[0].array, pair[1].array, pair[1].geometry.spacing_mm)
            rows.append({"case": case, "network": EVALUATION["network"], "parts": "all", **vars(scores)})
            digests.append([f"{case} {_digest(volume)}\n" for volume in pair])
    if problems:
        raise LasslError("\n".join(problems))
    names = ("predictions_sha256", "references_sha256")
    hashes = {name: text_hash("".join(pair[i] for pair in digests)) for i, name in enumerate(names)}
    return Scored(pd.DataFrame(rows), hashes, tuple(_notes(predictions, ours, references, theirs, wanted)))


def find_predictions(folder: Path) -> tuple[Masks, list[str]]:
    """The mask files in a folder, and a line for each second file of a case. Raises LasslError if there is none."""
    files, problems = _files(folder)
    if not files:
        raise LasslError(f"{folder}: found no mask; expected a file for each case, <CASE>{' or '.join(SUFFIXES)}")
    return Masks(files), problems


def find_references(folder: Path) -> tuple[Masks, list[str]]:
    """As find_predictions, also for a folder of raw scans, whose labels they are then."""
    files, problems = _files(folder)
    forms = [Masks(files)]
    for layout in LAYOUTS:
        forms.append(Masks({Path(utf8(path.parent)).name: path for path in layout.all(folder, "label")}, layout))
    forms = [masks for masks in forms if masks.files]
    if len(forms) != 1:
        finding = "found several forms of masks, expected one of" if forms else "found no mask, expected"
        raise LasslError(
            f"{folder}: {finding} <CASE>.nrrd or <CASE>/label.nrrd (or {', '.join(SUFFIXES[1:])}), <CASE>/laendo.nrrd, "
            "<CASE>/mri_norm2.h5; name a folder of references"
        )
    return forms[0], problems


def _files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Files with one of SUFFIXES by their names without it, and a line for each second file of a name."""
    if not folder.is_dir():
        raise LasslError(f"{folder}: no such folder; expected one with a mask for each case")
    found: dict[str, Path] = {}
    problems = []
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
        if suffix is None or path.name.startswith(".") or not path.is_file():
            continue
        try:
            first = found.setdefault(Path(utf8(path)).name[: -len(suffix)], path)
        except LasslError as error:
            problems.append(str(error))
            continue
        if first != path:
            problems.append(f"{path}: {first.name} is of the same case; keep one of the two")
    return found, problems


def _absent(predictions: Path, ours: Masks, references: Path, theirs: Masks, wanted: Sequence[str]) -> Iterator[str]:
    """Give a line for each case without reference or without prediction."""
    for case in wanted:
        if case not in theirs.files:
            yield f"{references}: no reference of case {case}; add it or leave the case out"
        elif case not in ours.files:
            yield f"{predictions}: no prediction for {theirs.files[case]}; add it (a method that found nothing: all 0)"


def _read_pair(case: str, ours: Masks, theirs: Masks, problems: list[str]) -> tuple[Volume, Volume] | None:
    """Read a case's prediction and reference; None, and lines among the problems, if something is wrong with them."""
    found = []
    for masks in (ours, theirs):
        try:
            found.append(masks.read(case))
        except LasslError as error:
            problems.append(str(error))
    if len(found) < 2:
        return None
    prediction, reference = found
    wrong = list(_pair_problems(ours.files[case], prediction, reference, theirs.placed))
    if not reference.array.any():
        wrong.append(f"{theirs.files[case]}: empty reference, every voxel is 0; draw it or leave the case out")
    elif reference.array.all():
        wrong.append(f"{theirs.files[case]}: full reference, every voxel is inside; draw it or leave the case out")
    problems += wrong
    return None if wrong else (prediction, reference)


def _pair_problems(path: Path, prediction: Volume, reference: Volume, placed: bool) -> Iterator[str]:
    """Give a line if a prediction is not on its reference's grid; the place counts only if the reference has one."""
    if mismatch := grid_mismatch(prediction, reference, "reference", placed):
        yield f"{path}: {mismatch}; write it on the reference's grid"


def _digest(volume: Volume) -> str:
    """Hash of a mask's voxels and place, the same in every file format."""
    head = f"{volume.array.shape} {volume.geometry}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(volume.array).tobytes()).hexdigest()


def _notes(predictions: Path, ours: Masks, references: Path, theirs: Masks, wanted: Sequence[str]) -> Iterator[str]:
    """What is no error: predictions that nobody asked for, references without a place."""
    extra = sorted(set(ours.files) - set(wanted))
    if extra:
        yield f"{predictions}: {len(extra)} predictions without a reference were not scored ({', '.join(extra[:5])})"
    if not theirs.placed:
        spacing = CHALLENGE_SPACING_MM[0]
        yield f"{references}: h5 says nothing of spacing and place; {spacing} mm is taken, and only sizes were compared"


def write(folder: Path, name: str, title: str, scored: Scored) -> None:
    """Write headline figures, scores of cases and the record as a run of ours has them, each whole or not at all."""
    table = scored.cases.to_csv(index=False, float_format="%.6f")
    record = {"title": title, **scored.hashes, "lassl": version("lassl"), "evaluation": EVALUATION}
    write_text(folder / f"{name}.json", json.dumps(headline(scored.cases, EVALUATION), indent=2) + "\n")
    write_text(folder / f"{name}.csv", table)
    write_text(
        folder / "records" / f"{name}.yaml",
        yaml.safe_dump(record | {"cases_sha256": text_hash(table)}, sort_keys=False),
    )
