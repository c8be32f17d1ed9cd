"""Where a NIfTI scan lies: one place that all readers take, and the mask's too, or none."""

import numpy as np
import pytest
from test_scanfiles import SIZE, numbered

from lassl.images import nifti
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import read_volume
from lassl.plumbing.errors import LasslError
from lassl.predict import scan_files as scanfiles

TURN = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
PLACE = Geometry((1.0, 1.2, 3.0), (10.5, -20.0, 30.0), TURN)
SCAN = Volume(numbered().array, PLACE)


def fields(path) -> np.ndarray:
    return np.frombuffer(path.read_bytes(), nifti.FIELDS, 1).copy()


def change(path, **values) -> None:
    """Set fields of a file's header, the rest stays."""
    found, content = fields(path), path.read_bytes()
    for name, value in values.items():
        found[name] = value
    head = bytearray(content[: nifti.BYTES])
    for name, (kind, at) in ((n, nifti.FIELDS.fields[n][:2]) for n in values):
        head[at : at + kind.itemsize] = found[name].tobytes()
    path.write_bytes(bytes(head) + content[nifti.BYTES :])


@pytest.fixture
def scan(tmp_path):
    scanfiles.write(tmp_path / "scan.nii", SCAN)
    return tmp_path / "scan.nii"


def refused(path) -> str:
    with pytest.raises(LasslError) as error:
        read_volume(path)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))
    return str(error.value)


def sform(**moves: float) -> np.ndarray:
    """The affine of PLACE with what is added to its elements, such as x3=20."""
    axes = np.reshape(TURN, (3, 3)) * PLACE.spacing_mm
    affine = np.diag([-1, -1, 1]) @ np.column_stack([axes, PLACE.origin_mm])
    for name, value in moves.items():
        affine["xyz".index(name[0]), int(name[1])] += value
    return affine


@pytest.mark.parametrize("alone", ["sform", "qform"])
def test_the_mask_of_a_scan_with_one_form_has_its_place_in_both(scan, alone):
    if alone == "sform":
        change(scan, qform_code=0, quaternion=0, qoffset=7, sform_code=2, sform=sform(z3=20))
    else:
        change(scan, sform_code=0, sform=0)
    expected = sform(z3=20 * (alone == "sform"))
    found = read_volume(scan)
    scanfiles.write(scan.with_name("mask.nii"), Volume(np.ones(SIZE, np.uint8), found.geometry))
    header = nifti.parse(scan, scan.with_name("mask.nii").read_bytes()[: nifti.BYTES])
    assert set(header.forms) == {"sform", "qform"}
    for form in header.forms.values():
        np.testing.assert_allclose(form, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("moves", "far"),
    [({"z3": 20}, "20 mm"), ({"z0": 0.1}, "0.6 mm"), ({"x2": 0.3}, "1.2 mm"), ({"x3": -0.3}, "0.3 mm")],
)
def test_two_forms_that_disagree_are_refused_with_how_far(scan, moves, far):
    change(scan, sform=sform(**moves))
    told = refused(scan)
    assert f"its sform and qform put voxels up to {far} apart, and readers differ in which they take; keep" in told
    change(scan, qform_code=0)
    if set(moves) <= {"z3", "x3"}:
        assert read_volume(scan).geometry.origin_mm != PLACE.origin_mm


def test_two_forms_that_differ_by_the_rounding_of_a_header_are_one(scan):
    change(scan, sform=np.round(sform(), 3) + 4e-4)
    np.testing.assert_allclose(read_volume(scan).geometry.origin_mm, PLACE.origin_mm, atol=1e-3)


def test_a_sheared_form_is_called_so(scan):
    change(scan, qform_code=0, sform=sform(x2=0.3))
    assert "its header shears the axes, expected right angles between them" in refused(scan)
    assert refused(scan).endswith("resample it onto a straight grid, with its label")


@pytest.mark.parametrize("pixdim", [(1, 1, 1.2, 2.5, 0, 0, 0, 0), (1, -1, 1.2, 3, 0, 0, 0, 0)])
def test_a_form_of_another_spacing_than_the_pixdim_is_refused(scan, pixdim):
    change(scan, qform_code=0, pixdim=pixdim)
    assert "its pixdim (" in refused(scan) and ") and its sform (1 x 1.2 x 3 mm) put voxels up to" in refused(scan)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"sform_code": 0, "qform_code": 0}, "its header gives no place (sform_code and qform_code are 0)"),
        ({"units": 1}, "its header is in metres, expected mm"),
        ({"units": 3}, "its header is in micrometres, expected mm"),
        ({"qoffset": (np.nan, 0, 0)}, "its qform has values that are no numbers"),
        ({"quaternion": np.inf}, "its qform has values that are no numbers"),
        ({"sform": np.nan}, "its sform has values that are no numbers"),
        ({"magic": b"ni1"}, "no header of a single NIfTI-1 file); export it as .nii.gz or .nrrd"),
    ],
)
def test_a_header_without_one_place_in_mm_is_refused(scan, capfd, values, told):
    change(scan, **values)
    assert told in refused(scan)
    assert capfd.readouterr().err == ""


def test_left_handed_and_oblique_axes_are_read_in_their_place(tmp_path):
    flipped = tuple((np.reshape(TURN, (3, 3)) * (1, 1, -1)).ravel().tolist())
    for i, direction in enumerate((flipped, (0.0, 0.0, -1.0, 0.6, -0.8, 0.0, -0.8, -0.6, 0.0))):
        place = Geometry(PLACE.spacing_mm, PLACE.origin_mm, direction)
        scanfiles.write(tmp_path / f"{i}.nii.gz", Volume(SCAN.array, place))
        np.testing.assert_allclose(read_volume(tmp_path / f"{i}.nii.gz").geometry.direction, direction, atol=1e-6)


def test_a_header_in_the_other_byte_order_is_read(tmp_path, scan):
    content = scan.read_bytes()
    kind = nifti.FIELDS.newbyteorder(">")
    head = bytearray(nifti.BYTES)
    for name, value in zip(kind.names, fields(scan)[0], strict=True):
        at = kind.fields[name][1]
        head[at : at + kind.fields[name][0].itemsize] = np.asarray(value, kind.fields[name][0].base).tobytes()
    head[:4], head[72:74] = nifti.BYTES.to_bytes(4, "big"), (16).to_bytes(2, "big")
    voxels = np.frombuffer(content[nifti.BYTES + 4 :], "<i2").astype(">i2").tobytes()
    scan.write_bytes(bytes(head) + bytes(4) + voxels)
    found = read_volume(scan)
    np.testing.assert_array_equal(found.array, SCAN.array)
    np.testing.assert_allclose(found.geometry.origin_mm, PLACE.origin_mm, atol=1e-5)
    scan.write_bytes(scan.read_bytes()[:-1])
    assert "it has 419 bytes of voxels, its header tells of 420" in refused(scan)
