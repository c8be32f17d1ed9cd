"""Scans and masks on disk, as arrays with axes (x, y, z) that keep their place in the patient."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lassl.errors import LasslError
from lassl.files import whole

Array = np.ndarray[tuple[int, int, int], np.dtype[Any]]  # axes x, y, z


@dataclass(frozen=True)
class Geometry:
    """Where voxels lie: size of a voxel, centre of voxel (0, 0, 0), and the axes' direction cosines, row by row."""

    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)
    origin_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Volume:
    """An array (X, Y, Z) and its geometry."""

    array: Array
    geometry: Geometry = Geometry()


def read(path: Path) -> Volume:
    """Read any format that SimpleITK knows by its content: NRRD, NIfTI, MetaImage. Raises LasslError."""
    import SimpleITK as sitk  # not needed for the types alone

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LasslError(f"{path}: cannot be read ({reason}); expected a whole image file: copy it again") from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        found = f"{image.GetDimension()}-D with {image.GetNumberOfComponentsPerPixel()} channel(s)"
        raise LasslError(f"{path}: found a {found} image; expected 3-D with one channel: export it as one volume")
    array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)  # SimpleITK gives (z, y, x)
    return Volume(array, Geometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection()))


def write(path: Path, volume: Volume) -> None:
    """Write a volume, compressed, in the format of the path's suffix; the file is whole or absent."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_mm)
    image.SetDirection(volume.geometry.direction)
    with whole(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)
