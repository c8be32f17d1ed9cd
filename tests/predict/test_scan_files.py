"""Anybody's scans on disk: what is read from them, where it lies, and what is refused."""

import locale
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.dicom import write_series
from helpers.scans import IMAGES, PLACE, SIZE, numbered, same_place
from lassl.cli.predict_scans import passed_over, scans_in
from lassl.images.geometry import Volume
from lassl.images.volumes import read_volume, to_image
from lassl.plumbing.errors import LasslError
from lassl.predict.scan_files import (
    check_inputs_stay,
    check_outputs,
    make_folder,
    output_files,
    read_scan,
    split_name,
    write_output,
)


@pytest.mark.parametrize("suffix", IMAGES)
def test_an_image_file_of_any_format_is_read_with_its_place(tmp_path, suffix):
    sitk.WriteImage(to_image(numbered()), str(tmp_path / f"scan{suffix}"))
    found = read_scan(tmp_path / f"scan{suffix}")
    np.testing.assert_array_equal(found.array, numbered().array)
    same_place(found.geometry, PLACE)


def test_a_dicom_series_is_read_in_the_order_of_its_places_and_rescaled(tmp_path):
    volume = Volume(2.0 * numbered("float32").array - 50, PLACE)
    found = read_scan(write_series(tmp_path / "series", volume, slope=2, intercept=-50))
    np.testing.assert_array_equal(found.array, volume.array)
    same_place(found.geometry, PLACE)


@pytest.mark.parametrize("suffix", IMAGES)
def test_a_written_mask_is_one_file_in_the_same_place(tmp_path, suffix):
    write_output(tmp_path / f"mask{suffix}", numbered("uint8"))
    assert [path.name for path in tmp_path.iterdir()] == [f"mask{suffix}"]
    found = sitk.ReadImage(str(tmp_path / f"mask{suffix}"))
    assert found.GetPixelID() == sitk.sitkUInt8
    again = read_scan(tmp_path / f"mask{suffix}")
    np.testing.assert_array_equal(again.array, numbered("uint8").array)
    same_place(again.geometry, PLACE)


def test_files_are_named_after_the_scan(tmp_path):
    (tmp_path / "series.01").mkdir()
    assert split_name(tmp_path / "series.01") == ("series.01", ".nrrd")
    assert split_name(tmp_path / "a.b.NII.GZ") == ("a.b", ".nii.gz")
    assert output_files(tmp_path / "a.nii.gz", tmp_path / "out", ["probability"]) == {
        "mask": tmp_path / "out/a.nii.gz",
        "probability": tmp_path / "out/a-probability.nii.gz",
    }


def test_a_file_that_is_called_as_in_every_case_is_named_after_its_folder(tmp_path, monkeypatch):
    assert split_name(tmp_path / "K01/image.nii.gz") == ("K01", ".nii.gz")
    assert split_name(tmp_path / "K01/IMAGE.MHA") == ("K01", ".mha")
    assert split_name(tmp_path / "K01/lgemri.nrrd") == ("K01", ".nrrd")
    assert split_name(tmp_path / "K01/image2.nrrd") == ("image2", ".nrrd")
    monkeypatch.chdir(tmp_path)
    assert split_name(Path("image.nrrd")) == (tmp_path.name, ".nrrd")
    assert split_name(Path("K01/../image.nrrd")) == (tmp_path.name, ".nrrd")


def test_a_linked_folder_is_named_by_its_link(tmp_path, monkeypatch):
    (tmp_path / "1.2.840").mkdir()
    (tmp_path / "K01").symlink_to("1.2.840")
    assert split_name(tmp_path / "K01") == ("K01", ".nrrd")
    monkeypatch.chdir(tmp_path / "1.2.840")
    assert split_name(Path()) == ("1.2.840", ".nrrd")


@pytest.mark.parametrize("suffix", IMAGES)
def test_a_suffix_in_capitals_is_read_as_the_one_in_small_letters(tmp_path, suffix):
    write_output(tmp_path / f"scan{suffix}", numbered())
    path = (tmp_path / f"scan{suffix}").rename(tmp_path / f"SCAN{suffix.upper()}")
    found = read_scan(path)
    np.testing.assert_array_equal(found.array, numbered().array)
    same_place(found.geometry, PLACE)


def test_a_suffix_of_small_letters_and_capitals_is_read(tmp_path):
    write_output(tmp_path / "a.nii.gz", numbered())
    found = read_scan((tmp_path / "a.nii.gz").rename(tmp_path / "a.Nii.gz"))
    np.testing.assert_array_equal(found.array, numbered().array)


