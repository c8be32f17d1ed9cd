"""Scans on disk: axes, geometry, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from lassl.images.geometry import Geometry, Volume, difference, grid_mismatch
from lassl.images.volumes import read_volume, write_volume
from lassl.plumbing.errors import LasslError

SIZE = (5, 4, 3)
TURNED = Geometry((0.625, 0.7, 1.25), (-10.5, 20.25, 3.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))


def numbered(dtype: str) -> Volume:
    """Every voxel has its own value."""
    return Volume(np.arange(60).reshape(SIZE).astype(dtype), TURNED)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_written_volume_reads_back_equal(tmp_path, suffix, dtype):
    volume = numbered(dtype)
    write_volume(tmp_path / f"scan{suffix}", volume)
    again = read_volume(tmp_path / f"scan{suffix}")
    assert again.array.dtype == dtype
    np.testing.assert_array_equal(again.array, volume.array)
    for name, value in vars(TURNED).items():
        np.testing.assert_allclose(getattr(again.geometry, name), value, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == [f"scan{suffix}"]


def test_the_axes_on_disk_are_those_of_the_array(tmp_path):
    volume = numbered("int16")
    write_volume(tmp_path / "scan.nrrd", volume)
    image = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
    assert image.GetSize() == SIZE
    assert image.GetSpacing() == pytest.approx(TURNED.spacing_mm)
    assert image[4, 1, 2] == volume.array[4, 1, 2] == 4 * 12 + 1 * 3 + 2


def test_a_scan_of_any_writer_is_read_with_axes_x_y_z(tmp_path):
    image = sitk.Image(SIZE, sitk.sitkUInt8)
    image[4, 1, 2] = 7
    sitk.WriteImage(image, str(tmp_path / "scan.nrrd"))
    array = read_volume(tmp_path / "scan.nrrd").array
    assert array.shape == SIZE
    assert np.argwhere(array).tolist() == [[4, 1, 2]]


def test_a_truncated_scan_is_named(tmp_path):
    path = tmp_path / "cut.nrrd"
    write_volume(path, Volume(np.random.default_rng(0).random((15, 14, 13))))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(LasslError, match=r"cut\.nrrd: cannot be read .*copy it again"):
        read_volume(path)


@pytest.mark.parametrize("name", ["text.nrrd", "absent.nrrd"])
def test_what_is_no_scan_is_named(tmp_path, name):
    (tmp_path / "text.nrrd").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(LasslError, match=rf"{name}: cannot be read"):
        read_volume(tmp_path / name)


def test_a_file_that_cannot_be_opened_is_told_as_the_system_tells_it(tmp_path):
    with pytest.raises(LasslError, match=r"absent\.nrrd: cannot be read \(.*No such file"):
        read_volume(tmp_path / "absent.nrrd")


def test_a_series_in_time_is_refused(tmp_path):
    sitk.WriteImage(sitk.Image([5, 4, 3, 2], sitk.sitkUInt8), str(tmp_path / "cine.nrrd"))
    with pytest.raises(LasslError, match=r"cine\.nrrd: found a 4-D image with 1 channel\(s\), expected 3-D"):
        read_volume(tmp_path / "cine.nrrd")


def test_a_color_image_is_refused(tmp_path):
    sitk.WriteImage(sitk.Image(SIZE, sitk.sitkVectorUInt8, 3), str(tmp_path / "color.nrrd"))
    with pytest.raises(LasslError, match=r"color\.nrrd: found a 3-D image with 3 channel\(s\)"):
        read_volume(tmp_path / "color.nrrd")


@pytest.mark.parametrize("name", ["spacing_mm", "origin_mm", "direction"])
def test_places_are_the_same_up_to_a_header_s_rounding_and_else_differ_in_the_first_property_named(name):
    for change, expected in ((9e-4, ""), (1.1e-3, name)):
        first, *others = getattr(TURNED, name)
        moved = replace(TURNED, **{name: (first + change, *others)})
        assert difference(TURNED, moved) == difference(moved, TURNED) == expected
    assert difference(replace(TURNED, origin_mm=(0.0, 0.0, 0.0)), Geometry()) == "spacing_mm"  # the direction, too


def test_a_mask_on_another_grid_is_told_by_its_size_first_and_by_its_place_only_where_it_has_one():
    volume, moved = numbered("uint8"), Volume(numbered("uint8").array, replace(TURNED, origin_mm=(-10.5, 20.25, 3.5)))
    longer = Volume(np.zeros((5, 4, 4), np.uint8), moved.geometry)
    assert grid_mismatch(volume, volume, "image") == ""
    assert grid_mismatch(longer, volume, "image") == "found size (5, 4, 4), but its image has (5, 4, 3)"
    told = "found origin_mm (-10.5, 20.25, 3.5), but its image has (-10.5, 20.25, 3.0)"
    assert grid_mismatch(moved, volume, "image") == told
    assert grid_mismatch(moved, volume, "image", placed=False) == ""
    assert grid_mismatch(longer, volume, "scan", placed=False).startswith("found size (5, 4, 4), but its scan")
