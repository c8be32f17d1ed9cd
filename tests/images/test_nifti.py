"""NIfTI files: numbers and place as all readers have them, and the mask's place, too; or a line that says why not."""

import gzip
from itertools import product

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.nifti1 import Nifti1Header

from helpers.scans import SIZE, numbered, same_place
from lassl.images import nifti
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import from_image, read_volume
from lassl.plumbing.errors import LasslError
from lassl.predict.scan_files import write_output

TURN = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
PLACE = Geometry((1.0, 1.2, 3.0), (10.5, -20.0, 30.0), TURN)
SCAN = Volume(numbered().array, PLACE)
FORMS = np.dtype(
    {"names": ["quatern", "qoffset", "srow"], "formats": ["3f4", "3f4", "(3,4)f4"], "offsets": [256, 268, 280]}
)


def change(path, **values) -> None:
    """Set fields of a file's header, the rest stays."""
    content = bytearray(path.read_bytes())
    for name, value in values.items():
        kind = FORMS if name in FORMS.names else Nifti1Header.template_dtype
        np.frombuffer(content, kind, 1)[name][0] = value
    path.write_bytes(bytes(content))


@pytest.fixture
def scan(tmp_path):
    write_output(tmp_path / "scan.nii", SCAN)
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
        change(scan, qform_code=0, quatern=0, qoffset=7, sform_code=2, srow=sform(z3=20))
    else:
        change(scan, sform_code=0, srow=0)
    expected = sform(z3=20 * (alone == "sform"))
    found = read_volume(scan)
    write_output(scan.with_name("mask.nii"), Volume(np.ones(SIZE, np.uint8), found.geometry))
    mask = nibabel.load(scan.with_name("mask.nii"))
    for form, code in (mask.get_sform(coded=True), mask.get_qform(coded=True)):
        assert code > 0
        np.testing.assert_allclose(form[:3], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("moves", "far"),
    [({"z3": 20}, "20 mm"), ({"z0": 0.1}, "0.6 mm"), ({"x2": 0.3}, "1.2 mm"), ({"x3": -0.3}, "0.3 mm")],
)
def test_two_forms_that_disagree_are_refused_with_how_far(scan, moves, far):
    change(scan, srow=sform(**moves))
    told = refused(scan)
    assert f"its sform and qform put voxels up to {far} apart, and readers disagree on which to use; keep" in told
    change(scan, qform_code=0)
    if set(moves) <= {"z3", "x3"}:
        assert read_volume(scan).geometry.origin_mm != PLACE.origin_mm


def test_two_forms_that_differ_by_the_rounding_of_a_header_are_one(scan):
    change(scan, srow=np.round(sform(), 3) + 4e-4)
    np.testing.assert_allclose(read_volume(scan).geometry.origin_mm, PLACE.origin_mm, atol=1e-3)


def test_a_sheared_form_is_called_so(scan):
    change(scan, qform_code=0, srow=sform(x2=0.3))
    assert "its axes are off by 0.08, expected axes at right angles and of length 1" in refused(scan)
    assert refused(scan).endswith("resample it to a straight grid, together with its label")


def test_a_form_of_another_spacing_than_the_pixdim_is_refused(scan):
    change(scan, qform_code=0, pixdim=(1, 1, 1.2, 2.5, 0, 0, 0, 0))
    assert "its pixdim (1 x 1.2 x 2.5 mm) and its sform (1 x 1.2 x 3 mm) put voxels up to 2 mm apart" in refused(scan)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"sform_code": 0, "qform_code": 0}, "its header defines no place (sform_code and qform_code are 0)"),
        ({"xyzt_units": 1}, "found lengths in metres, expected mm; write its spacing and place again in mm"),
        ({"xyzt_units": 3}, "found lengths in micrometres, expected mm"),
        ({"qoffset": (np.nan, 0, 0)}, "its qform has values that are not finite numbers"),
        ({"quatern": np.inf}, "its qform has values that are not finite numbers"),
        ({"srow": np.nan}, "its sform has values that are not finite numbers"),
        ({"xyzt_units": 2 + 8 + 5}, "found lengths in unit 7, expected mm"),
        (
            {"magic": b"ni1"},
            "cannot be read (it does not have the header of a single NIfTI file); expected a complete image file",
        ),
        ({"sizeof_hdr": 0}, "it does not have the header of a single NIfTI file"),
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
        write_output(tmp_path / f"{i}.nii.gz", Volume(SCAN.array, place))
        np.testing.assert_allclose(read_volume(tmp_path / f"{i}.nii.gz").geometry.direction, direction, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("vox_offset", (0, 348, 350, -1, 352.5, np.nan), "a whole number of at least 352"),
        ("dim", ((3, 7, 0, 5), (3, 7, -1, 5), (0, 7, 6, 5), (4, 7, 6, 5, 0)), "1 to 7 axes with at least one voxel"),
        ("datatype", (0, 1, 128, 1536, 7), "a type with one number of 1 to 8 bytes per voxel"),
        ("pixdim", ((1, 0, 1, 1), (1, -1, 1.2, 3), (1, np.nan, 1.2, 3), (1, 1, 1.2, np.inf)), "sizes above 0"),
        ("scl_inter", (np.nan, -np.inf), "a number"),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_field(scan, capfd, field, values, expected):
    for value in values:
        padded = (*value, *[1] * (8 - len(value))) if isinstance(value, tuple) else value
        change(scan, **{field: padded})
        told = refused(scan)
        first = f"{np.ravel(value)[0]:g}"
        assert f"found {field} {first}" in told and f" in its header, expected {expected}" in told
        assert told.endswith("export it again")
    assert capfd.readouterr().err == ""


def test_a_header_that_asks_for_more_voxels_than_there_are_takes_no_memory_for_them(scan):
    change(scan, dim=(3, 32767, 32767, 32767, 1, 1, 1, 1))
    assert f"its header announces {2 * 32767**3} bytes of voxel data, but 420 are present" in refused(scan)


@pytest.mark.parametrize(("shape", "axes"), [((7, 6), 2), ((7, 6, 5, 2), 4), ((7, 6, 5, 1, 3), 5), ((7,), 1)])
def test_an_image_that_is_not_3_d_is_refused(scan, shape, axes):
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), scan)
    assert f"found a {axes}-D image, expected 3-D with one channel" in refused(scan)


