"""Reads a folder with a DICOM series as one volume, with its slices in order of position."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from lassl.images.geometry import TOLERANCE, Volume
from lassl.images.names import SUFFIXES, utf8
from lassl.images.volumes import ANGLE, volume_of
from lassl.plumbing.errors import LasslError
from lassl.plumbing.progress import tell

# DICOM tags of a slice; axes: direction cosines of its rows and columns
DESCRIPTION, POSITION, AXES = "0008|103e", "0020|0032", "0020|0037"
NUMBER, IMAGES, FRAMES, SPACING = "0020|0013", "0020|1002", "0028|0008", "0028|0030"
ROWS, COLUMNS = "0028|0010", "0028|0011"
TAGS = (DESCRIPTION, POSITION, AXES, NUMBER, IMAGES, FRAMES, SPACING, ROWS, COLUMNS)
NEEDED = {POSITION: "a position", AXES: "axes", SPACING: "the size of their pixels in the patient"}
# tags that must be the same in all slices of a volume
SAME = {ROWS: "numbers of rows", COLUMNS: "numbers of columns", AXES: "axes", SPACING: "spacings of pixels"}
ROUNDINGS = (0.1, 0.01, 0.001)  # mm: DICOM stores positions as text, and scanners round them coarsely
NAME = "name"  # key of a slice's file name, next to its tags
Head = Mapping[str, str]
Places = NDArray[np.float64]  # (slices, 3), mm


def read(folder: Path) -> Volume:
    """Read the only DICOM series of a folder, with values rescaled as given in its slices.

    Notes on stderr if slices may be missing. Raises LasslError unless the folder has exactly one series of several
    complete slices, each in its own file, with equal distances and without tilt.
    """
    files = _series_files(folder)
    _check_others(folder, files)
    try:
        heads = [_head(path) for path in files]
        _check_heads(folder, heads)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(files)
        image = reader.Execute()
        _check_pixels(folder, heads[0], image.GetSpacing())
        places = np.array([_numbers(head[POSITION]) for head in heads])
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise LasslError(f"{folder}: cannot be read ({reason}); expected whole DICOM slices; copy them again") from None
    volume = volume_of(folder, image)
    _check_straight(folder, places, np.reshape(volume.geometry.direction, (3, 3))[:, 2])
    _note_numbers(folder, heads)
    _check_even(folder, places)
    return volume


def holds_slices(folder: Path) -> bool:
    """Whether a folder itself, not one within it, has DICOM slices."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != "DICOMDIR"]
    if any(_is_dicom(path) for path in files):
        return True
    if not files or any(path.name.lower().endswith(SUFFIXES) for path in files):
        return False
    return bool(sitk.ImageSeriesReader.GetGDCMSeriesIDs(utf8(folder)))  # slices without the mark of DICOM files


def _series_files(folder: Path) -> Sequence[str]:
    """Paths of the slices of the only series, in order of position. Raises LasslError."""
    reader = sitk.ImageSeriesReader()
    series = reader.GetGDCMSeriesIDs(utf8(folder))
    if not series:
        raise LasslError(f"{folder}: found no DICOM series, expected one; give the folder that contains its slices")
    files: dict[str, Sequence[str]] = {name: reader.GetGDCMSeriesFileNames(utf8(folder), name) for name in series}
    for path in chain(*files.values()):
        utf8(path)
    if len(series) > 1:
        names = ", ".join(f"{_description(paths[0])} ({len(paths)} files)" for paths in files.values())
        raise LasslError(f"{folder}: found {len(series)} DICOM series, expected one: {names}; use one folder for each")
    return files[series[0]]


def _head(path: str) -> Head:
    """The NAME of a file, and those of the TAGS that it has."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    reader.ReadImageInformation()
    return {NAME: Path(path).name, **{t: reader.GetMetaData(t).strip() for t in TAGS if reader.HasMetaDataKey(t)}}


def _description(path: str) -> str:
    """The name of a slice's series."""
    name = _head(path).get(DESCRIPTION)
    return f"'{name}'" if name else f"that of {Path(path).name}"


def _check_others(folder: Path, read: Sequence[str]) -> None:
    """Raise LasslError for slices that the reader skips, as it does with damaged ones; note other files."""
    expected = {"DICOMDIR", *(Path(path).name for path in read)}
    suffixes = {_suffix(Path(path)) for path in read}
    others = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in expected]
    others = [path for path in others if _is_dicom(path) or not path.name.startswith(".")]
    if damaged := [path.name for path in others if _is_dicom(path) or _suffix(path) in suffixes]:
        raise LasslError(
            f"{folder}: {', '.join(damaged)} cannot be read; expected whole DICOM slices; copy them again, or "
            "remove files that are not slices"
        )
    if others:
        tell(f"note: {folder}: skipped {', '.join(path.name for path in others)}, which are not DICOM slices")


def _suffix(path: Path) -> str:
    """The suffix of a file name; empty if it is a number, as in a name that is a UID."""
    return "" if path.suffix[1:].isdigit() else path.suffix.lower()


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split("\\")]


