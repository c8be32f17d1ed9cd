"""Headers of NRRD and MetaImage: a size of voxels in mm, or a line that says what is found; where voxels are."""

import gzip
import zlib

import numpy as np
import pytest

from lassl.images.volumes import read_volume
from lassl.plumbing.errors import LasslError

ARRAY = np.arange(60).reshape(5, 4, 3).astype("<i2")
VOXELS = ARRAY.T.tobytes()  # x fastest
DIRECTIONS = "space directions: (1,0,0) (0,1.2,0) (0,0,3)"
LPS = "space: left-posterior-superior"


def nrrd(folder, *lines: str, voxels: bytes = VOXELS, encoding: str = "raw", sizes: str = "5 4 3", name="scan.nrrd"):
    """Write a NRRD of int16 with further lines in its header."""
    head = ["NRRD0004", "type: short", f"dimension: {len(sizes.split())}", f"sizes: {sizes}", f"encoding: {encoding}"]
    if not any(line.startswith("endian") for line in lines):
        head.append("endian: little")
    (folder / name).write_bytes("\n".join([*head, *lines]).encode() + b"\n\n" + voxels)
    return folder / name


def metaimage(folder, voxels: bytes = VOXELS, **fields: str | None):
    """Write a MetaImage of int16 whose header has these fields beside its own; None takes one away."""
    found = {"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "Offset": "1 2 3", "ElementSpacing": "1 1.2 3"}
    found |= {"DimSize": "5 4 3", "ElementType": "MET_SHORT", **fields}
    found["ElementDataFile"] = found.pop("ElementDataFile", "LOCAL")  # the last one
    lines = [f"{key} = {value}\n" for key, value in found.items() if value is not None]
    (folder / "scan.mha").write_bytes("".join(lines).encode() + voxels)
    return folder / "scan.mha"


def refused(path) -> str:
    with pytest.raises(LasslError) as error:
        read_volume(path)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))
    return str(error.value)


def taken(path) -> None:
    found = read_volume(path)
    np.testing.assert_array_equal(found.array, ARRAY)
    assert found.array.dtype == "int16" and found.array.flags.writeable
    np.testing.assert_allclose(found.geometry.spacing_mm, (1, 1.2, 3))


@pytest.mark.parametrize("unit", ["cm", "um", "m", "inch", "pixel"])
def test_lengths_in_another_unit_than_mm_are_refused(tmp_path, unit):
    told = f"found lengths in {unit}, expected mm; write its spacing and place again in mm"
    assert told in refused(nrrd(tmp_path, LPS, DIRECTIONS, f'space units: "{unit}" "{unit}" "{unit}"'))
    assert told in refused(nrrd(tmp_path, LPS, DIRECTIONS, f'space units: "mm" "mm" "{unit}"'))
    assert told in refused(nrrd(tmp_path, "spacings: 1 1.2 3", f'units: "{unit}" "{unit}" "{unit}"'))
    assert told in refused(metaimage(tmp_path, DistanceUnits=unit))


@pytest.mark.parametrize("unit", ["mm", "MM", "millimeter", "millimetres", "", "none", "???"])
def test_lengths_in_mm_or_without_a_unit_are_taken(tmp_path, unit):
    taken(nrrd(tmp_path, LPS, DIRECTIONS, f'space units: "{unit}" "{unit}" "{unit}"'))
    taken(nrrd(tmp_path, "spacings: 1 1.2 3", f'units: "{unit}" "{unit}" "{unit}"'))
    taken(metaimage(tmp_path, DistanceUnits=unit))


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], "no spacing"),
        ([LPS, "space origin: (1,2,3)"], "no spacing"),
        (["axis mins: 0 0 0", "axis maxs: 5 4.8 9"], "no spacing"),
        (["spacings: nan nan nan"], "no spacing"),
        ([LPS, "space directions: none none none"], "no spacing"),
        (["spacings: 1 NaN 3"], "spacings 1 x 3"),
        (["spacings: 1 -1.2 3"], "spacings 1 x -1.2 x 3"),
        ([LPS, "space directions: (1,0,0) none (0,0,3)"], "space directions 1 x 3"),
        ([LPS, "space directions: (1,0,0) (0,0,0) (0,0,3)"], "space directions 1 x 0 x 3"),
    ],
)
def test_a_nrrd_without_the_size_of_a_voxel_along_each_axis_is_refused(tmp_path, lines, found):
    told = refused(nrrd(tmp_path, *lines))
    assert f"found {found}, expected the voxel size in mm along each axis; export the file again" in told


@pytest.mark.parametrize("spacing", ["0 1 1", "1 inf 1"])
def test_a_nrrd_with_a_spacing_that_no_library_takes_is_refused(tmp_path, spacing):
    assert "cannot be read" in refused(nrrd(tmp_path, f"spacings: {spacing}"))


