"""Damaged image files: none is read as if it were whole, in whatever format and whichever way it is read."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.scans import IMAGES, SIZE, numbered
from lassl.images import whole_files
from lassl.images.geometry import Volume
from lassl.images.volumes import read_volume, to_image
from lassl.plumbing.errors import LasslError
from lassl.predict.scan_files import read_scan

VOXELS = {
    "scan.mhd": ("scan.raw", "scan.zraw"),
    "scan.nhdr": ("scan.raw", "scan.raw.gz"),
}  # beside a header: raw, packed


def blobs() -> Volume:
    """A mask, which packs well: a damaged byte in it does not show by itself."""
    mask = np.zeros((40, 40, 40), np.uint8)
    mask[10:30, 15:25, 12:36] = 1
    return Volume(mask)


def put(folder, name, volume: Volume, packed: bool):
    """Write a volume; the paths of its file, and of the one that has its voxels."""
    sitk.WriteImage(to_image(volume), str(folder / name), packed)
    return folder / name, folder / VOXELS[name][packed] if name in VOXELS else folder / name


def refused(path) -> str:
    with pytest.raises(LasslError) as error:
        read_volume(path)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))
    return str(error.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [f"scan{suffix}" for suffix in (*IMAGES, ".nhdr")])
def test_a_file_cut_anywhere_is_refused(tmp_path, capfd, name, packed):
    volume = Volume(np.random.default_rng(0).integers(0, 255, (15, 14, 13)).astype("int16"))
    path, voxels = put(tmp_path, name, volume, packed)
    content = voxels.read_bytes()
    np.testing.assert_array_equal(read_volume(path).array, volume.array)
    for length in (*np.linspace(0, len(content), 9, dtype=int)[:-1], int(0.6 * len(content)), len(content) - 1):
        voxels.write_bytes(content[:length])
        told = refused(path)
        assert told.endswith("copy it again") or length == 0
    assert capfd.readouterr().err == ""  # nothing of the library's own in between


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii.gz", "scan.mha", "scan.mhd", "scan.nhdr"])
def test_a_damaged_byte_in_packed_voxels_is_found_by_their_checksum(tmp_path, name):
    path, voxels = put(tmp_path, name, blobs(), packed=True)
    content = voxels.read_bytes()
    start = {"scan.nrrd": content.find(b"\n\n") + 2, "scan.mha": content.find(b"LOCAL\n") + 6}.get(name, 0)
    for at in np.linspace(start, len(content) - 1, 60, dtype=int):
        voxels.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        try:
            np.testing.assert_array_equal(
                read_volume(path).array, blobs().array
            )  # the time in a gzip's head may be any
        except LasslError as error:
            assert str(error).endswith("copy it again")
            continue
        assert at - start < 10


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mha", "scan.nrrd"])
def test_what_follows_the_voxels_does_no_harm(tmp_path, name):
    path, _ = put(tmp_path, name, numbered(), packed=name != "scan.nii")
    path.write_bytes(path.read_bytes() + b"\0" * 20)
    np.testing.assert_array_equal(read_volume(path).array, numbered().array)


def test_a_gzip_of_several_parts_is_read_to_the_end_of_the_last(tmp_path):
    path, _ = put(tmp_path, "scan.nii", numbered(), packed=False)
    content = path.read_bytes()
    parts = [gzip.compress(content[:500]), gzip.compress(content[500:])]
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(parts))
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nii.gz").array, numbered().array)
    (tmp_path / "scan.nii.gz").write_bytes(parts[0])
    assert "its header announces 420 bytes of voxel data, but " in refused(tmp_path / "scan.nii.gz")
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(parts)[:-3])
    assert "the compressed voxels end early" in refused(tmp_path / "scan.nii.gz")


def test_a_header_without_its_file_of_voxels_says_which_to_copy(tmp_path):
    path, voxels = put(tmp_path, "scan.mhd", numbered(), packed=True)
    voxels.unlink()
    assert refused(path).endswith(
        "scan.mhd: its voxels are in scan.zraw, which was not found; copy both files into one folder"
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", VOXELS)
def test_voxels_in_a_file_whose_name_is_not_of_ascii_are_found(tmp_path, name, packed):
    put(tmp_path, name, numbered(), packed)
    path, voxels = tmp_path / name, tmp_path / VOXELS[name][packed]
    path.write_bytes(path.read_bytes().replace(voxels.name.encode(), "Jürgen.raw".encode()))
    voxels.rename(tmp_path / "Jürgen.raw")
    np.testing.assert_array_equal(read_volume(path).array, numbered().array)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_voxels_of_every_type_are_counted(tmp_path, dtype, packed):
    for name in ("scan.mha", "scan.nii", "scan.nrrd"):
        path, _ = put(tmp_path, name, numbered(dtype), packed)
        np.testing.assert_array_equal(read_volume(path).array, numbered(dtype).array)
        path.write_bytes(path.read_bytes()[:-1])
        refused(path)


def test_a_metaimage_in_several_files_is_refused(tmp_path):
    path, _ = put(tmp_path, "scan.mhd", numbered(), packed=False)
    path.write_text(path.read_text().replace("= scan.raw", "= LIST\nscan.raw"))
    assert "in several files, expected one; write it as one image file" in refused(path)


def test_packed_voxels_whose_size_the_header_lacks_are_read(tmp_path):
    path, _ = put(tmp_path, "scan.mha", blobs(), packed=True)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith(b"CompressedDataSize")))
    np.testing.assert_array_equal(read_volume(path).array, blobs().array)


def test_a_nrrd_whose_header_has_no_end_is_refused(tmp_path):
    path, _ = put(tmp_path, "scan.nrrd", blobs(), packed=True)
    path.write_bytes(path.read_bytes().replace(b"\n\n", b"\n"))
    assert "the header has no end" in refused(path)


def test_other_formats_under_a_known_name_are_not_read(tmp_path):
    sitk.WriteImage(to_image(Volume(numbered("uint8").array)), str(tmp_path / "scan.dcm"))
    for name, told in {
        "scan.nrrd": "the first line is not that of an NRRD",
        "scan.nii": "it does not have the header of a single NIfTI file",
        "scan.mha": "the header has no end",
    }.items():
        (tmp_path / name).write_bytes((tmp_path / "scan.dcm").read_bytes())
        assert told in refused(tmp_path / name)


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_sheared_axes_are_refused_in_formats_that_can_hold_them(tmp_path, name):
    image = sitk.GetImageFromArray(np.zeros(SIZE, np.uint8))
    image.SetDirection((1, 0, 0.05, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / name))
    assert "expected axes at right angles and of length 1" in refused(tmp_path / name)


def test_axes_in_one_plane_are_refused_as_sheared(tmp_path):
    path, _ = put(tmp_path, "scan.mha", numbered("uint8"), packed=False)
    lines = [
        b"TransformMatrix = 1 0 0 1 0 0 0 0 1" if b"TransformM" in x else x for x in path.read_bytes().split(b"\n")
    ]
    path.write_bytes(b"\n".join(lines))
    assert "expected axes at right angles" in refused(path)


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nhdr", "scan.mha", "scan.mhd", "scan.nii.gz"])
def test_a_packed_file_is_unpacked_once(tmp_path, monkeypatch, name):
    path, _ = put(tmp_path, name, numbered(), packed=True)
    calls = []
    monkeypatch.setattr(whole_files, "_pieces", lambda *a, real=whole_files._pieces: calls.append(a) or real(*a))
    for reader in ("Execute", "ReadImage"):
        monkeypatch.setattr(sitk.ImageFileReader, reader, None, raising=False)
    monkeypatch.setattr(sitk, "ReadImage", None)
    np.testing.assert_array_equal(read_volume(path).array, numbered().array)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_packed_voxels_of_which_there_are_more_than_the_header_tells_are_refused(tmp_path, name):
    path, _ = put(tmp_path, name, numbered(), packed=True)
    content = path.read_bytes()
    for old, new in ((b"sizes: 7 6 5", b"sizes: 7 6 4"), (b"DimSize = 7 6 5", b"DimSize = 7 6 4")):
        content = content.replace(old, new)
    path.write_bytes(content)
    assert "its header announces 336 bytes of voxel data, but 420 are present" in refused(path)


def test_predict_reads_through_the_same_check(tmp_path):
    path, _ = put(tmp_path, "scan.nii", numbered(), packed=False)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        LasslError,
        match=r"scan\.nii: cannot be read \(its header announces 420 bytes of voxel data, but 419 are present",
    ):
        read_scan(path)
