"""Tests of preparing raw scans: both forms, every kind of bad input, crops and their way back."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from helpers.scans import locked_folder
from lassl.data.prepare import crop_box, prepare
from lassl.data.prepared import Prepared, open_prepared
from lassl.images import volumes
from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.structures import listed_values
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Data

pytestmark = pytest.mark.slow

RAW, PREPARED = Path("raw"), Path("data/prepared/trial")
SIZE = (13, 9, 6)
GEOMETRY = Geometry((0.6, 0.7, 1.5), (-30.0, 8.5, 1.25), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
CASES = {"B": "train", "A": "train", "T": "test"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder for each test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def image_of(case: str) -> Array:
    return np.random.default_rng(ord(case)).integers(0, 256, SIZE, dtype=np.uint8)


def label_of(case: str) -> Array:
    label = np.zeros(SIZE, np.uint8)
    label[4:8, 3:5, 2:5] = 1
    label[4, 3, ord(case) % 3 + 2] = 0  # no symmetry
    return label


def write_nrrd(case: str, image: Array | None = None, label: Array | None = None) -> None:
    image, label = image_of(case) if image is None else image, label_of(case) * 255 if label is None else label
    volumes.write_volume(RAW / case / "lgemri.nrrd", Volume(image, GEOMETRY))
    volumes.write_volume(RAW / case / "laendo.nrrd", Volume(label, GEOMETRY))


def write_h5(case: str, **changes: Any) -> None:
    (RAW / case).mkdir(parents=True, exist_ok=True)
    arrays = {"image": (image_of(case) / np.float32(7) - 3).astype(np.float32), "label": label_of(case), **changes}
    with h5py.File(RAW / case / "mri_norm2.h5", "w") as file:
        for key, array in arrays.items():
            if array is not None:
                file.create_dataset(key, data=array)


def data(**changes: Any) -> Data:
    options = {"crop": "label", "crop_z": False, "margin": (1, 2), "margins": "seeded", "min_size": (2, 3, 4)}
    place = {"cohort": "trial", "folder": RAW, "split": Path("split.csv"), "seed": 0}
    return Data.model_validate({**place, **options, **changes})


def write_split(cases: dict[str, str]) -> None:
    Path("split.csv").write_text("case,split\n" + "".join(f"{case},{part}\n" for case, part in cases.items()))


def prepare_nrrd(**changes: Any) -> Prepared:
    write_split(CASES)
    for case in CASES:
        write_nrrd(case)
    prepare(data(**changes))
    return open_prepared(PREPARED)


def problems(**changes: Any) -> list[str]:
    with pytest.raises(LasslError) as error:
        prepare(data(**changes))
    return str(error.value).splitlines()


def region(prepared: Prepared, case: str) -> tuple[slice, ...]:
    entry = prepared.cases[case]
    return tuple(slice(start, start + n) for start, n in zip(entry.crop_start, entry.shape, strict=True))


def test_a_challenge_case_is_normalized_as_a_whole_and_then_cropped() -> None:
    prepared = prepare_nrrd()
    assert prepared.manifest.layout == "challenge" and list(prepared.cases) == ["B", "A", "T"]
    for case in CASES:
        image = image_of(case).astype(np.float64)
        found, box = prepared.read_image(case), region(prepared, case)
        assert found.dtype == np.float32 and found.shape[2] == SIZE[2] and found.size < image.size
        np.testing.assert_allclose(found, ((image - image.mean()) / image.std())[box], atol=1e-6)
        np.testing.assert_array_equal(prepared.read_label(case), label_of(case)[box])
        assert prepared.read_label(case).sum() == label_of(case).sum()


def test_a_prepared_case_carries_its_place_and_the_hashes_of_its_arrays() -> None:
    prepared = prepare_nrrd()
    for case, entry in prepared.cases.items():
        with h5py.File(PREPARED / f"{case}.h5") as file:
            assert tuple(file.attrs["spacing_mm"]) == entry.spacing_mm == GEOMETRY.spacing_mm
            assert tuple(file.attrs["origin_mm"]) == entry.origin_mm == GEOMETRY.origin_mm
            assert tuple(file.attrs["direction"]) == entry.direction == GEOMETRY.direction
            assert tuple(file.attrs["crop_start"]) == entry.crop_start
            assert tuple(file.attrs["full_size"]) == entry.full_size == SIZE
        assert entry.image_sha256 == hashlib.sha256(prepared.read_image(case).tobytes()).hexdigest()
        assert entry.label_sha256 == hashlib.sha256(prepared.read_label(case).tobytes()).hexdigest()


def test_folders_that_may_not_be_looked_into_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_nrrd()
    with monkeypatch.context() as locked:
        locked_folder(locked, RAW / "A")
        assert problems() == [f"{RAW / 'A'}: permission denied; check its owner and permissions (`ls -ld`)"]
    locked_folder(monkeypatch, RAW)
    assert problems()[0].startswith("raw: permission denied")


def test_pasting_a_label_back_gives_the_raw_mask_exactly() -> None:
    prepared = prepare_nrrd()
    for case in CASES:
        pasted = prepared.paste(case, prepared.read_label(case))
        np.testing.assert_array_equal(pasted.array, label_of(case))
        assert pasted.geometry == volumes.read_volume(RAW / case / "laendo.nrrd").geometry


def test_an_h5_case_is_kept_as_it_is_whatever_the_crop() -> None:
    write_split(CASES)
    for case in CASES:
        write_h5(case)
    prepare(data(crop="label"))
    prepared = open_prepared(PREPARED)
    assert prepared.manifest.layout == "h5"
    for case in CASES:
        np.testing.assert_array_equal(
            prepared.read_image(case), (image_of(case) / np.float32(7) - 3).astype(np.float32)
        )
        np.testing.assert_array_equal(prepared.read_label(case), label_of(case))
        assert (prepared.full_size(case), prepared.crop_start(case)) == (SIZE, (0, 0, 0))
        assert prepared.geometry(case) == Geometry(spacing_mm=(0.625, 0.625, 0.625))


def test_h5_scans_written_out_as_nrrd_are_prepared_alike_up_to_the_normalization() -> None:
    write_split(CASES)
    for case in CASES:
        write_h5(case)
    prepare(data(cohort="by_h5"))
    by_h5 = open_prepared(Path("data/prepared/by_h5"))
    for case in CASES:
        (RAW / case / "mri_norm2.h5").unlink()
        write_nrrd(case, by_h5.read_image(case), by_h5.read_label(case))
    prepare(data(crop="none"))
    again = open_prepared(PREPARED)
    for case in CASES:
        before, after = by_h5.read_image(case), again.read_image(case)
        assert after.shape == before.shape == SIZE
        scale = float(after.std() / before.std())
        np.testing.assert_allclose(after - after.mean(), (before - before.mean()) * scale, atol=1e-5)
        np.testing.assert_array_equal(again.read_label(case), by_h5.read_label(case))


def test_a_train_case_without_label_is_kept_whole_and_unlabeled() -> None:
    write_split(CASES)
    for case in CASES:
        write_nrrd(case)
    (RAW / "A" / "laendo.nrrd").unlink()
    prepare(data())
    prepared = open_prepared(PREPARED)
    assert prepared.with_label == {"B", "T"}
    assert prepared.read_image("A").shape == prepared.full_size("A") == SIZE
    assert prepared.cases["A"].label_sha256 is None and not prepared.cases["A"].labeled
    with h5py.File(PREPARED / "A.h5") as file:
        assert list(file) == ["image"]


def test_an_h5_train_case_without_label_is_unlabeled() -> None:
    write_split(CASES)
    for case in CASES:
        write_h5(case, **({"label": None} if case == "A" else {}))
    prepare(data())
    assert open_prepared(PREPARED).with_label == {"B", "T"}


def margins_of(box: tuple[slice, ...], label: Array) -> list[int]:
    inside = [np.flatnonzero(label.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return [
        m for side, i in zip(box, inside, strict=True) for m in (int(i[0]) - side.start, side.stop - 1 - int(i[-1]))
    ]


def test_margins_are_drawn_for_each_side_and_case_with_both_ends_included() -> None:
    label = np.zeros((40, 36, 32), np.uint8)
    label[12:30, 14:20, 15:17] = 1
    boxes = [crop_box(label, data(margin=(2, 5), min_size=(1, 1, 1), crop_z=True), f"case {i}") for i in range(40)]
    found = np.array([margins_of(box, label) for box in boxes])
    for before, after in (found.T[i : i + 2] for i in (0, 2, 4)):
        assert set(before.tolist()) == {2, 3, 4, 5}
        assert set(after.tolist()) == {1, 2, 3, 4}  # the published rule ends before the voxel that it names
    assert len({tuple(row) for row in found.tolist()}) == 40


def test_z_is_cropped_only_on_demand_which_moves_no_other_side() -> None:
    whole, cropped = (crop_box(label_of("A"), data(crop_z=crop_z, margin=(0, 1)), "A") for crop_z in (False, True))
    assert whole[2] == slice(0, SIZE[2]) and cropped[2] != whole[2]
    assert whole[:2] == cropped[:2]


def test_another_seed_draws_other_margins() -> None:
    label = np.zeros((40, 36, 32), np.uint8)
    label[15:20, 14:20, 15:17] = 1
    assert len({str(crop_box(label, data(margin=(0, 9), seed=seed), "A")) for seed in range(5)}) == 5


def test_a_narrow_label_is_widened_first_and_gets_its_margins_outside_of_that_as_far_as_the_volume_goes() -> None:
    label = np.zeros((40, 30, 9), np.uint8)
    label[20:23, 27, 4] = 1
    options = data(margin=(3, 3), min_size=(8, 12, 50), crop_z=True)
    # x: a, b = 20, 22, half (8 - 2) // 2 = 3: 14..28; y: 27, 27, half 6: 18..36, which ends at 30; z: all there is
    assert crop_box(label, options, "A") == (slice(14, 28), slice(18, 30), slice(0, 9))


def test_a_label_at_the_edge_is_cropped_there() -> None:
    label = np.zeros((20, 30, 9), np.uint8)
    label[:5, 25:, 4] = 1
    assert crop_box(label, data(margin=(3, 3), min_size=(2, 2, 2)), "A") == (slice(0, 7), slice(22, 30), slice(0, 9))


def test_no_margin_and_no_widening_still_keep_the_whole_label() -> None:
    label = np.zeros((20, 30, 9), np.uint8)
    label[3:9, 10:20, 2:4] = 1
    tight = crop_box(label, data(margin=(0, 0), min_size=(1, 1, 1), crop_z=True), "A")
    assert tight == (slice(3, 9), slice(10, 20), slice(2, 4))


def test_crops_of_scans_as_large_as_real_ones_have_the_sizes_of_the_fields_h5() -> None:
    """Labels span 123 to 210 voxels along x and 69 to 129 along y in the real scans; the h5 are 148-244 x 132-160."""
    chance = np.random.default_rng(0)
    published = data(margin=(10, 19), min_size=(112, 112, 80))
    sizes = []
    for i in range(60):
        extents = chance.integers((123, 69, 40), (211, 130, 81)) if i else np.array([210, 129, 80])
        label = np.zeros((576, 576, 88), np.uint8)
        start = chance.integers((100, 150, 2), (360, 440, 8))
        label[tuple(slice(a, a + n) for a, n in zip(start, extents, strict=True))] = 1
        box = crop_box(label, published, f"case {i}")
        sizes.append([side.stop - side.start for side in box])
        assert label[box].sum() == label.sum()
        for side, a, n in zip(box[:2], start, extents, strict=False):
            half = max(112 - (n - 1), 0) // 2
            assert 10 <= a - half - side.start <= 19 and 10 <= side.stop - half - (a + n - 1) <= 19
    x, y, z = np.array(sizes).T
    assert 142 <= x.min() and x.max() <= 247  # 122..209 and margins of 20..38
    assert 131 <= y.min() and y.max() <= 166  # 111..128 and margins of 20..38
    assert set(z) == {88}


def with_neighbor(case: str) -> Array:
    """The label of a case in two values, 47 and 48, beside another structure, 9."""
    label = label_of(case) * np.uint8(47)
    label[5:][label[5:] > 0] = 48
    label[0, 0] = 9
    return label


def test_one_structure_out_of_many_values_is_prepared_as_if_it_alone_were_drawn() -> None:
    alone = prepare_nrrd()
    for case in CASES:
        write_nrrd(case, label=with_neighbor(case))
    prepare(data(structures={"hippocampus": [47, 48]}))
    prepared = open_prepared(PREPARED)
    for case in CASES:
        assert np.array_equal(prepared.read_label(case), alone.read_label(case))
    assert prepared.manifest.hash == alone.manifest.hash
    assert prepared.manifest.options == alone.manifest.options | {"structures": {"hippocampus": [47, 48]}}


def test_a_label_without_the_structure_is_one_line_with_the_values_that_it_has() -> None:
    write_split(CASES)
    for case in CASES:
        write_nrrd(case, label=with_neighbor(case))
    lines = problems(structures={"thalamus": [59]})
    assert len(lines) == len(CASES)
    assert "/laendo.nrrd: label values [0, 9, 47, 48], none of [59] (data.structures.thalamus); correct" in lines[0]


def test_several_structures_are_prepared_as_classes_and_cropped_together() -> None:
    write_split(CASES)
    for case in CASES:
        write_nrrd(case, label=with_neighbor(case))
    prepare(data(structures={"right": [48], "left": [47, 11]}))
    prepared = open_prepared(PREPARED)
    for case in CASES:
        pasted = prepared.paste(case, prepared.read_label(case)).array
        expected = with_neighbor(case)
        np.testing.assert_array_equal(pasted, 1 * (expected == 48) + 2 * (expected == 47))


def test_a_label_with_none_of_several_structures_is_one_line() -> None:
    write_split(CASES)
    for case in CASES:
        write_nrrd(case, label=with_neighbor(case))
    assert "none of [5, 59] (data.structures); correct" in problems(structures={"thalamus": [59], "other": [5]})[0]


def test_the_values_of_a_label_are_listed_up_to_a_dozen() -> None:
    assert listed_values(np.arange(40, dtype=np.uint8)).endswith("10, 11, ... (40 in all)]")
    assert listed_values(np.array([0, 0.5])) == "[0, 0.5]"


@pytest.mark.parametrize(
    ("structures", "told"),
    [
        ({}, "at least 1"),
        ({"a": [1, 2], "b": [3, 2]}, "value 2 is in a and in b"),
        ({"a": [0]}, "greater than or equal to 1"),
        ({"a": []}, "at least 1"),
        ({"a b": [1]}, "match pattern"),
    ],
)
def test_structures_are_names_with_values_of_their_own(structures: dict[str, list[int]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        data(structures=structures)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_result_does_not_depend_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for workers in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda workers=workers: workers)
        prepare_nrrd()
        results.append(files_of(PREPARED))
    assert results[0] == results[1] and len(results[0]) == 4


def test_the_order_of_the_split_moves_no_crop_and_is_the_order_of_the_manifest() -> None:
    first = prepare_nrrd()
    write_split(dict(reversed(CASES.items())))
    prepare(data())
    second = open_prepared(PREPARED)
    assert list(second.cases) == ["A", "B", "T"]
    assert first.cases == second.cases and first.manifest_hash != second.manifest_hash


def test_the_hash_does_not_depend_on_where_the_scans_are() -> None:
    first = prepare_nrrd()
    Path("linked").symlink_to(RAW, target_is_directory=True)
    prepare(data(folder=Path("linked"), cohort="other"))
    assert open_prepared(Path("data/prepared/other")).manifest_hash == first.manifest_hash


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_voxel(array: Array, value: float) -> Array:
    array = array.copy()
    array[1, 2, 3] = value
    return array


def flat_nrrd() -> None:
    sitk.WriteImage(sitk.GetImageFromArray(image_of("A")[0]), "raw/A/lgemri.nrrd")


def other_geometry(**changes: Any) -> None:
    place = Geometry(**{**vars(GEOMETRY), **changes})
    volumes.write_volume(RAW / "A/laendo.nrrd", Volume(label_of("A"), place))


def write_hollow(case: str, chunks: tuple[int, int, int] | None) -> None:
    """An h5 whose label is as large as it should be, and not all in the file."""
    write_h5(case, label=None)
    with h5py.File(RAW / case / "mri_norm2.h5", "r+") as file:
        label = file.create_dataset("label", label_of(case).shape, "uint8", chunks=chunks)
        if chunks:
            label[:6] = label_of(case)[:6] > 0


SPOILED_NRRD: dict[str, tuple[Callable[[], Any], str]] = {
    "no image": (lambda: (RAW / "A/lgemri.nrrd").unlink(), "A/lgemri.nrrd: image not found"),
    "truncated image": (lambda: truncate(RAW / "A/lgemri.nrrd"), "A/lgemri.nrrd: cannot be read"),
    "truncated label": (lambda: truncate(RAW / "A/laendo.nrrd"), "A/laendo.nrrd: cannot be read"),
    "a text file": (lambda: (RAW / "A/lgemri.nrrd").write_text("scan"), "A/lgemri.nrrd: cannot be read"),
    "no test label": (
        lambda: (RAW / "T/laendo.nrrd").unlink(),
        "T/laendo.nrrd: label not found, but a test case needs it",
    ),
    "swapped axes": (
        lambda: write_nrrd("A", label=np.ascontiguousarray(label_of("A").transpose(1, 0, 2))),
        "A/laendo.nrrd: found size (9, 13, 6), but its image has (13, 9, 6)",
    ),
    "spacing": (
        lambda: other_geometry(spacing_mm=(0.6, 0.7, 1.6)),
        "A/laendo.nrrd: found spacing_mm (0.6, 0.7, 1.6), but",
    ),
    "origin": (
        lambda: other_geometry(origin_mm=(-30.0, 9.5, 1.25)),
        "A/laendo.nrrd: found origin_mm (-30.0, 9.5, 1.25), but",
    ),
    "direction": (lambda: other_geometry(direction=Geometry().direction), "A/laendo.nrrd: found direction (1.0, 0.0"),
    "label value 2": (
        lambda: write_nrrd("A", label=with_voxel(label_of("A"), 2)),
        "A/laendo.nrrd: found label values [0, 1, 2]",
    ),
    "1 and 255": (
        lambda: write_nrrd("A", label=with_voxel(label_of("A"), 255)),
        "A/laendo.nrrd: found label values [0, 1, 255]",
    ),
    "empty label": (lambda: write_nrrd("A", label=label_of("A") * 0), "A/laendo.nrrd: the label is empty"),
    "full label": (
        lambda: write_nrrd("A", label=label_of("A") * 0 + 255),
        "A/laendo.nrrd: the label fills the whole image, every voxel is 255",
    ),
    "NaN": (
        lambda: write_nrrd("A", with_voxel(image_of("A").astype(np.float32), np.nan)),
        "A/lgemri.nrrd: 1 voxels are NaN or infinite",
    ),
    "infinite": (
        lambda: write_nrrd("A", with_voxel(image_of("A").astype(np.float32), -np.inf)),
        "A/lgemri.nrrd: 1 voxels are NaN or infinite",
    ),
    "constant": (
        lambda: write_nrrd("A", image_of("A") * 0 + 9),
        "A/lgemri.nrrd: the image is constant, every voxel is 9",
    ),
    "2-D": (flat_nrrd, "A/lgemri.nrrd: found a 2-D"),
    "twice": (lambda: write_nrrd("T", image_of("B")), "T: same image as case B"),
    "no folder": (lambda: (RAW / "A").rename(RAW / "Z"), "A: case folder not found"),
}

SPOILED_H5: dict[str, tuple[Callable[[], Any], str]] = {
    "truncated": (lambda: truncate(RAW / "T/mri_norm2.h5"), "T/mri_norm2.h5: cannot be read"),
    "no file": (lambda: (RAW / "A/mri_norm2.h5").unlink(), "A/mri_norm2.h5: image not found"),
    "no image": (lambda: write_h5("A", image=None), "A/mri_norm2.h5: image not found"),
    "no test label": (lambda: write_h5("T", label=None), "T/mri_norm2.h5: label not found, but a test case needs it"),
    "image type": (lambda: write_h5("A", image=image_of("A")), "A/mri_norm2.h5: image is 3-D uint8"),
    "label type": (lambda: write_h5("A", label=label_of("A") * 1.0), "A/mri_norm2.h5: label is 3-D float64"),
    "2-D": (lambda: write_h5("A", label=label_of("A")[0]), "A/mri_norm2.h5: label is 2-D uint8"),
    "sizes": (
        lambda: write_h5("A", label=label_of("A")[:, 1:]),
        "A/mri_norm2.h5: found size (13, 8, 6), but its image has",
    ),
    "no voxels": (
        lambda: write_h5("A", image=np.zeros((0, 9, 6), np.float32), label=None),
        "A/mri_norm2.h5: the image has no voxels, its size is (0, 9, 6)",
    ),
    "full label": (
        lambda: write_h5("A", label=label_of("A") * 0 + 1),
        "A/mri_norm2.h5: the label fills the whole image, every voxel is 1",
    ),
    "never written": (lambda: write_hollow("A", None), "A/mri_norm2.h5: parts of the label were never written"),
    "written in part": (lambda: write_hollow("A", (6, 4, 3)), "A/mri_norm2.h5: parts of the label were never written"),
    "label value 3": (
        lambda: write_h5("A", label=with_voxel(label_of("A"), 3)),
        "A/mri_norm2.h5: found label values [0, 1, 3]",
    ),
    "twice": (
        lambda: write_h5("A", image=(image_of("B") / np.float32(7) - 3).astype(np.float32)),
        "A: same image as case B",
    ),
}


def assert_one_problem(spoil: Callable[[], Any], write: Callable[[str], None], expected: str) -> None:
    write_split(CASES)
    for case in CASES:
        write(case)
    spoil()
    (line,) = problems()
    assert line.startswith(f"raw/{expected}") and (";" in line or "expected" in line)
    assert list(Path("data/prepared").iterdir()) == []  # nothing half-written


@pytest.mark.parametrize("name", SPOILED_NRRD)
def test_bad_challenge_input_is_one_line_that_names_the_file_and_leaves_nothing_behind(name: str) -> None:
    spoil, expected = SPOILED_NRRD[name]
    assert_one_problem(spoil, write_nrrd, expected)


@pytest.mark.parametrize("name", SPOILED_H5)
def test_bad_h5_input_is_one_line_that_names_the_file_and_leaves_nothing_behind(name: str) -> None:
    spoil, expected = SPOILED_H5[name]
    assert_one_problem(spoil, write_h5, expected)


def test_all_problems_of_a_cohort_are_told_together_and_the_earlier_result_stays() -> None:
    prepare_nrrd()
    before = files_of(PREPARED)
    write_split({**CASES, "M": "train", "V": "valid"})
    write_nrrd("A", image_of("A") * 0, label_of("A") * 0)
    truncate(RAW / "T/lgemri.nrrd")
    truncate(RAW / "T/laendo.nrrd")
    starts = ("split.csv: line 6", "raw/A/lgemri", "raw/A/laendo", "raw/M:", "raw/T/lgemri", "raw/T/laendo")
    lines = problems()
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)
    assert files_of(PREPARED) == before and os.listdir("data/prepared") == ["trial"]


def test_a_folder_without_scans_tells_what_it_should_hold_and_how_to_get_it() -> None:
    write_split(CASES)
    for folder in ("missing", "."):
        (line,) = problems(folder=Path(folder))
        assert line.startswith(f"{folder}: found no scans, expected <CASE>/lgemri.nrrd") and "make la2018" in line
    assert not Path("data").exists()


def test_a_folder_with_both_forms_of_scans_is_not_guessed_at() -> None:
    write_split(CASES)
    write_nrrd("A")
    write_h5("B")
    (line,) = problems()
    assert line.startswith("raw: found scans in several layouts, expected one of")
