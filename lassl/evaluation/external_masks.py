"""Scores external masks in the same way as our own, so that any method can be in the table."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lassl.data.raw import CHALLENGE_SPACING_MM, LAYOUTS, RawLayout, read_scan
from lassl.evaluation.external_record import REPORTED, ScoredFolder
from lassl.evaluation.structures import rows_of
from lassl.images import volumes
from lassl.images.geometry import Volume, grid_mismatch
from lassl.images.names import SUFFIXES, utf8
from lassl.images.structures import Structures, classes_in, listed_values, several, values_of_no_mask
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import text_hash
from lassl.plumbing.progress import bar


@dataclass(frozen=True)
class Masks:
    """A folder of masks: their files by case, and the form of raw scans that they are part of (None: of none).

    `structures` have the values of the structures; without it, files must hold 0 and 1, or 0 and 255.
    """

    folder: Path
    files: dict[str, Path]
    layout: RawLayout | None = None
    structures: Structures | None = None

    @property
    def placed(self) -> bool:
        """Whether the files contain the place of their voxels; the field's h5 files do not."""
        return self.layout is None or self.layout.raw

    def read(self, case: str) -> Volume:
        """Read a case's classes, 0 and 1 for one structure (X, Y, Z). Raises LasslError, also for other values."""
        path = self.files[case]
        volume = read_scan(self.layout, path.parent, "label", False) if self.layout else volumes.read_volume(path)
        if volume is None:
            raise LasslError(f"{path}: label not found; add it or leave the case out")
        if self.structures:
            return Volume(classes_in(volume.array, self.structures), volume.geometry)
        if values_of_no_mask(volume.array):
            advice = "name those of each structure with --values, or write one structure's mask"
            raise LasslError(
                f"{path}: found values {listed_values(volume.array)}, expected 0 and 1, or 0 and 255; {advice}"
            )
        return Volume(volume.array > 0, volume.geometry)


def score_folders(
    predictions: Path, references: Path, only: Sequence[str] | None = None, structures: Structures | None = None
) -> ScoredFolder:
    """Score the prediction of every reference, or of `only` these cases; files are matched by name without suffix.

    References are mask files or a folder of raw scans, and define the spacing. An empty prediction is a failure.
    `structures` name the values in all files; several have a row each for every case. Raises LasslError with a line for
    each problem of all cases.
    """
    predicted, problems = find_predictions(predictions, structures)
    reference, reference_problems = find_references(references, structures)
    wanted = sorted(reference.files if only is None else only)
    problems += reference_problems + list(_absent(predicted, reference, wanted))
    problems += [] if wanted else [f"{references}: found no cases to score; name at least one"]
    rows = []
    predicted_digests, reference_digests = "", ""
    complete = [case for case in wanted if case in predicted.files and case in reference.files]
    for case in bar(complete, "evaluate", "case", len(complete)):
        pair = _read_pair(case, predicted, reference, problems)
        if pair and not problems:
            about = {"case": case, "network": REPORTED.network, "parts": "all"}
            spacing = pair[1].geometry.spacing_mm
            rows += rows_of(about, pair[0].array, pair[1].array, spacing, several(structures))
            predicted_digests += f"{case} {digest(pair[0])}\n"
            reference_digests += f"{case} {digest(pair[1])}\n"
    if problems:
        raise LasslError("\n".join(problems))
    return ScoredFolder(
        cases=pd.DataFrame(rows),
        predictions_sha256=text_hash(predicted_digests),
        references_sha256=text_hash(reference_digests),
        notes=tuple(_notes(predicted, reference, wanted)),
    )


def find_predictions(folder: Path, structures: Structures | None) -> tuple[Masks, list[str]]:
    """The mask files in a folder, and a line for each second file of a case. Raises LasslError if there is none."""
    files, problems = _files(folder)
    if not files:
        raise LasslError(f"{folder}: found no masks; expected a file per case, <CASE>{' or '.join(SUFFIXES)}")
    return Masks(folder, files, structures=structures), problems


