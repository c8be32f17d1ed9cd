"""Cases of several channels: read, checked, normalized each by itself, and cut into patches together."""

import h5py
import numpy as np
import pytest
import torch

from helpers.channels import CHANNELS, PLACE, SIZE, data_of, scan, two_channels
from lassl.data.label_split import LabelSplit
from lassl.data.patches import PatchSource, random_patch
from lassl.data.pooling import pooled_image
from lassl.data.prepare import prepare
from lassl.data.prepared import open_prepared
from lassl.data.raw import find_layout
from lassl.images.geometry import Geometry, Volume
from lassl.images.grids import Grid, onto, wanted
from lassl.images.intensities import normalize
from lassl.images.volumes import write_volume
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import BatchSize, Patches

pytestmark = pytest.mark.slow

EVERYTHING = (slice(None), slice(None), slice(None))


@pytest.fixture
def cohort(tmp_path):
    return open_prepared(two_channels(tmp_path).prepared)


def refused(data) -> list[str]:
    with pytest.raises(LasslError) as error:
        prepare(data)
    assert not data.prepared.exists()
    return str(error.value).splitlines()


def test_each_channel_is_normalized_by_itself_and_the_prepared_image_has_both(cohort):
    t1, flair, label = scan("A")
    image = cohort.read_image("A")
    assert image.shape == (2, *SIZE) and image.dtype == np.float32
    for found, channel in zip(image, (t1, flair), strict=True):
        np.testing.assert_array_equal(found, normalize(channel, EVERYTHING))
    np.testing.assert_array_equal(cohort.read_label("A"), label)
    assert cohort.channels == CHANNELS and cohort.manifest.options["channels"] == list(CHANNELS)
    assert cohort.cases["A"].shape == cohort.cases["A"].full_size == SIZE
    with h5py.File(cohort.folder / "A.h5") as file:
        assert file["image"].shape == (2, *SIZE) and file["label"].shape == SIZE


def test_a_crop_and_a_clip_hold_for_all_channels(tmp_path):
    changes = {"crop": "label", "min_size": (12, 12, 12), "normalize": {"clip": (-1.0, 1.5)}}
    cohort = open_prepared(two_channels(tmp_path, **changes).prepared)
    case, (t1, flair, _) = cohort.cases["B"], scan("B")
    assert case.shape != SIZE
    box = tuple(slice(a, a + n) for a, n in zip(case.crop_start, case.shape, strict=True))
    for found, channel in zip(cohort.read_image("B"), (t1, flair), strict=True):
        np.testing.assert_array_equal(found, normalize(channel, box, (-1.0, 1.5)))


def test_channels_are_brought_to_another_grid_each(tmp_path):
    data = two_channels(tmp_path, spacing_mm=(1.5, 1.0, 2.0), orientation="RAS")
    cohort = open_prepared(data.prepared)
    grid = wanted(Grid(SIZE, PLACE), "RAS", (1.5, 1.0, 2.0))
    assert cohort.cases["A"].shape == grid.size and cohort.cases["A"].raw.size == SIZE
    for found, channel in zip(cohort.read_image("A"), scan("A")[:2], strict=True):
        np.testing.assert_array_equal(found, onto(Volume(normalize(channel, EVERYTHING), PLACE), grid))
    turned = open_prepared(two_channels(tmp_path / "turned", orientation="RAS").prepared)
    np.testing.assert_array_equal(
        turned.read_image("A"),
        np.flip(open_prepared(two_channels(tmp_path / "as it is").prepared).read_image("A"), (1, 2)),
    )


def test_the_order_of_channels_is_that_of_the_setting_and_one_of_another_name_is_an_image(tmp_path):
    swapped = open_prepared(two_channels(tmp_path / "a", channels=("flair", "t1")).prepared)
    both = open_prepared(two_channels(tmp_path / "b").prepared)
    np.testing.assert_array_equal(swapped.read_image("A"), both.read_image("A")[::-1])
    only = open_prepared(two_channels(tmp_path / "c", channels=("flair",)).prepared)
    np.testing.assert_array_equal(only.read_image("A"), both.read_image("A")[1])
    assert only.read_image("A").shape == SIZE and only.channels == ("flair",)


def test_the_usual_channel_leaves_no_trace(tmp_path):
    data = data_of(tmp_path, channels=("image",))
    assert "channels" not in data.model_dump()
    for case in data.folder.iterdir():
        (case / "t1.nii.gz").rename(case / "image.nii.gz")
    prepare(data)
    cohort = open_prepared(data.prepared)
    assert cohort.channels is None and "channels" not in cohort.manifest.options
    assert cohort.read_image("A").shape == SIZE