@pytest.mark.parametrize(
    ("spacing", "found"),
    [
        (None, "no spacing"),
        ("1", "ElementSpacing 1"),
        ("1 1.2", "ElementSpacing 1 x 1.2"),
        ("1 0 3", "ElementSpacing 1 x 0 x 3"),
        ("1 -1.2 3", "ElementSpacing 1 x -1.2 x 3"),
        ("1 nan 3", "ElementSpacing 1 x nan x 3"),
        ("1,0 1,2 3,0", "ElementSpacing nan x nan x nan"),
    ],
)
def test_a_metaimage_without_the_size_of_a_voxel_along_each_axis_is_refused(tmp_path, spacing, found):
    told = refused(metaimage(tmp_path, ElementSpacing=spacing))
    assert f"found {found}, expected the voxel size in mm along each axis; export the file again" in told


@pytest.mark.parametrize(("axes", "sizes"), [("73", "5 4 3"), ("11", "1 " * 10 + "1"), ("2", "5 4 3"), (None, "5 4 3")])
def test_a_metaimage_that_would_end_the_program_is_refused(tmp_path, capfd, axes, sizes):
    told = refused(metaimage(tmp_path, NDims=axes, DimSize=sizes))
    assert f"the header has {axes} axes but {len(sizes.split())} sizes" in told
    assert capfd.readouterr().err == ""


def test_a_metaimage_may_call_its_spacing_the_size_of_an_element(tmp_path):
    taken(metaimage(tmp_path, ElementSpacing=None, ElementSize="1 1.2 3"))
    taken(metaimage(tmp_path, ElementSize="2 2 2"))  # which the spacing goes before


def test_an_axis_of_one_channel_needs_no_spacing(tmp_path):
    lines = (LPS, "kinds: list domain domain domain")
    taken(nrrd(tmp_path, *lines, "space directions: none (1,0,0) (0,1.2,0) (0,0,3)", sizes="1 5 4 3"))
    told = refused(nrrd(tmp_path, *lines, "space directions: none (1,0,0) (0,1.2,0) (0,0,3)", sizes="2 5 4 3"))
    assert "found a 3-D image with 2 channel(s)" in told


@pytest.mark.parametrize(
    ("lines", "voxels", "encoding"),
    [
        (["byte skip: 9"], b"something" + VOXELS, "raw"),
        (["line skip: 2"], b"two\nlines\n" + VOXELS, "raw"),
        (["line skip: 1", "byte skip: 2"], b"a line\nab" + VOXELS, "raw"),
        (["byte skip: -1"], b"anything" + VOXELS, "raw"),
        (["byte skip: 7"], gzip.compress(b"another" + VOXELS, mtime=0), "gzip"),
        (["lineskip: 1", "byteskip: 3"], b"a line\n" + gzip.compress(b"abc" + VOXELS, mtime=0), "gz"),
        (["byte skip: -1"], gzip.compress(b"anything" + VOXELS, mtime=0), "gzip"),
        (["endian: big"], ARRAY.astype(">i2").T.tobytes(), "raw"),
        (["endian: big"], gzip.compress(ARRAY.astype(">i2").T.tobytes(), mtime=0), "gzip"),
        ([], " ".join(map(str, ARRAY.T.ravel())).encode(), "ascii"),
        ([], VOXELS.hex().encode(), "hex"),
    ],
)
def test_voxels_of_a_nrrd_are_found_wherever_and_however_they_are_written(tmp_path, lines, voxels, encoding):
    taken(nrrd(tmp_path, LPS, DIRECTIONS, *lines, voxels=voxels, encoding=encoding))


def test_fewer_voxels_after_what_is_skipped_are_refused(tmp_path):
    for skip in ("byte skip: 2", "line skip: 1"):
        assert "its header announces 120 bytes of voxel data, but " in refused(nrrd(tmp_path, LPS, DIRECTIONS, skip))
    told = refused(nrrd(tmp_path, LPS, DIRECTIONS, "byte skip: 2", voxels=gzip.compress(VOXELS), encoding="gzip"))
    assert "its header announces 120 bytes of voxel data, but 118 are present" in told
    told = refused(nrrd(tmp_path, LPS, DIRECTIONS, "byte skip: -1", voxels=gzip.compress(b"abc"), encoding="gzip"))
    assert "its header announces 120 bytes of voxel data, but 3 are present" in told


def test_voxels_of_a_metaimage_are_found_wherever_and_however_they_are_written(tmp_path):
    big, packed = ARRAY.astype(">i2").T.tobytes(), zlib.compress(VOXELS)
    taken(metaimage(tmp_path, b"anything" + VOXELS, HeaderSize="-1"))
    taken(metaimage(tmp_path, big, BinaryDataByteOrderMSB="True"))
    taken(metaimage(tmp_path, big, ElementByteOrderMSB="True"))
    taken(metaimage(tmp_path, zlib.compress(big), BinaryDataByteOrderMSB="True", CompressedData="True"))
    taken(metaimage(tmp_path, packed, CompressedData="True", CompressedDataSize=str(len(packed))))
    taken(metaimage(tmp_path, " ".join(map(str, ARRAY.T.ravel())).encode() + b"\n", BinaryData="False"))
    (tmp_path / "scan.raw").write_bytes(b"12345678" + VOXELS)
    for skip in ("8", "-1"):
        taken(metaimage(tmp_path, b"", HeaderSize=skip, ElementDataFile="scan.raw"))
