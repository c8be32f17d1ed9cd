"""Reads NIfTI files with nibabel: all voxels, with one place in mm on which all readers agree."""

import gzip
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.whole_files import array_of, check_unit, damaged, unpacked
from lassl.plumbing.errors import LasslError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

APART = 0.25  # share of a voxel's smallest side by which the rounding of a header's float32 may move a voxel
LONGEST = 540  # bytes of a header
TYPES = (2, 4, 8, 16, 32, 64, 256, 512, 768, 1024, 1280, 1792)  # codes of a single number's types, complex ones too
UNITS = {0: "", 1: "metres", 2: "mm", 3: "micrometres"}  # by the lowest three bits of xyzt_units
Affine = NDArray[np.float64]  # (3, 4): voxel -> mm towards the patient's right, front and head


def read(path: Path) -> Volume:
    """Read a single NIfTI file, gzipped or not, with its scaling applied.

    Raises LasslError if the file is cut or damaged, is not 3-D, does not define one place in mm, or has numbers out of
    range in its header.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        content = unpacked(path, file) if packed else bytearray(file.read())
    header = _header(path, content)
    _check_numbers(path, header)
    size = [int(n) for n in header["dim"][1 : header["dim"][0] + 1]]
    while len(size) > 3 and size[-1] == 1:  # a series in time of one image
        size.pop()
    if len(size) != 3:
        raise LasslError(f"{path}: found a {len(size)}-D image, expected 3-D with one channel; export it as one volume")
    array = array_of(path, content, int(header["vox_offset"]), header.get_data_dtype(), size)
    return Volume(_scaled(header, array), _geometry(path, header, size))


def read_grid(path: Path) -> tuple[list[int], Geometry]:
    """Read the number of voxels along every axis, of which there may be more than three, and the place of the first.

    Reads no voxels. Raises LasslError as `read` does, and OSError, EOFError or zlib.error for a damaged file.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        header = _header(path, bytearray(file.read(LONGEST)))
    _check_numbers(path, header)
    size = [int(n) for n in header["dim"][1 : header["dim"][0] + 1]]
    return size, _geometry(path, header, [*size, 1, 1][:3])


def _header(path: Path, content: bytearray) -> "Nifti1Header":
    """The unchanged header of a file, in either byte order. Raises LasslError if there is none."""
    from nibabel.nifti1 import Nifti1Header  # not needed for other formats
    from nibabel.nifti2 import Nifti2Header

    kinds: tuple[type[Nifti1Header], ...] = (Nifti1Header, Nifti2Header)
    for kind in kinds:
        length = kind.template_dtype.itemsize
        if len(content) >= length:
            header = kind(bytes(content[:length]), check=False)  # a check would change some numbers, with a note
            if header["sizeof_hdr"] == length and header["magic"] == kind.single_magic:
                return header
    raise damaged(path, "it does not have the header of a single NIfTI file")


def _check_numbers(path: Path, header: "Nifti1Header") -> None:
    """Raise LasslError for a number out of range, which each reader interprets differently."""
    dim, sides, offset = header["dim"], header["pixdim"][1:4], float(header["vox_offset"])
    slope, inter = header["scl_slope"], header["scl_inter"]
    in_range = {
        "dim": (1 <= dim[0] <= 7 and (dim[1 : dim[0] + 1] > 0).all(), "1 to 7 axes with at least one voxel each"),
        "datatype": (header["datatype"] in TYPES, "a type with one number of 1 to 8 bytes per voxel"),
        "vox_offset": (
            offset >= header.single_vox_offset and offset.is_integer(),
            f"a whole number of at least {header.single_vox_offset}",
        ),
        "pixdim": ((np.isfinite(sides) & (sides > 0)).all(), "sizes above 0 after the first"),
        "scl_inter": (np.isfinite(inter) or slope == 0 or not np.isfinite(slope), "a number"),  # else it is not used
    }
    for field, (good, expected) in in_range.items():
        if not good:
            found = " ".join(f"{n:g}" for n in header[field].ravel())
            raise LasslError(f"{path}: found {field} {found} in its header, expected {expected}; export it again")


