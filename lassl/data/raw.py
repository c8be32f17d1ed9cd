"""Raw scans in one of three layouts (the challenge's, the field's h5, or your own), and checks of them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lassl.images import volumes
from lassl.images.geometry import Array, Geometry, Volume, channels_of
from lassl.images.intensities import Limits, image_problems
from lassl.images.names import SUFFIXES, similar
from lassl.plumbing.errors import LasslError
from lassl.settings.values import CHANNELS

if TYPE_CHECKING:
    import h5py

# voxel size of all scans of the 2018 Atrial Segmentation Challenge; the field's h5 files do not contain it
CHALLENGE_SPACING_MM = (0.625, 0.625, 0.625)
IMAGE, LABEL = "lgemri.nrrd", "laendo.nrrd"  # of the challenge, and of phantoms


@dataclass(frozen=True)
class RawLayout:
    """A layout of raw scans: the possible names of a case's image and label, and how to read them.

    `files` has the names for "image" and "label" in lower case; case does not matter. With other `channels` their names
    are in the place of "image". `read` takes a path and one of these keys, and returns None if nothing exists there.
    `raw` scans are as from a scanner: they have their place in the patient, and still have to be normalized and
    cropped.
    """

    name: Literal["challenge", "h5", "own"]
    files: Mapping[str, tuple[str, ...]]
    read: Callable[[Path, str], Volume | None]
    raw: bool
    channels: tuple[str, ...] = CHANNELS

    def all(self, folder: Path, key: str) -> list[Path]:
        """Find the images or labels (`key`) of all cases in a folder of raw scans."""
        return sorted(path for path in folder.glob("*/*") if path.name.lower() in self.files[key])

    def file(self, folder: Path, key: str) -> Path:
        """Find a case's image or label, or the path where it would be.

        Raises LasslError if there are several, if the entry with the name is not a file, or if only a similar name
        exists: such a case would silently count as unlabeled.
        """
        names, entries = self.files[key], sorted(folder.glob("*"))
        candidates = [path for path in entries if path.name.lower() in names]
        candidates.sort(key=lambda path: (names.index(path.name.lower()), path.name))
        if wrong := next((path for path in candidates if not path.is_file()), None):
            found = "a folder" if wrong.is_dir() else "a link to nothing" if wrong.is_symlink() else "not a file"
            raise LasslError(
                f"{wrong}: found {found}, expected the file of the {key}; put the file there, or remove this entry"
            )
        if len(candidates) > 1:
            first, second = candidates[:2]
            raise LasslError(f"{second}: {first.name} is also the {key} of this case; keep only one of the two")
        known = {name for names in self.files.values() for name in names}
        strangers = [path.name for path in entries if path.name.lower() not in known]
        if not candidates and (near := similar(strangers, names[0].split(".")[0], key)):
            raise LasslError(f"{folder / near}: unknown file name, expected {', '.join(names)}; {cure(key)}")
        return candidates[0] if candidates else folder / names[0]


def cure(key: str) -> str:
    """Say what to do with an image or label (`key`) under an unknown name."""
    unless = ", or, if the case is meant to be unlabeled, write none in the column label of the split file"
    return f"rename it{unless if key == 'label' else ', or remove it'}"


def _read_image(path: Path, key: str) -> Volume | None:
    return volumes.read_volume(path) if path.is_file() else None


def _read_h5(path: Path, key: str) -> Volume | None:
    import h5py  # not needed for the other layouts

    dtype = {"image": "float32", "label": "uint8"}[key]
    if not path.is_file():
        return None
    try:
        with h5py.File(path) as file:
            if key not in file:
                if near := similar(file, key):
                    raise LasslError(f"{path}: found '{near}', expected '{key}'; {cure(key)}")
                return None
            data = file[key]
            if not isinstance(data, h5py.Dataset) or (data.ndim, data.dtype) != (3, dtype):
                kind = f"{data.ndim}-D {data.dtype}" if isinstance(data, h5py.Dataset) else "a group"
                raise LasslError(f"{path}: {key} is {kind}, expected a 3-D {dtype} dataset; write it as one")
            if _is_incomplete(data):
                raise LasslError(f"{path}: parts of the {key} were never written; write the complete file again")
            return Volume(data[()], Geometry(CHALLENGE_SPACING_MM))
    except (OSError, KeyError, RuntimeError) as error:
        raise LasslError(f"{path}: cannot be read ({error}); copy the complete file again") from None


def _is_incomplete(data: "h5py.Dataset") -> bool:
    """Whether some voxels of a dataset were never written to its file; they would be read as zeros."""
    if data.chunks:
        return bool(
            data.id.get_num_chunks() < math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))
        )
    return bool(data.id.get_storage_size() < data.nbytes)


LAYOUTS = (
    RawLayout("challenge", {"image": (IMAGE,), "label": (LABEL,)}, _read_image, raw=True),
    RawLayout("h5", {"image": ("mri_norm2.h5",), "label": ("mri_norm2.h5",)}, _read_h5, raw=False),
    RawLayout("own", {key: tuple(f"{key}{s}" for s in SUFFIXES) for key in ("image", "label")}, _read_image, raw=True),
)


def own_layout(channels: tuple[str, ...]) -> RawLayout:
    """Our own layout, with an image file for each channel."""
    files = {key: tuple(f"{key}{suffix}".lower() for suffix in SUFFIXES) for key in (*channels, "label")}
    return RawLayout("own", files, _read_image, raw=True, channels=channels)


def find_layout(folder: Path, channels: tuple[str, ...] = CHANNELS) -> RawLayout:
    """Recognize the layout of a folder of raw scans by its files. Raises LasslError for none or several.

    Other channels than the usual one are there in our own layout alone.
    """
    layouts = [layout for layout in LAYOUTS if layout.all(folder, "image")]
    if channels != CHANNELS:
        layout = own_layout(channels)
        if any(layout.all(folder, key) for key in channels):
            return layout
        found = f"{layouts[0].all(folder, 'image')[0].name} of each case" if layouts else "no such scans"
        raise LasslError(
            f"{folder}: data.channels: found {found}, expected {_files_of(channels)} (or {', '.join(SUFFIXES[1:])}); "
            "put or link the files there, or leave data.channels out"
        )
    if len(layouts) == 1:
        return layouts[0]
    finding = "found scans in several layouts, expected one of" if layouts else "found no scans, expected"
    raise LasslError(
        f"{folder}: {finding} <CASE>/lgemri.nrrd with <CASE>/laendo.nrrd, <CASE>/mri_norm2.h5, or <CASE>/image.nrrd "
        f"with <CASE>/label.nrrd (or {', '.join(SUFFIXES[1:])}); run `make la2018` to download the real scans, put or "
        "link your folder there, or set data.folder in params.yaml; if images have other names, set data.channels"
    )


def _files_of(channels: Sequence[str]) -> str:
    return " with ".join(f"<CASE>/{channel}{SUFFIXES[0]}" for channel in channels)


def linked(folder: Path, cases: Iterable[str]) -> Iterator[str]:
    """Give a line for each case whose folder is a link: DVC does not follow it and would miss changes there.

    DVC does follow a link to the whole folder of scans, and links to single files.
    """
    for path in (folder / case for case in cases):
        if path.is_symlink():
            yield (
                f"{path}: found a link to a case folder, in which DVC would miss every change; link the whole folder "
                f"{folder} instead, or make {path} a folder with links to single files"
            )


def read_scan(layout: RawLayout, folder: Path, key: str, needed: bool) -> Volume | None:
    """Read a case's channel, "image" or "label" (`key`) from its folder; None if it is missing and not needed.

    Raises LasslError if it is needed but missing, or if it cannot be read.
    """
    path = layout.file(folder, key)
    volume = layout.read(path, key)
    if volume is None and needed:
        who, others = "a test" if key == "label" else "every", layout.files[key][1:]
        also = f" (nor {', '.join(others)})" if others else ""
        raise LasslError(
            f"{path}: {key} not found{also}, but {who} case needs it; add it or delete the case from the split file"
        )
    return volume


def read_image(layout: RawLayout, folder: Path) -> Volume:
    """Read a case's image from its folder, of several channels (C, X, Y, Z).

    Raises LasslError if a file is missing or cannot be read, and for channels on different grids.
    """
    volumes_of = [read_scan(layout, folder, key, True) for key in layout.channels]
    paths = [layout.file(folder, key) for key in layout.channels]
    return volumes.stacked(paths, [volume for volume in volumes_of if volume])


def channel_problems(layout: RawLayout, folder: Path, image: Array, clip: Limits | None) -> Iterator[str]:
    """Give a line for the first problem of each channel of an image, see `image_problems`."""
    for key, channel in zip(layout.channels, channels_of(image), strict=True):
        yield from image_problems(layout.file(folder, key), channel, clip)


def only_phantoms(folder: Path) -> bool:
    """Whether a folder contains only files as written by `phantom`, with their names and grid."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return all(path.parent.parent == folder and path.name in (IMAGE, LABEL) and _on_our_grid(path) for path in paths)


def _on_our_grid(path: Path) -> bool:
    """Whether an image has the spacing of phantoms and the origin 0, which no scanner writes."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return False
    return (reader.GetSpacing(), reader.GetOrigin()) == (CHALLENGE_SPACING_MM, (0.0, 0.0, 0.0))
