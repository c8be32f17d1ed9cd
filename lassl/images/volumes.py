"""Reads and writes image files: NRRD, NIfTI and MetaImage."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lassl.images import headers, nifti
from lassl.images.geometry import TOLERANCE, Geometry, Volume, grid_mismatch
from lassl.images.names import NIFTI, SUFFIXES, utf8
from lassl.images.whole_files import read_voxels
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole

if TYPE_CHECKING:
    import SimpleITK as sitk

NRRD, META_IMAGE = ("NrrdImageIO", headers.nrrd), ("MetaImageIO", headers.metaimage)
# by suffix: SimpleITK's name of a format, and the function that parses the header for what SimpleITK does not check
FORMATS = {".nrrd": NRRD, ".nhdr": NRRD, ".mha": META_IMAGE, ".mhd": META_IMAGE}
ANGLE = 2 * TOLERANCE  # between axes, in radians: the rounding of both


def read_volume(path: Path) -> Volume:
    """Read an image file: NRRD, NIfTI or MetaImage. This function reads all image files except DICOM.

    Raises LasslError if the file is cut or damaged, if its header defines no place, two different places or lengths in
    another unit than mm, or if it is not a 3-D image with one channel and axes at right angles.
    """
    with _readable(path):
        path.open("rb").close()  # the system explains best why a file cannot be opened
        suffix = path.suffix.lower()
        if suffix in FORMATS:
            return _read_by_sitk(path)
        if path.name.lower().endswith(NIFTI):
            volume = nifti.read(path)
            _check_geometry(path, volume.geometry)
            return volume
    raise LasslError(f"{path}: found a file named '{path.name}', expected a name ending in {', '.join(SUFFIXES)}")


def _read_by_sitk(path: Path) -> Volume:
    """Read an NRRD or MetaImage file: its geometry with SimpleITK, its voxels here unless they are written as text."""
    import SimpleITK as sitk  # not needed for the types alone

    form, parse = FORMATS[path.suffix.lower()]
    header = parse(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(utf8(path))
    reader.SetImageIO(form)
    reader.ReadImageInformation()
    _check_kind(path, reader.GetDimension(), reader.GetNumberOfComponents())
    geometry = _geometry_of(reader)
    header.check_spacing(path, geometry.spacing_mm)
    _check_geometry(path, geometry)
    if header.place is None:
        return from_image(reader.Execute())
    kind = sitk.GetArrayViewFromImage(sitk.Image([1, 1, 1], reader.GetPixelID())).dtype  # NumPy's of such an image
    kind = kind.newbyteorder(">" if header.high_first else "<")
    return Volume(read_voxels(path, header.place, kind, reader.GetSize()), geometry)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise LasslError with the reason of SimpleITK or the system if a file cannot be read."""
    try:
        yield
    except (RuntimeError, OSError, ValueError) as error:
        reason = (str(error).strip() or "no reason given").splitlines()[-1]
        raise LasslError(f"{path}: cannot be read ({reason}); expected a complete image file; copy it again") from None


def volume_of(path: Path, image: "sitk.Image") -> Volume:
    """Check and copy an image that was read from a path.

    Raises LasslError unless it is 3-D with one channel, and its axes are at right angles.
    """
    _check_kind(path, image.GetDimension(), image.GetNumberOfComponentsPerPixel())
    _check_geometry(path, _geometry_of(image))
    return from_image(image)


def _check_kind(path: Path, axes: int, channels: int) -> None:
    """Raise LasslError unless an image is 3-D with one channel."""
    if (axes, channels) != (3, 1):
        raise LasslError(
            f"{path}: found a {axes}-D image with {channels} channel(s), expected 3-D with one channel; export it as "
            "one volume"
        )


def _check_geometry(path: Path, geometry: Geometry) -> None:
    """Raise LasslError unless a geometry has finite numbers and axes at right angles."""
    numbers = [*geometry.spacing_mm, *geometry.origin_mm, *geometry.direction]
    if not np.isfinite(numbers).all() or min(geometry.spacing_mm) <= 0:
        raise LasslError(f"{path}: spacing, origin or direction are not valid numbers ({geometry}); export it again")
    axes = np.reshape(geometry.direction, (3, 3))  # columns: the axes
    if (off := np.abs(axes.T @ axes - np.eye(3)).max()) > ANGLE:
        raise LasslError(
            f"{path}: its axes are off by {off:.2g}, expected axes at right angles and of length 1; resample it to a "
            "straight grid, together with its label"
        )


def from_image(image: "sitk.Image") -> Volume:
    """Copy a 3-D SimpleITK image with one channel into a volume."""
    import SimpleITK as sitk

    return Volume(sitk.GetArrayFromImage(image).transpose(2, 1, 0), _geometry_of(image))  # SimpleITK gives (z, y, x)


def stacked(names: Sequence[Path | str], channels: Sequence[Volume]) -> Volume:
    """Put the channels of a scan into one volume (C, X, Y, Z), or give the only one as it is.

    Raises LasslError for channels on different grids, and for complex ones.
    """
    first, *others = channels
    if not others:
        return first
    for name, channel in zip(names, channels, strict=True):
        if mismatch := grid_mismatch(channel, first, f"first channel, {names[0]},"):
            raise LasslError(f"{name}: {mismatch}; resample the channels of a scan to one grid")
        if channel.array.dtype.kind == "c":
            raise LasslError(f"{name}: found {channel.array.dtype} voxels, expected real numbers; export the magnitude")
    return Volume(np.stack([channel.array for channel in channels]), first.geometry)


def _geometry_of(image: Any) -> Geometry:
    """The geometry of a 3-D SimpleITK image, or of a reader that has read a header."""
    return Geometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def to_image(volume: Volume) -> "sitk.Image":
    """Copy a volume into a SimpleITK image."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))  # SimpleITK wants (z, y, x)
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_mm)
    image.SetDirection(volume.geometry.direction)
    return image


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume, compressed, in the format of the path's suffix; the file is whole or absent.

    Raises LasslError if the disk is full.
    """
    import SimpleITK as sitk

    with whole(path) as temporary:
        sitk.WriteImage(to_image(volume), utf8(temporary), useCompression=True)