def test_a_channel_that_a_case_lacks_is_told(tmp_path):
    data = data_of(tmp_path)
    (data.folder / "B/flair.nrrd").unlink()
    (data.folder / "T/t1.nii.gz").unlink()
    one, other = refused(data)
    assert one.startswith(f"{data.folder}/B/flair.nrrd: flair not found (nor flair.nii.gz, ")
    assert other.startswith(f"{data.folder}/T/t1.nrrd: t1 not found (nor t1.nii.gz, ")
    assert one.endswith("but every case needs it; add it or delete the case from the split file")


def test_channels_on_different_grids_are_told(tmp_path):
    data = data_of(tmp_path)
    shifted = Geometry(PLACE.spacing_mm, (3.0, -4.0, 6.0))
    write_volume(data.folder / "B/flair.nrrd", Volume(scan("B")[1], shifted))
    write_volume(data.folder / "C/flair.nrrd", Volume(scan("C")[1][1:], PLACE))
    place, size = refused(data)
    first = "its first channel, {}/{}/t1.nii.gz, has"
    assert place == (
        f"{data.folder}/B/flair.nrrd: found origin_mm (3.0, -4.0, 6.0), but {first.format(data.folder, 'B')} "
        "(3.0, -4.0, 5.0); resample the channels of a scan to one grid"
    )
    assert size == (
        f"{data.folder}/C/flair.nrrd: found size (23, 20, 18), but {first.format(data.folder, 'C')} {SIZE}; "
        "resample the channels of a scan to one grid"
    )


def test_a_channel_without_contrast_is_told_by_its_file(tmp_path):
    data = data_of(tmp_path)
    write_volume(data.folder / "B/flair.nrrd", Volume(np.full(SIZE, 7, np.int16), PLACE))
    (line,) = refused(data)
    assert line == f"{data.folder}/B/flair.nrrd: the image is constant, every voxel is 7; export the scan again"


@pytest.mark.parametrize("name", ["image.nrrd", "lgemri.nrrd", "mri_norm2.h5", "other.nrrd"])
def test_scans_of_another_layout_or_name_are_refused_in_one_line(tmp_path, name):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / name).touch()
    with pytest.raises(LasslError) as error:
        find_layout(tmp_path, CHANNELS)
    found = "no such scans" if name == "other.nrrd" else f"{name} of each case"
    assert str(error.value) == (
        f"{tmp_path}: data.channels: found {found}, expected <CASE>/t1.nrrd with <CASE>/flair.nrrd (or .nii.gz, .nii, "
        ".mha, .mhd); put or link the files there, or leave data.channels out"
    )


def test_a_scan_that_is_there_twice_is_found_by_its_first_channel(tmp_path):
    data = data_of(tmp_path)
    write_volume(data.folder / "U/t1.nii.gz", Volume(scan("A")[0], PLACE))
    (line,) = refused(data)
    assert line.startswith(f"{data.folder / 'U'}: same image as case A (correlation of small copies: 1.0000)")


def test_patches_of_all_channels_are_cut_turned_and_pooled_together(cohort):
    generator = np.random.default_rng
    image, label = cohort.read_image("A"), cohort.read_label("A")
    pooled = pooled_image(image, 2)
    for found, channel in zip(pooled, image, strict=True):
        np.testing.assert_array_equal(found, pooled_image(channel, 2))
    size = (16, 16, 24)  # longer than the scan along z
    for seed in range(8):
        both, mask = random_patch([torch.from_numpy(image), torch.from_numpy(label)], size, generator(seed))
        for found, channel in zip(both, image, strict=True):
            alone, other = random_patch([torch.from_numpy(channel), torch.from_numpy(label)], size, generator(seed))
            assert torch.equal(found, alone) and torch.equal(mask, other)


def test_a_batch_has_the_channels_and_counts_them_in_its_memory(cohort):
    split, size = LabelSplit(("A", "B"), ("C",), ()), BatchSize(labeled=2, unlabeled=1)
    batch = (source := PatchSource(cohort, split, Patches(pool=1, size=(16, 16, 16)), size, 0))[0]
    assert batch.image.shape == (3, 2, 16, 16, 16) and batch.label.shape == (2, 16, 16, 16)
    assert source.channels == 2 and source.batch_bytes == batch.image.nbytes + batch.label.nbytes