def _check_heads(folder: Path, heads: Sequence[Head]) -> None:
    """Raise LasslError unless there are several slices, each with one image, a position, and the axes of the first."""
    if frames := next((head[FRAMES] for head in heads if head.get(FRAMES, "1") not in ("", "0", "1")), None):
        raise LasslError(
            f"{folder}: found a multi-frame file ({frames} images), expected one file per slice; export the series "
            "that way, or convert it to NIfTI, for example with dcm2niix"
        )
    if len(heads) == 1:
        raise LasslError(f"{folder}: found a single slice, expected a volume; give the folder of the whole series")
    for key, what in NEEDED.items():
        if not all(head.get(key) for head in heads):
            raise LasslError(f"{folder}: found slices without {what} ({key}); export the series with its geometry")
    for key, what in SAME.items():
        first = heads[0].get(key, "")
        if odd := next((head for head in heads if not _same_numbers(first, head.get(key, ""))), None):
            found = f"several {what} ({first}, but {odd.get(key, 'none')} in {odd[NAME]})"
            raise LasslError(f"{folder}: the slices have {found}, expected one; use one folder for each")


def _same_numbers(one: str, other: str) -> bool:
    """Whether two tags hold the same numbers up to rounding, or are both empty."""
    return one == other or bool(one and other and np.allclose(_numbers(one), _numbers(other), 0, TOLERANCE))


def _check_pixels(folder: Path, head: Head, spacing_mm: tuple[float, ...]) -> None:
    """Raise LasslError if the library read another pixel size than the slices have, as it does with 0."""
    down, *across = _numbers(head[SPACING])
    if len(across) != 1 or not np.allclose([*across, down], spacing_mm[:2], rtol=1e-3, atol=0):
        raise LasslError(
            f"{folder}: found the pixel size {head[SPACING]}, expected two numbers above 0 in mm; export it again"
        )


def _check_straight(folder: Path, places: Places, normal: Places) -> None:
    """Raise LasslError if slices are not stacked perpendicularly, as with a tilted gantry.

    The last slice may be off by the rounding of the cosines (ANGLE), or by the rounding of two positions but at most a
    quarter of the distance between slices.
    """
    way = places[-1] - places[0]
    along = float(way @ normal)
    aside = float(np.linalg.norm(way - along * normal))
    length = float(np.linalg.norm(way))
    if aside > max(ANGLE * length, min(2 * _rounding(places), 0.25 * length / (len(places) - 1))):
        degrees = np.degrees(np.arctan2(aside, abs(along)))
        raise LasslError(
            f"{folder}: the slices are stacked at a tilt of {degrees:.2g} degrees (the last one is off by {aside:.2g} "
            "mm, as with a tilted gantry), expected none; resample the series to a straight grid, as dcm2niix does"
        )


def _check_even(folder: Path, places: Places) -> None:
    """Raise LasslError unless distances between slices are equal; note if they are equal only up to rounding.

    Positions may differ from equally spaced ones by their rounding, but by at most a quarter of the distance, because a
    missing slice shifts at least one other slice by half of it.
    """
    steps = np.diff(places, axis=0)
    gaps = np.linalg.norm(steps, axis=1)
    if gaps.min() > 0 and np.ptp(steps, axis=0).max() <= max(0.01, 0.01 * gaps.min()):
        return
    even, rounding = np.linspace(places[0], places[-1], len(places)), _rounding(places)
    off, distance = float(np.abs(places - even).max()), float(np.linalg.norm(even[1] - even[0]))
    distances = f"distances between its {len(places)} slices go from {gaps.min():.3g} to {gaps.max():.3g} mm"
    if gaps.min() == 0 or off > min(1.001 * rounding, 0.25 * distance):
        raise LasslError(
            f"{folder}: {distances}, expected equal ones; a slice is missing, or there are several images; export the "
            "series again"
        )
    tell(f"note: {folder}: {distances}; treated as equal, because positions are rounded to {rounding:g} mm")


def _rounding(places: Places) -> float:
    """The unit in mm to which all positions are rounded; 0 if it is below a micrometre."""
    return next((unit for unit in ROUNDINGS if np.allclose(places / unit, np.round(places / unit), 0, 1e-4)), 0.0)


def _note_numbers(folder: Path, heads: Sequence[Head]) -> None:
    """Note if the slices' own numbers suggest that one is missing at an end, where it would leave no gap."""
    images = max((int(head[IMAGES]) for head in heads if head.get(IMAGES, "").isdecimal()), default=0)
    numbers = sorted(int(head[NUMBER]) for head in heads if head.get(NUMBER, "").isdecimal())
    many = len(heads)
    if images > many:
        tell(f"note: {folder}: found {many} slices, but they announce {images}; check whether some are missing")
    elif len(numbers) == many and numbers[0] > 1 and numbers[-1] - numbers[0] == many - 1:
        tell(
            f"note: {folder}: the slices are numbered from {numbers[0]} to {numbers[-1]}; check whether earlier ones "
            "are missing"
        )
