"""DICOM series: what is refused of them, and what is told of those that are taken."""

import re

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.dicom import write_series
from helpers.scans import PLACE, SIZE, numbered, same_place
from lassl.images.dicom import holds_slices
from lassl.images.geometry import Geometry, Volume
from lassl.plumbing.errors import LasslError
from lassl.predict.scan_files import read_scan


def stack(slices: int = 20, distance: float = 2.5, degrees: float = 0.0) -> Volume:
    """A volume whose slices are stacked at a tilt, each over the one below but for that."""
    tilt = np.radians(degrees)
    columns = [
        [1, 0, 0],
        [0, 0.8, 0.6],
        [0, -0.6 * np.cos(tilt) + 0.8 * np.sin(tilt), 0.8 * np.cos(tilt) + 0.6 * np.sin(tilt)],
    ]
    direction = tuple(np.transpose(columns).ravel().tolist())
    array = np.arange(7 * 6 * slices).reshape(7, 6, slices).astype("int16")
    return Volume(array, Geometry((0.6, 0.7, distance), (1.234, 5.678, 9.87), direction))


def refused(folder) -> str:
    with pytest.raises(LasslError) as error:
        read_scan(folder)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(folder))
    return str(error.value)


@pytest.mark.parametrize("degrees", [-15, -2, 0.5, 2])
def test_slices_stacked_at_a_tilt_are_refused(tmp_path, degrees):
    told = refused(write_series(tmp_path / "series", stack(degrees=degrees)))
    aside = abs(19 * 2.5 * np.sin(np.radians(degrees)))
    assert f"at a tilt of {abs(degrees):.2g} degrees (the last one is off by {aside:.2g} mm" in told
    assert told.endswith("resample the series to a straight grid, as dcm2niix does")


def test_a_tilt_of_the_size_of_rounded_cosines_is_none(tmp_path):
    found = read_scan(write_series(tmp_path / "series", stack(degrees=0.05)))
    np.testing.assert_array_equal(found.array, stack().array)


@pytest.mark.parametrize("distance", [0.625, 1.7, 2.53, 3.01])
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_taken_and_told(tmp_path, capsys, distance):
    volume = stack(distance=distance)
    found = read_scan(write_series(tmp_path / "series", volume, decimals=1))
    np.testing.assert_array_equal(found.array, volume.array)
    np.testing.assert_allclose(found.geometry.spacing_mm, volume.geometry.spacing_mm, atol=0.2 / 19)
    told = capsys.readouterr().err
    assert "distances between its 20 slices go from" in told and "because positions are rounded to 0.1 mm" in told


@pytest.mark.parametrize(("skip", "decimals"), [([10], 12), ([10], 1), ([18], 1), ([1], 1), ([1, 2, 3], 1)])
def test_a_missing_slice_is_no_rounding(tmp_path, skip, decimals):
    told = refused(write_series(tmp_path / "series", stack(), skip=skip, decimals=decimals))
    assert "a slice is missing" in told


def test_positions_that_are_uneven_but_not_rounded_are_refused(tmp_path):
    folder = write_series(tmp_path / "series", stack(10), skip=[4])
    shifted = stack(10).geometry
    write_series(folder, Volume(stack(10).array, Geometry(shifted.spacing_mm, (1.3, 5.7, 9.93), shifted.direction)),
                 skip=set(range(10)) - {4})  # fmt: skip
    assert "expected equal ones" in refused(folder)


def test_several_slices_in_one_place_are_refused(tmp_path):
    volume = stack(3, distance=1e-4)
    assert "distances between its 3 slices go from" in refused(write_series(tmp_path / "series", volume, decimals=1))


@pytest.mark.parametrize("length", [0, 1, 100, 131, 132, 400])
def test_a_slice_that_is_empty_or_cut_is_named_wherever_it_was_cut(tmp_path, length):
    folder = write_series(tmp_path / "series", numbered())
    path = max(folder.iterdir(), key=lambda p: sitk.ReadImage(str(p)).GetMetaData("0020|0013"))  # at the end
    path.write_bytes(path.read_bytes()[:length])
    assert f"series: {path.name} cannot be read; expected whole DICOM slices; copy them again" in refused(folder)


def test_an_empty_file_among_slices_without_a_suffix_is_named(tmp_path):
    folder = write_series(tmp_path / "series", numbered())
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / (f"IM{i}" if i < 3 else f"1.2.840.{i}"))
    (folder / "IM9").touch()
    assert "series: IM9 cannot be read" in refused(folder)


def test_other_files_beside_the_slices_are_noted_unless_they_are_hidden(tmp_path, capsys):
    folder = write_series(tmp_path / "series", numbered())
    read_scan(folder)
    for name in (".DS_Store", "DICOMDIR"):
        (folder / name).write_text("of some program")
    read_scan(folder)
    assert capsys.readouterr().err == ""
    (folder / "notes.txt").write_text("seen")
    (folder / "end").touch()
    read_scan(folder)
    assert capsys.readouterr().err == (f"note: {folder}: skipped end, notes.txt, which are not DICOM slices\n")


