"""Finds the scans of `lassl predict` in folders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lassl.images import dicom
from lassl.images.names import SUFFIXES
from lassl.plumbing.errors import LasslError
from lassl.predict.scan_files import CASE_LABELS, same_locale, split_name

VOXELS = (".raw", ".zraw")  # files that belong to a .mhd


@dataclass
class Found:
    """Scans of a folder, each with the sub-folder where its files are written; and the files that are not scans."""

    scans: dict[Path, Path] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)


def scans_in(folder: Path, output: Path, channels: Sequence[str] = ()) -> Found:
    """Find all scans in a folder and those below: image files, and folders of DICOM slices.

    A folder that has slices itself is one scan. Labels beside images, hidden files and what is in `output` are none. A
    folder with files of several `channels` has one scan, and no other file is one. Raises LasslError where there are
    none.
    """
    found = Found()
    with same_locale():
        _search(folder, Path(), found, {output.resolve()}, channels)
    if not found.scans:
        names = f"; found {_some(found.others)}" if found.others else ""
        called = f" called {', '.join(channels)}" if len(channels) > 1 else ""
        raise LasslError(
            f"{folder}: found no scans, expected files{called} that end in {', '.join(SUFFIXES)}, or DICOM slices"
            f"{names}"
        )
    return found


def channel_files(folder: Path, channels: Sequence[str]) -> list[Path]:
    """The files, or folders of DICOM slices, of several channels in a folder; none if it has no channel's.

    A channel that is missing has the path where it would be, one in two files has both: reading will tell.
    """
    if len(channels) < 2:
        return []
    here = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    here = [path for path in here if path.is_file() or (path.is_dir() and dicom.holds_slices(path))]
    named = [(channel, [path for path in here if _stem(path).lower() == channel.lower()]) for channel in channels]
    present = [path for _, paths in named for path in paths]
    if not present:
        return []
    suffix = present[0].name[len(_stem(present[0])) :]
    return [path for channel, paths in named for path in paths or [folder / f"{channel}{suffix}"]]


def _stem(path: Path) -> str:
    """The name of an image file without its suffix, or the name of anything else."""
    ending = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(ending)]


def _search(folder: Path, within: Path, found: Found, seen: set[Path], channels: Sequence[str]) -> None:
    """Add the scans of a folder, which is `within` the one that was given; `seen` are folders to be left out."""
    seen.add(folder.resolve())
    together = channel_files(folder, channels)
    if together:
        scan = Path(",".join(map(str, together)))
        found.scans[scan] = within.parent if split_name(scan, channels)[0] == within.name else within
    elif dicom.holds_slices(folder):
        found.scans[folder] = within.parent
        return
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        if name.startswith(".") or name.endswith(VOXELS) or path in together:
            continue
        if path.is_dir():
            if path.resolve() not in seen:
                _search(path, within / path.name, found, seen, channels)
        elif name.endswith(SUFFIXES) and name.split(".")[0] not in CASE_LABELS and len(channels) < 2:
            named_by_folder = split_name(path, channels)[0] == path.parent.name and within.name == path.parent.name
            found.scans[path] = within.parent if named_by_folder else within
        else:
            found.others.append(path)


def _some(paths: Sequence[Path], most: int = 5) -> str:
    """How many files these are, with the names of the first ones."""
    names = ", ".join(path.name for path in paths[:most])
    return f"{len(paths)} other file{'s' * (len(paths) > 1)} ({names}{', ...' * (len(paths) > most)})"


def passed_over(folder: Path, others: Sequence[Path]) -> str:
    """Tell of the files of a folder that are no scans."""
    return f"note: {folder}: passed over {_some(others)}, not scans by their names"
