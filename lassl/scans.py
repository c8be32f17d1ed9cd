"""Raw scans as they come, in the challenge's layout or as the field's h5, and what can be wrong with one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from lassl import volumes
from lassl.errors import LasslError
from lassl.volumes import Array, Geometry, Volume


@dataclass(frozen=True)
class Door:
    """A form in which raw scans come: a case's file for image and label, and how either is read (None: not there)."""

    name: Literal["challenge", "h5"]
    files: dict[str, str]
    read: Callable[[Path, str], Volume | None]


def _read_nrrd(path: Path, key: str) -> Volume | None:
    return volumes.read(path) if path.is_file() else None


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
            return Volume(data[()], Geometry(spacing_mm=(0.625, 0.625, 0.625)))  # of all challenge scans; h5 has none
    except (OSError, KeyError, RuntimeError) as error:
        raise LasslError(f"{path}: cannot be read ({error}); copy it again, whole") from None


DOORS = (
    Door("challenge", {"image": "lgemri.nrrd", "label": "laendo.nrrd"}, _read_nrrd),
    Door("h5", {"image": "mri_norm2.h5", "label": "mri_norm2.h5"}, _read_h5),
)


def find_door(folder: Path) -> Door:
    """Recognise the form of a folder of raw scans by the files in it. Raises LasslError."""
    doors = [door for door in DOORS if any(folder.glob(f"*/{door.files['image']}"))]
    if len(doors) == 1:
        return doors[0]
    finding = "found both forms of scans, expected one of" if doors else "found no scans, expected"
    raise LasslError(
        f"{folder}: {finding} <CASE>/lgemri.nrrd with <CASE>/laendo.nrrd, or <CASE>/mri_norm2.h5; run `make la2018` "
        "for the real scans, put or link your folder there, or set data.folder in params.yaml"
    )


def read_scan(door: Door, folder: Path, key: str, needed: bool) -> Volume | None:
    """Read a case's image or label (`key`); None if it is not there and not needed. Raises LasslError."""
    path = folder / door.files[key]
    volume = door.read(path, key)
    if volume is None and needed:
        who = "every" if key == "image" else "a test"
        raise LasslError(f"{path}: no {key}, which {who} case needs; add it or delete the case from the split file")
    return volume


def image_problems(path: Path, image: Array) -> Iterator[str]:
    """Give a line for each problem of an image."""
    if image.size == 0:
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


def _difference(label: Geometry, image: Geometry) -> str:
    """Tell what differs between two geometries beyond the rounding of a text header (mm, cosines), or nothing."""
    for name, found in vars(label).items():
        expected = getattr(image, name)
        if not np.allclose(found, expected, rtol=0, atol=1e-3):
            return f"{name} {tuple(found)}, but its image has {tuple(expected)}"
    return ""