def test_a_name_that_is_not_in_utf8_is_refused_and_any_other_is_read(tmp_path):
    strange = os.fsdecode(b"\xff")
    write_output(tmp_path / "Jürgen, [1] = a.nrrd", numbered())
    read_scan(tmp_path / "Jürgen, [1] = a.nrrd")
    series = write_series(tmp_path / "series", numbered())
    first = min(series.iterdir())
    for act in (
        lambda: split_name(tmp_path / f"{strange}.nrrd"),
        lambda: split_name(tmp_path / strange),
        lambda: read_volume((tmp_path / "Jürgen, [1] = a.nrrd").rename(tmp_path / f"{strange}.nrrd")),
        lambda: write_output(tmp_path / f"{strange}.nrrd", numbered()),
        lambda: make_folder(tmp_path / strange),
        lambda: read_scan((first.rename(series / f"{strange}.dcm")).parent),
    ):
        with pytest.raises(LasslError, match="the name is not valid UTF-8; rename"):
            act()


def test_outputs_of_one_name_are_told_together_before_any_work(tmp_path):
    scans = [tmp_path / name for name in ("one/a.nrrd", "two/a.nrrd", "a-probability.nrrd", "b.nrrd", "a.mha")]
    planned = {scan: output_files(scan, tmp_path / "out", ["probability"]) for scan in scans}
    with pytest.raises(LasslError) as error:
        check_outputs(planned)
    assert len(str(error.value).splitlines()) == 3  # a and a-probability for the second, a-probability for the third
    assert str(scans[0]) in str(error.value) and str(scans[1]) in str(error.value)
    check_outputs({scan: planned[scan] for scan in scans[3:]})


def test_a_scan_is_never_overwritten(tmp_path):
    scan = tmp_path / "a.nrrd"
    with pytest.raises(LasslError, match=r"a\.nrrd: is one of the scans and would be overwritten; give another folder"):
        check_inputs_stay(output_files(scan, tmp_path / "below" / ".."), [tmp_path / "b.nrrd", scan])
    check_inputs_stay(output_files(scan, tmp_path / "below"), [scan])


def write_color(path):
    sitk.WriteImage(sitk.Image(SIZE, sitk.sitkVectorUInt8, 3), str(path))


def write_flat(path):
    sitk.WriteImage(sitk.Image([5, 4], sitk.sitkUInt8), str(path))


def write_values(*values):
    return lambda path: write_output(path, Volume(np.resize(np.array(values, np.float32), SIZE)))


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("absent.nrrd", None, r"absent\.nrrd: not found; expected a scan's file, or a folder with a DICOM series"),
        ("absent", None, r"absent: not found; expected a scan's file"),
        ("empty.nrrd", lambda path: path.touch(), r"empty\.nrrd: cannot be read .*copy it again"),
        ("empty.nii.gz", lambda path: path.touch(), r"empty\.nii\.gz: cannot be read .*copy it again"),
        ("text.mha", lambda path: path.write_text("scan"), r"text\.mha: cannot be read .*copy it again"),
        ("slice.png", write_flat, r"found a file named 'slice\.png', expected a name that ends in \.nrrd, .*DICOM"),
        ("flat.nrrd", write_flat, r"flat\.nrrd: found a 2-D image with 1 channel\(s\), expected 3-D with one channel"),
        ("color.nrrd", write_color, r"color\.nrrd: found a 3-D image with 3 channel\(s\), expected"),
        (
            "plain.nrrd",
            write_values(3),
            r"plain\.nrrd: the image is constant, every voxel is 3\.0; export the scan again",
        ),
        ("nan.nrrd", write_values(1, np.nan), r"nan\.nrrd: 105 voxels are NaN or infinite; export the scan again"),
        ("folder", lambda path: path.mkdir(), r"folder: found no DICOM series, expected one"),
    ],
)
def test_what_is_no_scan_is_named_in_one_line_with_what_to_do(tmp_path, name, make, told):
    if make:
        make(tmp_path / name)
    with pytest.raises(LasslError, match=told) as error:
        read_scan(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name)) and "\n" not in str(error.value)


def test_reading_a_series_leaves_the_locale_as_it_was(tmp_path):
    folder = write_series(tmp_path / "series", numbered())  # writing it changes the locale already
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    read_scan(folder)
    assert locale.setlocale(locale.LC_CTYPE) == "C.UTF-8"


def test_several_series_in_a_folder_are_named(tmp_path):
    write_series(tmp_path / "both", numbered(), "1.2.3.4", "LGE")
    write_series(tmp_path / "both", numbered(), "1.2.3.5", "CINE", skip=[4])
    with pytest.raises(LasslError, match=r"both: found 2 DICOM series, expected one: .*; use one folder for each") as e:
        read_scan(tmp_path / "both")
    assert "'LGE' (5 files)" in str(e.value) and "'CINE' (4 files)" in str(e.value)