def _scaled(header: "Nifti1Header", array: Array) -> Array:
    """Scale voxels by slope and intercept: float64 stays so, other types become float32; unchanged without a scale."""
    slope, inter = header.get_slope_inter()
    if slope is None or (slope, inter) == (1, 0) or array.dtype.kind == "c":
        return array
    with np.errstate(over="ignore"):  # to infinity, which the check of voxels reports
        scaled: Array = array * np.float64(slope) + inter
        return scaled.astype(np.float64 if array.dtype == np.float64 else np.float32)


def _geometry(path: Path, header: "Nifti1Header", size: Sequence[int]) -> Geometry:
    """The place of the voxels. Raises LasslError if there is none in mm, or if there are two that differ.

    If sform and qform differ only by rounding, SimpleITK's choice is used: the sform if its code is that of the
    scanner, else the qform.
    """
    unit = int(header["xyzt_units"]) & 7
    check_unit(path, UNITS.get(unit, f"unit {unit}"))
    sides = header["pixdim"][1:4].astype(float)
    forms = _forms(path, header)
    if len(forms) == 2 and (far := _apart(size, *forms.values())):
        raise LasslError(
            f"{path}: its sform and qform put voxels up to {far:.3g} mm apart, and readers disagree on which to use; "
            "keep only the right one, with nibabel image.set_qform(None) or image.set_sform(None), and save it"
        )
    name = "qform" if len(forms) == 2 and header["sform_code"] != 1 else next(iter(forms))
    form = np.diag([-1.0, -1.0, 1.0]) @ forms[name]  # towards left, back and head
    lengths = np.linalg.norm(form[:, :3], axis=0)
    axes = form[:, :3] / np.where(lengths > 0, lengths, 1)
    if far := _apart(size, form, np.column_stack([axes * sides, form[:, 3]])):
        found, declared = (f"{' x '.join(f'{n:.4g}' for n in s)} mm" for s in (sides, lengths))
        raise LasslError(
            f"{path}: its pixdim ({found}) and its {name} ({declared}) put voxels up to {far:.3g} mm apart; save it "
            "again with one spacing, with nibabel Nifti1Image(data, affine)"
        )
    return Geometry(tuple(sides.tolist()), tuple(form[:, 3].tolist()), tuple(axes.ravel().tolist()))


def _forms(path: Path, header: "Nifti1Header") -> dict[str, Affine]:
    """The affines that a header declares, sform first. Raises LasslError if there is none or one is not finite."""
    forms = {"sform": header.get_sform()[:3]} if header["sform_code"] > 0 else {}
    if header["qform_code"] > 0:
        forms["qform"] = _qform(header)
    if not forms:
        raise LasslError(
            f"{path}: its header defines no place (sform_code and qform_code are 0), so a mask would be misplaced; set "
            "the sform, with nibabel image.set_sform(affine, 1), and save it"
        )
    for name, form in forms.items():
        if not np.isfinite(form).all():
            raise LasslError(
                f"{path}: its {name} has values that are not finite numbers; export it again with its place"
            )
    return forms


def _qform(header: "Nifti1Header") -> Affine:
    """The affine from quaternion, offset and pixdim.

    As in the standard's own library, a quaternion made too long by rounding is shortened, and a qfac of 0 counts as 1;
    nibabel's get_qform refuses both.
    """
    from nibabel.quaternions import quat2mat

    vector = np.array([header[f"quatern_{axis}"] for axis in "bcd"], float)
    if not np.isfinite(vector).all():
        return np.full((3, 4), np.nan)
    real = 1 - vector @ vector
    turn = quat2mat([np.sqrt(real) if real > 1e-7 else 0, *vector])  # less is rounding
    sides = header["pixdim"][1:4].astype(float) * (1, 1, -1 if header["pixdim"][0] < 0 else 1)
    affine = np.column_stack([turn * sides, [header[f"qoffset_{axis}"] for axis in "xyz"]])
    return affine.astype(np.float32).astype(float)  # a sform's precision, and that of SimpleITK


def _apart(size: Sequence[int], one: Affine, other: Affine) -> float:
    """The largest distance in mm between a voxel's places under two affines; 0 if it may be rounding (APART)."""
    corners = np.array(list(product(*((0, n - 1) for n in size))))  # (8, 3), in voxels
    far = np.linalg.norm(np.column_stack([corners, np.ones(8)]) @ (one - other).T, axis=1).max()
    side = min(np.linalg.norm(one[:, :3], axis=0).min(), np.linalg.norm(other[:, :3], axis=0).min())
    return float(far) if far > APART * side else 0.0
