"""The header of a NIfTI file: how many bytes its voxels take, and where it says that they lie."""

import sys
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lassl.plumbing.errors import LasslError

BYTES = 348  # of the header
FIELDS = np.dtype(
    {
        "names": "dim datatype pixdim offset units qform_code sform_code quaternion qoffset sform magic".split(),
        "formats": "8i2 i2 8f4 f4 u1 i2 i2 3f4 3f4 (3,4)f4 S4".split(),
        "offsets": [40, 70, 76, 108, 123, 252, 254, 256, 268, 280, 344],
        "itemsize": BYTES,
    }
)
# bytes of a voxel by the code of its type
SIZES = {2: 1, 4: 2, 8: 4, 16: 4, 32: 8, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8, 1792: 16, 2304: 4}
APART = 0.25  # of a voxel's smallest side: how far the rounding of a header's float32 may move a voxel
Affine = NDArray[np.float64]  # (3, 4): voxel -> mm towards the patient's right, front and head


@dataclass(frozen=True)
class Header:
    """What is needed of a header.

    Size in voxels along each axis, bytes of all voxels, the byte at which they begin, the code of the unit of length
    (0 unknown, 1 m, 2 mm, 3 micrometres), and the affines that the header declares: sform, qform, both or none.
    """

    shape: tuple[int, ...]
    voxel_bytes: int
    offset: int
    units: int
    forms: dict[str, Affine]


def parse(path: Path, head: bytes) -> Header:
    """Parse the first BYTES bytes of a file, in either byte order.

    Raises LasslError where they are no header of a single NIfTI-1 file.
    """
    kind = FIELDS if head[:4] == BYTES.to_bytes(4, sys.byteorder) else FIELDS.newbyteorder()  # the other order
    fields = np.frombuffer(head, kind)[0] if len(head) == BYTES else None
    if fields is None or fields["magic"] != b"n+1":
        raise LasslError(f"{path}: cannot be read (no header of a single NIfTI-1 file); export it as .nii.gz or .nrrd")
    shape = tuple(max(int(n), 1) for n in fields["dim"][1 : 1 + fields["dim"][0]])
    bytes_each = SIZES.get(int(fields["datatype"]), 0)  # SimpleITK refuses other types
    voxel_bytes = int(np.prod(shape, dtype=np.int64)) * bytes_each
    forms = {"sform": fields["sform"].astype(float)} if fields["sform_code"] > 0 else {}
    if fields["qform_code"] > 0:
        forms["qform"] = _qform(fields)
    return Header(shape, voxel_bytes, max(int(fields["offset"]), BYTES + 4), int(fields["units"]) & 7, forms)


def _qform(fields: np.void) -> Affine:
    """The affine of quaternion, offset and pixdim."""
    from scipy.spatial.transform import Rotation  # only some files need it

    b, c, d = fields["quaternion"].astype(float)
    if not np.isfinite([b, c, d]).all():
        return np.full((3, 4), np.nan)
    real = 1 - (b * b + c * c + d * d)
    turn = Rotation.from_quat([b, c, d, np.sqrt(real) if real > 1e-7 else 0]).as_matrix()  # less is rounding
    sides = fields["pixdim"][1:4].astype(float) * (1, 1, -1 if fields["pixdim"][0] < 0 else 1)
    return np.column_stack([turn * sides, fields["qoffset"].astype(float)])


def check_forms(path: Path, header: Header) -> None:
    """Raise LasslError where a header gives no place, one that is not finite or not in mm, or two different ones."""
    if not header.forms:
        raise LasslError(
            f"{path}: its header gives no place (sform_code and qform_code are 0), so that a mask of it would lie "
            "elsewhere; set its sform, with nibabel image.set_sform(affine, 1), and save it"
        )
    if header.units not in (0, 2):
        unit = {1: "metres", 3: "micrometres"}.get(header.units, f"unit {header.units}")
        raise LasslError(f"{path}: its header is in {unit}, expected mm; write spacing, place and xyzt_units in mm")
    for name, form in header.forms.items():
        if not np.isfinite(form).all():
            raise LasslError(f"{path}: its {name} has values that are no numbers; export it again, with its place")
    for one, other in combinations(header.forms, 2):
        if far := _apart(header, header.forms[one], header.forms[other]):
            raise LasslError(
                f"{path}: its {one} and {other} put voxels up to {far:.3g} mm apart, and readers differ in which they "
                f"take; keep the right one alone, with nibabel image.set_{other}(None) or image.set_{one}(None), and "
                "save it"
            )


def check_read(path: Path, header: Header, affine: Affine) -> None:
    """Raise LasslError where the affine that a file was read with is not the first one that its header declares."""
    name, form = next(iter(header.forms.items()))
    if far := _apart(header, form, affine):
        sides = [f"{' x '.join(f'{n:.4g}' for n in np.linalg.norm(a[:, :3], axis=0))} mm" for a in (affine, form)]
        raise LasslError(
            f"{path}: its pixdim ({sides[0]}) and its {name} ({sides[1]}) put voxels up to {far:.3g} mm apart; save it "
            "anew with one spacing, with nibabel Nifti1Image(data, affine)"
        )


def _apart(header: Header, one: Affine, other: Affine) -> float:
    """The largest distance between a voxel's places by two affines, in mm; 0 for what may be rounding (APART)."""
    corners = np.array(list(product(*((0, n - 1) for n in (*header.shape, 1, 1)[:3]))))  # (8, 3), in voxels
    far = np.linalg.norm(np.column_stack([corners, np.ones(8)]) @ (one - other).T, axis=1).max()
    side = min(np.linalg.norm(one[:, :3], axis=0).min(), np.linalg.norm(other[:, :3], axis=0).min())
    return float(far) if far > APART * side else 0.0