def find_references(folder: Path, structures: Structures | None) -> tuple[Masks, list[str]]:
    """As find_predictions, also for a folder of raw scans, whose labels they are then."""
    files, problems = _files(folder)
    forms = [Masks(folder, files, structures=structures)]
    for layout in LAYOUTS:
        labels = {Path(utf8(path.parent)).name: path for path in layout.all(folder, "label")}
        forms.append(Masks(folder, labels, layout, structures))
    forms = [masks for masks in forms if masks.files]
    if len(forms) != 1:
        finding = "found masks in several layouts, expected one of" if forms else "found no masks, expected"
        raise LasslError(
            f"{folder}: {finding} <CASE>.nrrd or <CASE>/label.nrrd (or {', '.join(SUFFIXES[1:])}), <CASE>/laendo.nrrd, "
            "<CASE>/mri_norm2.h5; name a folder of references"
        )
    return forms[0], problems


def _files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Name without suffix -> file with one of SUFFIXES, and a line for each second file of a name."""
    if not folder.is_dir():
        raise LasslError(f"{folder}: folder not found; expected one with a mask per case")
    files: dict[str, Path] = {}
    problems = []
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
        if suffix is None or path.name.startswith(".") or not path.is_file():
            continue
        try:
            first = files.setdefault(Path(utf8(path)).name[: -len(suffix)], path)
        except LasslError as error:
            problems.append(str(error))
            continue
        if first != path:
            problems.append(f"{path}: {first.name} belongs to the same case; keep only one of the two")
    return files, problems


def _absent(predicted: Masks, reference: Masks, wanted: Sequence[str]) -> Iterator[str]:
    """Give a line for each case without a reference or a prediction."""
    for case in wanted:
        if case not in reference.files:
            yield f"{reference.folder}: no reference for case {case}; add it or leave the case out"
        elif case not in predicted.files:
            path = reference.files[case]
            yield f"{predicted.folder}: no prediction for {path}; add it (if the method found nothing, all 0)"


def _read_pair(case: str, predicted: Masks, references: Masks, problems: list[str]) -> tuple[Volume, Volume] | None:
    """Read a case's prediction and reference; if something is wrong, add lines to `problems` and return None."""
    pair = []
    for masks in (predicted, references):
        try:
            pair.append(masks.read(case))
        except LasslError as error:
            problems.append(str(error))
    if len(pair) < 2:
        return None
    prediction, reference = pair
    wrong = list(_pair_problems(predicted.files[case], prediction, reference, references.placed))
    if not reference.array.any():
        why = "none of its voxels has one of the --values" if references.structures else "every voxel is 0"
        wrong.append(f"{references.files[case]}: the reference is empty, {why}; draw it or leave the case out")
    elif reference.array.all():
        wrong.append(f"{references.files[case]}: the reference fills the image; draw it or leave the case out")
    problems += wrong
    return None if wrong else (prediction, reference)


def _pair_problems(path: Path, prediction: Volume, reference: Volume, placed: bool) -> Iterator[str]:
    """Give a line if a prediction is not on its reference's grid; compares the place only if the reference has one."""
    if mismatch := grid_mismatch(prediction, reference, "reference", placed):
        yield f"{path}: {mismatch}; write it on the reference's grid"


def digest(volume: Volume) -> str:
    """Hash of a mask's voxels and place, independent of the file format."""
    head = f"{volume.array.shape} {volume.geometry}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(volume.array).tobytes()).hexdigest()


def _notes(predicted: Masks, references: Masks, wanted: Sequence[str]) -> Iterator[str]:
    """Give a line for what is no error: predictions that nobody asked for, references without a place."""
    if extra := sorted(set(predicted.files) - set(wanted)):
        names = ", ".join(extra[:5])
        yield f"{predicted.folder}: {len(extra)} predictions without a reference were not scored ({names})"
    if not references.placed:
        mm = CHALLENGE_SPACING_MM[0]
        yield f"{references.folder}: h5 has no spacing and place; {mm} mm is taken, and only sizes were compared"
