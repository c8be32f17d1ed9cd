"""Image files: NRRD, NIfTI and MetaImage, read whole and written whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lassl.images import nifti, whole_files
from lassl.images.geometry import TOLERANCE, Geometry, Volume
from lassl.images.names import image_io, utf8
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole

if TYPE_CHECKING:
    import SimpleITK as sitk

ANGLE = 2 * TOLERANCE  # between axes, in radians: the rounding of both


def read_volume(path: Path) -> Volume:
    """Read an image file: NRRD, NIfTI or MetaImage. All image files but DICOM are read by this function.

    Raises LasslError for a file that is cut or damaged, whose header gives no place or two different ones, and that is
    no 3-D image with one channel and axes at right angles.
    """
    import SimpleITK as sitk  # not needed for the types alone

    header = None
    with _readable(path):
        path.open("rb").close()  # the system says best why a file cannot be opened
        form = image_io(path) or sitk.ImageFileReader.GetImageIOFromFileName(utf8(path))
        if form == "NiftiImageIO":
            header = whole_files.check_nifti(path)
            nifti.check_forms(path, header)
        elif form == "NrrdImageIO":
            whole_files.check_nrrd(path)
        elif form == "MetaImageIO":
            whole_files.check_metaimage(path)
        else:
            raise RuntimeError(f"no whole NRRD, NIfTI or MetaImage by name and content{form and f', but {form}'}")
        image = sitk.ReadImage(utf8(path), imageIO=image_io(path))
    volume = volume_of(path, image)
    if header:
        nifti.check_read(path, header, _affine_ras(volume.geometry))
    return volume


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise LasslError with what SimpleITK or the system says of a file that cannot be read."""
    try:
        yield
    except (RuntimeError, OSError, ValueError) as error:
        reason = (str(error).strip() or "no reason given").splitlines()[-1]
        if any(words in str(error) for words in ("orthonormal direction cosines", "Bad direction")):
            raise LasslError(
                f"{path}: its header shears the axes, expected right angles between them; resample it onto a straight "
                "grid, with its label"
            ) from None
        raise LasslError(f"{path}: cannot be read ({reason}); expected a whole image file: copy it again") from None


def volume_of(path: Path, image: "sitk.Image") -> Volume:
    """Check and copy an image that was read from a path.

    Raises LasslError unless it is 3-D with one channel, and its axes are at right angles.
    """
    if (image.GetDimension(), image.GetNumberOfComponentsPerPixel()) != (3, 1):
        kind = f"{image.GetDimension()}-D with {image.GetNumberOfComponentsPerPixel()} channel(s)"
        raise LasslError(f"{path}: found a {kind} image; expected 3-D with one channel: export it as one volume")
    geometry = _geometry_of(image)
    numbers = [*geometry.spacing_mm, *geometry.origin_mm, *geometry.direction]
    if not np.isfinite(numbers).all() or min(geometry.spacing_mm) <= 0:
        raise LasslError(f"{path}: spacing, origin or direction are no numbers ({geometry}); export it again")
    axes = np.reshape(geometry.direction, (3, 3))  # columns: the axes
    if (off := np.abs(axes.T @ axes - np.eye(3)).max()) > ANGLE:
        raise LasslError(
            f"{path}: its axes are not at right angles and of length 1 (off by {off:.2g}), expected them so: resample "
            "it onto a straight grid, with its label"
        )
    return from_image(image)


def from_image(image: "sitk.Image") -> Volume:
    """Copy a 3-D image of SimpleITK, with one channel, into a volume."""
    import SimpleITK as sitk

    return Volume(sitk.GetArrayFromImage(image).transpose(2, 1, 0), _geometry_of(image))  # SimpleITK gives (z, y, x)


def _geometry_of(image: "sitk.Image") -> Geometry:
    return Geometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def to_image(volume: Volume) -> "sitk.Image":
    """Copy a volume into an image of SimpleITK."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))  # SimpleITK wants (z, y, x)
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_mm)
    image.SetDirection(volume.geometry.direction)
    return image


def _affine_ras(geometry: Geometry) -> nifti.Affine:
    """The affine of a geometry, (3, 4), as NIfTI has it: mm towards right, front and head instead of left and back."""
    affine: nifti.Affine = np.diag([-1, -1, 1]) @ np.column_stack([geometry.steps_mm, geometry.origin_mm])
    return affine


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume, compressed, in the format of the path's suffix; the file is whole or absent.

    Raises LasslError when the disk is full.
    """
    import SimpleITK as sitk

    with whole(path) as temporary:
        sitk.WriteImage(to_image(volume), utf8(temporary), useCompression=True)
