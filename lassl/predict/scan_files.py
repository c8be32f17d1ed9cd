"""Anybody's scans on disk: any format, DICOM series too; and the files that are written for them.

A scan of several channels has a file, or a DICOM folder, for each; it is called by their paths with commas between.
"""

import locale
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lassl.data.raw import LAYOUTS
from lassl.images import dicom, volumes
from lassl.images.geometry import Array, Volume, channels_of
from lassl.images.intensities import image_problems
from lassl.images.names import SUFFIXES, utf8
from lassl.images.preview import write_preview
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole

MASK = "mask"
PREVIEW = "preview"
CASE_IMAGES = {name.split(".")[0] for layout in LAYOUTS for name in layout.files["image"]}  # image, lgemri, ...
CASE_LABELS = {name.split(".")[0] for layout in LAYOUTS for name in layout.files["label"]} - CASE_IMAGES


def files_of(scan: Path) -> list[Path]:
    """The files of a scan: itself, or one for each channel. Names of files may have commas, too."""
    files, parts = [], str(scan).split(",")
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((n for n in ends if Path(",".join(parts[:n])).exists()), 1)
        files.append(Path(",".join(parts[:end])))
        parts = parts[end:]
    return files


def split_name(scan: Path, channels: Sequence[str] = ()) -> tuple[str, str]:
    """Split a scan's name into what files made from it are called and their suffix. Raises LasslError.

    A DICOM folder gives its own name, the link's if it is one. So does the folder of a file that is called as in every
    case's folder (CASE_IMAGES, `channels`). Of several files the first gives the name.
    """
    utf8(scan)
    scan = files_of(scan)[0]
    here = Path(os.path.abspath(scan))  # without following links
    of_cases = CASE_IMAGES | {channel.lower() for channel in channels}
    if scan.is_dir():
        case = here.name.lower() in {channel.lower() for channel in channels} and here.parent.name
        return case or here.name, ".nrrd"
    for suffix in SUFFIXES:
        if scan.name.lower().endswith(suffix) and len(scan.name) > len(suffix):
            stem = scan.name[: -len(suffix)]
            return (here.parent.name or stem) if stem.lower() in of_cases else stem, suffix
    if not scan.exists():
        raise _missing(scan)
    raise LasslError(
        f"{scan}: found a file named '{scan.name}', expected a name that ends in {', '.join(SUFFIXES)}, or a folder "
        "with a DICOM series: export it as one of these"
    )


def output_files(scan: Path, folder: Path, maps: Iterable[str] = (), channels: Sequence[str] = ()) -> dict[str, Path]:
    """Name the files of a scan in `folder`: that of each map, a PNG for PREVIEW, and last MASK's. Raises LasslError."""
    name, suffix = split_name(scan, channels)
    files = {kind: folder / (f"{name}.png" if kind == PREVIEW else f"{name}-{kind}{suffix}") for kind in maps}
    return {**files, MASK: folder / f"{name}{suffix}"}


def check_outputs(planned: Mapping[Path, Mapping[str, Path]]) -> None:
    """Raise LasslError, with a line for each, where files of two scans would have one name."""
    owner: dict[Path, Path] = {}
    problems = []
    for scan, files in planned.items():
        for path in files.values():
            other = owner.setdefault(path, scan)
            if other != scan:
                problems.append(f"{path}: would be written for {other} and for {scan}; give one another name, or -o")
    if problems:
        raise LasslError("\n".join(problems))


def check_inputs_stay(files: Mapping[str, Path], scans: Iterable[Path]) -> None:
    """Raise LasslError where a file that is to be written is one of the scans that are read."""
    inputs = {path.resolve() for scan in scans for path in files_of(scan)}
    for path in files.values():
        if path.resolve() in inputs:
            raise LasslError(f"{path}: is one of the scans and would be overwritten; give another folder with -o")


def make_folder(folder: Path) -> None:
    """Make a folder for files, if it is not there. Raises LasslError where it cannot be written to."""
    utf8(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise LasslError(f"{folder}: cannot be written to ({error.strerror}); give another folder with -o") from None


def read_scan(scan: Path) -> Volume:
    """Read a scan (X, Y, Z), as its numbers are: an image file, or a folder with one DICOM series.

    Of several channels it is (C, X, Y, Z). Raises LasslError, also for voxels of no use (all the same, or not finite)
    and for channels on different grids.
    """
    paths = files_of(scan)
    return volumes.stacked(paths, [_read(path) for path in paths])


def _read(scan: Path) -> Volume:
    split_name(scan)  # refuses other formats
    if not scan.exists():
        raise _missing(scan)
    with same_locale():
        volume = dicom.read(scan) if scan.is_dir() else volumes.read_volume(scan)
    if problems := list(image_problems(scan, volume.array)):
        raise LasslError("\n".join(problems))
    return volume


def _missing(scan: Path) -> LasslError:
    return LasslError(f"{scan}: not found; expected a scan's file, or a folder with a DICOM series: check the path")


@contextmanager
def same_locale() -> Iterator[None]:
    """Keep the process's locale: the DICOM library leaves it at C, and text would be read and written as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def write_output(path: Path, volume: Volume) -> None:
    """Write a mask or map (X, Y, Z) in the format of the path's suffix.

    It is one file, whole or absent. Raises LasslError.
    """
    with _writing(path):
        if path.suffix == ".mhd":  # as .mha, the header and the voxels are one file, which every reader of .mhd takes
            with whole(path) as temporary:
                volumes.write_volume(temporary.with_suffix(".mha"), volume)
                temporary.with_suffix(".mha").rename(temporary)
        else:
            volumes.write_volume(path, volume)


def write_picture(path: Path, scan: Volume, mask: Array, values: Sequence[int]) -> None:
    """Write the preview of a scan (its first channel) and its mask (X, Y, Z), a PNG, whole or absent.

    `values` are those of the structures in the mask. Raises LasslError.
    """
    with _writing(path):
        write_preview(path, Volume(channels_of(scan.array)[0], scan.geometry), mask, values)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise LasslError with what SimpleITK or the system says of a file that cannot be written."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise LasslError(f"{path}: cannot be written ({reason}); see to its folder and run the same again") from None
