"""Raw scans as they come, in the challenge's layout, as the field's h5 or as somebody's own, and what can be wrong."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from lassl.images import volumes
from lassl.images.geometry import Array, Geometry, Volume
from lassl.plumbing.errors import LasslError

SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".mha", ".mhd")  # of image files


@dataclass(frozen=True)
class RawLayout:
    """A form in which raw scans come: the names that a case's image and label may have, and how either is read.

    Capitals in names of files make no difference. `read` gives None for what is not there. `raw` scans come as from a
    scanner: they have their place in the patient, and are to be normalized and cropped.
    """

    name: Literal["challenge", "h5", "own"]
    files: Mapping[str, tuple[str, ...]]
    read: Callable[[Path, str], Volume | None]
    raw: bool

    def all(self, folder: Path, key: str) -> list[Path]:
        """Find the images or labels (`key`) of all cases in a folder of raw scans."""
        return sorted(path for path in folder.glob("*/*") if path.name.lower() in self.files[key])

    def file(self, folder: Path, key: str) -> Path:
        """Find a case's image or label, or where it would be. Raises LasslError where there are several."""
        names = self.files[key]
        there = [path for path in folder.glob("*") if path.name.lower() in names and path.is_file()]
        found = sorted(there, key=lambda path: (names.index(path.name.lower()), path.name))
        if len(found) > 1:
            raise LasslError(f"{found[1]}: {found[0].name} is the {key} of the same case; keep one of the two")
        return found[0] if found else folder / self.files[key][0]


def _read_image(path: Path, key: str) -> Volume | None:
    return volumes.read_volume(path) if path.is_file() else None


def _read_h5(path: Path, key: str) -> Volume | None:
    dtype = {"image": "float32", "label": "uint8"}[key]
    if not path.is_file():
        return None
    try:
        with h5py.File(path) as file:
            if key not in file:
                return None
            data = file[key]
            if not isinstance(data, h5py.Dataset) or (data.ndim, data.dtype) != (3, dtype):
                found = f"{data.ndim}-D {data.dtype}" if isinstance(data, h5py.Dataset) else "a group"
                raise LasslError(f"{path}: {key} is {found}; make it a 3-D {dtype} dataset")
            if _lacking(data):
                raise LasslError(f"{path}: parts of the {key} were never written; write it again, whole")
            return Volume(data[()], Geometry(spacing_mm=(0.625, 0.625, 0.625)))  # of all challenge scans; h5 has none
    except (OSError, KeyError, RuntimeError) as error:
        raise LasslError(f"{path}: cannot be read ({error}); copy it again, whole") from None


def _lacking(data: h5py.Dataset) -> bool:
    """Whether voxels of a dataset are not in its file, which are read as zeros."""
    if data.chunks:
        return bool(
            data.id.get_num_chunks() < math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))
        )
    return bool(data.id.get_storage_size() < data.nbytes)


LAYOUTS = (
    RawLayout("challenge", {"image": ("lgemri.nrrd",), "label": ("laendo.nrrd",)}, _read_image, raw=True),
    RawLayout("h5", {"image": ("mri_norm2.h5",), "label": ("mri_norm2.h5",)}, _read_h5, raw=False),
    RawLayout("own", {key: tuple(f"{key}{s}" for s in SUFFIXES) for key in ("image", "label")}, _read_image, raw=True),
)


def find_layout(folder: Path) -> RawLayout:
    """Recognise the form of a folder of raw scans by the files in it. Raises LasslError."""
    layouts = [layout for layout in LAYOUTS if layout.all(folder, "image")]
    if len(layouts) == 1:
        return layouts[0]
    finding = "found several forms of scans, expected one of" if layouts else "found no scans, expected"
    raise LasslError(
        f"{folder}: {finding} <CASE>/lgemri.nrrd with <CASE>/laendo.nrrd, <CASE>/mri_norm2.h5, or <CASE>/image.nrrd "
        f"with <CASE>/label.nrrd (or {', '.join(SUFFIXES[1:])}); run `make la2018` for the real scans, put or link "
        "your folder there, or set data.folder in params.yaml"
    )


def linked(folder: Path, cases: Iterable[str]) -> Iterator[str]:
    """Give a line for each case whose folder is a link: DVC does not look into it, and would miss what changes there.

    A link to the whole folder of scans, and links to single files, are followed.
    """
    for path in (folder / case for case in cases):
        if path.is_symlink():
            yield (
                f"{path}: is a link to a case's folder, in which DVC would miss every change; link the whole folder "
                f"{folder}, or make {path} a folder with links to the single files"
            )


def read_scan(layout: RawLayout, folder: Path, key: str, needed: bool) -> Volume | None:
    """Read a case's image or label (`key`); None if it is not there and not needed. Raises LasslError."""
    path = layout.file(folder, key)
    volume = layout.read(path, key)
    if volume is None and needed:
        who, others = "every" if key == "image" else "a test", layout.files[key][1:]
        also = f" (nor {', '.join(others)})" if others else ""
        raise LasslError(
            f"{path}: no {key}{also}, which {who} case needs; add it or delete the case from the split file"
        )
    return volume


def image_problems(path: Path, image: Array) -> Iterator[str]:
    """Give a line for each problem of an image."""
    if image.dtype.kind not in "iuf":
        yield f"{path}: voxels are {image.dtype}, expected real numbers; export its magnitude"
    elif image.size == 0:
        yield f"{path}: no voxels, size {image.shape}; copy it again"
    elif bad := np.count_nonzero(~np.isfinite(image)):
        yield f"{path}: {bad} voxels are NaN or infinite; export the scan again"
    elif image.min() == image.max():
        yield f"{path}: constant image, every voxel is {image.min()}; export the scan again"


def label_problems(path: Path, label: Volume, image: Volume | None) -> Iterator[str]:
    """Give a line for each problem of a label, by itself and beside its image."""
    if image and label.array.shape != image.array.shape:
        yield f"{path}: size {label.array.shape}, but its image has {image.array.shape}; export the two together"
    elif image and (difference := _difference(label.geometry, image.geometry)):
        yield f"{path}: {difference}; export the two together"
    values = np.unique(label.array.ravel("K")).tolist()
    if not (set(values) <= {0, 1} or set(values) <= {0, 255}):
        yield f"{path}: label values {values[:5]}, expected 0 and 1 or 0 and 255; keep one structure"
    elif not any(values):
        yield f"{path}: empty label, every voxel is 0; draw it, or delete the file to use the case unlabeled"
    elif all(values):
        yield f"{path}: full label, every voxel is {values[0]:g}; draw it, or delete the file to use the case unlabeled"


def _difference(label: Geometry, image: Geometry) -> str:
    """Tell what differs between two geometries beyond the rounding of a text header (mm, cosines), or nothing."""
    for name, found in vars(label).items():
        expected = getattr(image, name)
        if not np.allclose(found, expected, rtol=0, atol=1e-3):
            return f"{name} {tuple(found)}, but its image has {tuple(expected)}"
    return ""