def test_a_series_without_one_of_its_slices_is_refused(tmp_path):
    told = r"series: distances between its 4 slices go from 2\.5 to 5 mm, expected equal ones; a slice is missing"
    with pytest.raises(LasslError, match=told):
        read_scan(write_series(tmp_path / "series", numbered(), skip=[2]))


def test_a_damaged_slice_is_named(tmp_path):
    folder = write_series(tmp_path / "series", numbered())
    path = min(folder.iterdir())
    (folder / "notes.txt").write_text("what is no DICOM file counts for nothing")
    read_scan(folder)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(LasslError, match=r"series: 1\.2\.3\.4-00\.dcm cannot be read; .*copy them again"):
        read_scan(folder)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LasslError, match=r"cannot be written to \(.*\); give another folder with -o"):
            make_folder(folder)
    with pytest.raises(LasslError, match=r"mask\.nrrd: cannot be written \("):
        write_output(tmp_path / "file" / "mask.nrrd", numbered("uint8"))
    make_folder(tmp_path / "new" / "folder")
    assert not list((tmp_path / "new" / "folder").iterdir())


def test_a_folder_stands_for_all_scans_in_it_whose_files_keep_its_sub_folders(tmp_path):
    scans = tmp_path / "scans"
    expected = {  # a file or folder, and the sub-folder where its files are written
        "a.nrrd": ".",
        "b.NII.GZ": ".",
        "c.mhd": ".",
        "K01/image.nii.gz": ".",  # named K01 after its folder
        "site/K01/image.mha": "site",
        "site/a.nrrd": "site",
        "site/deep/a.nii": "site/deep",
    }
    for name in expected:
        (scans / name).parent.mkdir(parents=True, exist_ok=True)
        (scans / name).touch()
    write_series(scans / "P1", numbered())
    write_series(scans / "dicom" / "P1", numbered())
    found = scans_in(scans, tmp_path / "out")
    expected |= {"P1": ".", "dicom/P1": "dicom"}
    assert found.scans == {scans / name: Path(folder) for name, folder in expected.items()}
    assert found.others == []
    check_outputs({scan: output_files(scan, folder) for scan, folder in found.scans.items()})


def test_a_folder_of_dicom_slices_is_one_scan_whatever_else_is_in_it(tmp_path):
    folder = write_series(tmp_path / "P1", numbered())
    (folder / "notes.txt").touch()
    (folder / "below").mkdir()
    (folder / "below" / "a.nrrd").touch()
    assert scans_in(folder, tmp_path / "out").scans == {folder: Path()}


def test_labels_hidden_files_voxels_and_earlier_masks_are_not_scans_of_a_folder(tmp_path):
    for name in ("K01/lgemri.nrrd", "K01/laendo.nrrd", "K02/image.nrrd", "K02/label.nii.gz", "K02/.a.nrrd", "c.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "K01.nrrd").touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.nrrd").touch()
    found = scans_in(tmp_path, tmp_path / "masks")
    assert [path.relative_to(tmp_path).as_posix() for path in found.scans] == ["K01/lgemri.nrrd", "K02/image.nrrd"]
    assert passed_over(tmp_path, found.others) == (
        f"note: {tmp_path}: passed over 2 other files (laendo.nrrd, label.nii.gz), not scans by their names"
    )


def test_many_files_that_are_not_scans_are_told_in_one_line(tmp_path):
    for n in range(9):
        (tmp_path / f"{n}.txt").touch()
    (tmp_path / "a.nrrd").touch()
    found = scans_in(tmp_path, tmp_path / "out")
    assert "passed over 9 other files (0.txt, 1.txt, 2.txt, 3.txt, 4.txt, ...)" in passed_over(tmp_path, found.others)


def test_a_folder_without_scans_is_told_with_what_is_in_it(tmp_path):
    told = r": found no scans, expected files that end in \.nrrd, .*, or DICOM slices"
    with pytest.raises(LasslError, match=f"{told}$"):
        scans_in(tmp_path, tmp_path / "out")
    (tmp_path / "slice.png").touch()
    with pytest.raises(LasslError, match=rf"{told}; found 1 other file \(slice\.png\)$"):
        scans_in(tmp_path, tmp_path / "out")


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.nrrd").touch()
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "K01").symlink_to(tmp_path / "elsewhere")
    (scans / "loop").symlink_to(scans)
    assert list(scans_in(scans, tmp_path / "out").scans) == [scans / "K01" / "a.nrrd"]


def test_a_preview_is_a_png_that_is_named_after_the_scan_and_the_mask_is_written_last(tmp_path):
    files = output_files(tmp_path / "a.nii.gz", tmp_path / "out", ["probability", "preview"])
    assert files["preview"] == tmp_path / "out" / "a.png" and list(files)[-1] == "mask"
