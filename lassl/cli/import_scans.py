"""Measures the scans of an nnU-Net or Decathlon folder: grids from the headers, values and extents from the labels."""

import math
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from lassl.cli.import_dataset import Dataset
from lassl.cli.import_files import Files
from lassl.images import nifti
from lassl.images.geometry import Geometry, Triple, difference
from lassl.images.names import NIFTI, utf8
from lassl.images.structures import listed_values
from lassl.images.volumes import read_volume
from lassl.images.whole_files import unpacked
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole
from lassl.plumbing.pool import process_pool
from lassl.plumbing.progress import bar


@dataclass(frozen=True)
class Scan:
    """The grid of a case, and the voxels along x, y, z of the box around all structures of its label, if it has one."""

    size: Triple
    geometry: Geometry
    box: Triple | None = None


def measure(dataset: Dataset, channels: Collection[int]) -> dict[str, Scan]:
    """Measure each case, on all cores. Raises LasslError with a line for each wrong file.

    The chosen channels of a case must have one grid. Labels are read whole: they must lie on the grid of the image and
    have only values that dataset.json names.
    """
    cases = dataset.labeled | dataset.unlabeled
    with process_pool(__name__) as pool:
        work = pool.map(partial(_measured, dataset=dataset, channels=[*channels]), cases.values())
        found = list(bar(work, "import", "case", len(cases)))
    if problems := [line for line in found if isinstance(line, str)]:
        raise LasslError("\n".join(problems))
    return {case: scan for case, scan in zip(cases, found, strict=True) if isinstance(scan, Scan)}


def _measured(files: Files, dataset: Dataset, channels: Collection[int]) -> Scan | str:
    """A case, or what is wrong with it."""
    try:
        first, *others = dict.fromkeys(dataset.image(files, channel) for channel in channels)
        size, geometry = _grid(first, len(dataset.channels) if dataset.together(files) else 1, dataset.path)
        for path in others:
            _check_grid(path, size, geometry, dataset, first.name)
        return Scan(size, geometry, _box(files.label, size, geometry, dataset) if files.label else None)
    except LasslError as error:
        return str(error)


def _grid(path: Path, channels: int, described: Path) -> tuple[Triple, Geometry]:
    """The number of voxels and the place from a header. Raises LasslError for another number of channels."""
    try:
        size, geometry = nifti.read_grid(path) if path.name.lower().endswith(NIFTI) else _grid_by_sitk(path)
    except (RuntimeError, OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split("\n")[-1].split())
        raise LasslError(f"{path}: cannot be read ({reason}); expected a complete image file; copy it again") from None
    found = math.prod(size[3:])
    if len(size) < 3 or found != channels:
        raise LasslError(
            f"{path}: found a {len(size)}-D image with {found} channel(s), expected 3-D with {channels}, as "
            f"{described} says; correct channel_names (or modality), or the file"
        )
    return (size[0], size[1], size[2]), geometry


def _grid_by_sitk(path: Path) -> tuple[list[int], Geometry]:
    """The number of voxels along every axis, then that of numbers in a voxel; and the place."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(utf8(path))
    reader.ReadImageInformation()
    axes, numbers = reader.GetDimension(), reader.GetNumberOfComponents()
    direction = np.reshape(reader.GetDirection(), (axes, axes))[:3, :3]
    geometry = Geometry(reader.GetSpacing()[:3], reader.GetOrigin()[:3], tuple(direction.ravel().tolist()))
    return [*reader.GetSize(), *([numbers] if numbers > 1 else [])], geometry


def _check_grid(path: Path, size: Triple, geometry: Geometry, dataset: Dataset, other: str) -> None:
    """Raise LasslError if a file has another grid than an `other` one."""
    found, place = _grid(path, 1, dataset.path)
    if found != size or (key := difference(place, geometry)):
        values = (found, size) if found != size else (vars(place)[key], vars(geometry)[key])
        what = "size" if found != size else key
        raise LasslError(f"{path}: found {what} {values[0]}, but {other} has {values[1]}; export the two together")


def _box(path: Path, size: Triple, geometry: Geometry, dataset: Dataset) -> Triple:
    """The sides of the box around all structures of a label. Raises LasslError for another grid or other values."""
    _check_grid(path, size, geometry, dataset, "its image")
    label = read_volume(path).array
    known = {0, *chain.from_iterable(dataset.structures.values())}
    if not set(np.unique(label).tolist()) <= known:
        raise LasslError(
            f"{path}: found label values {listed_values(label)}, expected those of {dataset.path}, {sorted(known)}; "
            "name them there, or correct the label"
        )
    if not label.any():
        raise LasslError(f"{path}: every voxel is 0; draw the label, or move the image to imagesTs and delete this")
    x, y, z = (side.stop - side.start for side in ndimage.find_objects((label > 0).view(np.uint8))[0])
    return x, y, z


def write_channel(path: Path, channel: int, target: Path) -> None:
    """Write a channel of a 4-D NIfTI file as a file of its own. Raises LasslError if it cannot be read as one."""
    from nibabel.nifti1 import Nifti1Image

    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            image: Any = Nifti1Image.from_bytes(bytes(unpacked(path, file)) if packed else file.read())
        part = image.slicer[..., channel]
        scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    except Exception as error:  # nibabel's have nothing in common
        raise LasslError(
            f"{path}: cannot be read ({' '.join(str(error).split())}), expected a complete 4-D NIfTI file, as it has "
            "several channels; copy it again, or write each channel as a file of its own (_0000, _0001)"
        ) from None
    if scaled:
        part.set_data_dtype(np.float32)  # voxels are scaled here, and need not be whole numbers
    with whole(target) as temporary:
        part.to_filename(temporary)