def test_a_slice_missing_at_an_end_is_noted_where_the_others_tell_of_it(tmp_path, capsys):
    read_scan(write_series(tmp_path / "first", numbered(), skip=[0]))
    assert (
        "first: the slices are numbered from 2 to 5; check whether earlier ones are missing" in capsys.readouterr().err
    )
    read_scan(write_series(tmp_path / "last", numbered(), skip=[4], more={"0020|1002": "5"}))
    assert "last: found 4 slices, but they announce 5; check whether" in capsys.readouterr().err
    read_scan(write_series(tmp_path / "all", numbered(), more={"0020|1002": "5"}))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.7.2"])
def test_a_multi_frame_file_is_called_so(tmp_path, kind):
    image = sitk.GetImageFromArray(numbered("uint8").array.transpose(2, 1, 0))
    image.SetMetaData("0008|0016", kind)  # enhanced MR, secondary capture
    sitk.WriteImage(image, str(tmp_path / "frames.dcm"))
    assert "found a multi-frame file (5 images), expected one file per slice; export the series" in refused(tmp_path)


def test_a_single_slice_is_no_volume(tmp_path):
    told = refused(write_series(tmp_path / "series", numbered(), skip=range(1, SIZE[2])))
    assert told.endswith("found a single slice, expected a volume; give the folder of the whole series")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (Geometry(PLACE.spacing_mm, PLACE.origin_mm), "several axes"),
        (Geometry((0.625, 0.8, 2.5), PLACE.origin_mm, PLACE.direction), "several spacings of pixels"),
    ],
)
def test_slices_with_other_axes_or_pixels_than_the_first_are_refused(tmp_path, place, told):
    folder = write_series(tmp_path / "series", numbered(), skip=[2])
    write_series(folder, Volume(numbered().array, place), skip=[0, 1, 3, 4])
    assert told in refused(folder)


def retag(folder, old: bytes, new: bytes) -> None:
    """Change bytes of every slice, of which there are as many before and after."""
    for path in folder.iterdir():
        content = path.read_bytes()
        assert content.count(old) == 1 and len(old) == len(new)
        path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("more", [{}, {"0018|1164": "0.5\\0.6"}])  # ImagerPixelSpacing: on the detector
def test_slices_without_a_size_of_pixels_in_the_patient_are_refused(tmp_path, more):
    told = "found slices without the size of their pixels in the patient (0028|0030); export the series with"
    folder = write_series(tmp_path / "series", numbered(), more=more)
    retag(folder, b"\x28\0\x30\0\x08\0\0\0", b"\x28\0\x31\0\x08\0\0\0")  # another tag's in place of its number
    assert told in refused(folder)
    radiography = {**more, "0008|0016": "1.2.840.10008.5.1.4.1.1.1"}
    assert told in refused(write_series(tmp_path / "x-ray", numbered(), more=radiography))


@pytest.mark.parametrize("size", [b"0\\0", b"nan\\1", b"x\\y", b"-1\\-1", b"1"])
def test_slices_whose_pixels_have_no_size_above_0_are_refused(tmp_path, size):
    folder = write_series(tmp_path / "series", numbered())
    written = sitk.ReadImage(str(min(folder.iterdir()))).GetMetaData("0028|0030").encode()
    retag(folder, written, size.ljust(len(written)))
    assert re.search("found the pixel size .*, expected two numbers above 0 in mm|cannot be read", refused(folder))


def test_the_sizes_of_pixels_down_and_across_are_not_mistaken(tmp_path):
    place = Geometry((0.5, 0.9, 2.5), PLACE.origin_mm, PLACE.direction)
    found = read_scan(write_series(tmp_path / "series", Volume(numbered().array, place)))
    np.testing.assert_allclose(found.geometry.spacing_mm, place.spacing_mm)


@pytest.mark.parametrize(
    ("size", "told"),
    [((7, 8, 5), "several numbers of rows (8, but 6 in 1.2.3.4-"), ((9, 6, 5), "of columns (9, but 7 in 1.2.3.4-")],
)
def test_a_slice_of_another_size_is_told_with_both_sizes(tmp_path, size, told):
    folder = write_series(tmp_path / "series", numbered(), skip=[0])
    write_series(folder, Volume(np.ones(size, np.int16), PLACE), skip=[1, 2, 3, 4])
    assert told in refused(folder) and "expected one; use one folder for each" in refused(folder)


def test_a_folder_holds_slices_whether_or_not_they_have_the_mark_of_dicom_files(tmp_path):
    folder = write_series(tmp_path / "export" / "K01", numbered())
    assert holds_slices(folder) and not holds_slices(tmp_path / "export")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[132:])  # as older devices write them
    assert holds_slices(folder)
    (tmp_path / "export" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")  # the index of an export, not a slice
    assert not holds_slices(tmp_path / "export")


def test_a_folder_of_other_files_holds_no_slices(tmp_path):
    assert not holds_slices(tmp_path)
    (tmp_path / "notes.txt").write_text("a scan")
    assert not holds_slices(tmp_path)
    (tmp_path / "a.nrrd").touch()
    assert not holds_slices(tmp_path)


def test_the_place_of_a_straight_series_is_that_of_its_positions(tmp_path):
    same_place(read_scan(write_series(tmp_path / "series", stack())).geometry, stack().geometry)