def test_a_series_in_time_of_one_image_is_that_image(scan):
    change(scan, dim=(5, *SIZE, 1, 1, 1, 1))
    np.testing.assert_array_equal(read_volume(scan).array, SCAN.array)


@pytest.mark.parametrize("code", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_voxels_of_every_type_order_and_scale_are_those_that_simpleitk_reads(tmp_path, code, order):
    array = (numbered().array % 100).astype(code)
    affine = np.vstack([sform(), [0, 0, 0, 1]])
    for i, (slope, inter) in enumerate([(0, 0), (1, 0), (1, 5), (2.5, -7), (0.1, 0.3), (-1, 0), (np.nan, np.nan)]):
        path = tmp_path / f"{i}.nii"
        nibabel.save(nibabel.Nifti1Image(array, affine, Nifti1Header(endianness=order), dtype=array.dtype), path)
        content = bytearray(path.read_bytes())
        np.frombuffer(content, np.dtype(f"{order}f4"), 2, 112)[:] = slope, inter
        path.write_bytes(bytes(content))
        found, expected = read_volume(path), from_image(sitk.ReadImage(str(path)))
        np.testing.assert_array_equal(found.array, expected.array, strict=True)
        same_place(found.geometry, expected.geometry)


def test_a_slope_of_0_leaves_voxels_as_they_are_whatever_the_intercept(scan):
    change(scan, scl_slope=0, scl_inter=5)
    np.testing.assert_array_equal(read_volume(scan).array, SCAN.array, strict=True)


@pytest.mark.parametrize("codes", list(product((0, 1, 2, 4), repeat=2))[1:])
def test_the_place_is_the_one_that_simpleitk_reads_whatever_forms_there_are(scan, codes):
    for direction in (
        TURN,
        (0.0, 0.0, -1.0, 0.6, -0.8, 0.0, -0.8, -0.6, 0.0),
        (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    ):
        write_output(scan, Volume(SCAN.array, Geometry(PLACE.spacing_mm, PLACE.origin_mm, direction)))
        change(scan, sform_code=codes[0], qform_code=codes[1])
        same_place(read_volume(scan).geometry, from_image(sitk.ReadImage(str(scan))).geometry)


@pytest.mark.parametrize("qfac", [0, 1, -1, 2, -2])
def test_a_qfac_that_is_not_1_or_minus_1_has_its_sign(scan, qfac):
    change(scan, sform_code=0, pixdim=(qfac, *PLACE.spacing_mm, 0, 0, 0, 0))
    axes = np.reshape(read_volume(scan).geometry.direction, (3, 3))
    assert np.linalg.det(axes) == pytest.approx(-1 if qfac < 0 else 1)


def test_a_quaternion_that_rounding_made_too_long_is_shortened(scan):
    change(scan, sform_code=0, quatern=(1 + 1e-6, 0, 0))
    np.testing.assert_allclose(read_volume(scan).geometry.direction, np.diag([-1, 1, -1]).ravel(), atol=1e-6)


def test_of_two_forms_that_differ_by_rounding_the_sform_of_a_scanner_is_taken_else_the_qform(scan):
    for code, moved in ((1, 0.01), (2, 0)):
        change(scan, sform_code=code, srow=sform(z3=0.01))
        assert read_volume(scan).geometry.origin_mm[2] == pytest.approx(30 + moved)


def test_nifti_2_and_gzip_under_the_name_nii_are_read(tmp_path):
    affine = np.vstack([sform(), [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti2Image(SCAN.array, affine), tmp_path / "two.nii")
    (tmp_path / "packed.nii").write_bytes(gzip.compress((tmp_path / "two.nii").read_bytes()))
    for name in ("two.nii", "packed.nii"):
        found = read_volume(tmp_path / name)
        np.testing.assert_array_equal(found.array, SCAN.array)
        same_place(found.geometry, PLACE)


def test_a_file_in_the_other_byte_order_that_is_cut_is_refused(tmp_path):
    affine = np.vstack([sform(), [0, 0, 0, 1]])
    nibabel.save(
        nibabel.Nifti1Image(SCAN.array, affine, Nifti1Header(endianness=">"), dtype="i2"), tmp_path / "big.nii"
    )
    same_place(read_volume(tmp_path / "big.nii").geometry, PLACE)
    (tmp_path / "big.nii").write_bytes((tmp_path / "big.nii").read_bytes()[:-1])
    assert "its header announces 420 bytes of voxel data, but 419 are present" in refused(tmp_path / "big.nii")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_grid_is_read_without_the_voxels_also_of_several_channels(tmp_path, kind, suffix):
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    path = tmp_path / f"scan{suffix}"
    nibabel.save(kind(np.zeros((7, 6, 5, 2), np.int16), affine), path)
    size, place = nifti.read_grid(path)
    assert size == [7, 6, 5, 2] and place.spacing_mm == (1, 2, 3)
    nibabel.save(kind(np.zeros((7, 6), np.int16), affine), path)
    assert nifti.read_grid(path)[0] == [7, 6]
