"""Scans of mixed grids are brought to one in preparation, and masks go back to the scans' own grids."""

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import ndimage

from lassl.data.prepare import prepare
from lassl.data.prepared import Prepared, open_prepared
from lassl.evaluation.evaluate import case_scores
from lassl.images.geometry import Array, Geometry, Volume, directions, orientation, volume_ml
from lassl.images.grids import Grid, classes_onto, covering, onto, turned, turned_grid, wanted
from lassl.images.volumes import read_volume, write_volume
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Data

pytestmark = pytest.mark.slow

RAW = Path("raw")
TILT = (0.96, -0.28, 0.0, 0.28, 0.96, 0.0, 0.0, 0.0, 1.0)
PLACES = {  # size, spacing, axes
    "A": ((40, 36, 30), (1.0, 1.0, 1.0), directions("LPS")),
    "B": ((30, 40, 36), (1.0, 1.0, 1.0), directions("SLP")),  # turned alone
    "C": ((28, 24, 12), (1.5, 1.5, 2.5), directions("RAS")),
    "T": ((50, 44, 26), (0.8, 0.8, 1.2), TILT),
    "U": ((40, 36, 30), (1.0, 1.0, 1.0), directions("LPS")),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data(**changes: Any) -> Data:
    options = {"crop": "label", "crop_z": True, "margin": (4, 5), "margins": "seeded", "min_size": (2, 3, 4), "seed": 0}
    place = {"cohort": "mixed", "folder": RAW, "split": Path("split.csv")}
    return Data.model_validate({**place, **options, **changes})


def draw(case: str, halves: bool = False) -> None:
    """A ball of 9 mm in the middle of a scan, of one value or of one for each of its halves, and texture."""
    size, spacing, direction = PLACES[case]
    place = Geometry(spacing, (5.0, -3.0, 8.0), direction)
    places = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1) @ place.steps_mm.T + place.origin_mm
    middle = place.steps_mm @ (np.array(size) - 1) / 2 + place.origin_mm
    away = places - middle
    inside = np.linalg.norm(away, axis=-1) < 9
    label = (inside * (1 + (away[..., 0] > 0) if halves else 1)).astype(np.uint8)
    texture = ndimage.gaussian_filter(np.random.default_rng(ord(case)).normal(size=size), 2)
    image = (100 * inside + 300 * texture).astype(np.float32)
    write_volume(RAW / case / "image.nrrd", Volume(image, place))
    write_volume(RAW / case / "label.nrrd", Volume(label, place))


def prepared(cases: str = "ABCTU", halves: bool = False, **changes: Any) -> Prepared:
    for case in cases:
        draw(case, halves)
    lines = [f"{case},{'test' if case in 'TU' else 'train'}" for case in cases]
    Path("split.csv").write_text("\n".join(["case,split", *lines]) + "\n")
    prepare(data(**changes))
    return open_prepared(Path("data/prepared/mixed"))


def raw(case: str, key: str) -> Volume:
    return read_volume(RAW / case / f"{key}.nrrd")


def files() -> dict[str, str]:
    folder = Path("data/prepared/mixed")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_all_scans_are_on_one_grid_afterwards_and_keep_their_own() -> None:
    cohort = prepared(spacing_mm=(1, 1, 1), orientation="LPS")
    for case, entry in cohort.cases.items():
        place = cohort.geometry(case)
        np.testing.assert_allclose(place.spacing_mm, (1, 1, 1), atol=1e-6)
        assert orientation(place) == "LPS"
        np.testing.assert_allclose(place.direction, directions("LPS"), atol=1e-6)
        if case in "AU":
            assert entry.raw is None
        else:
            assert entry.raw is not None and entry.raw.size == PLACES[case][0]
            np.testing.assert_allclose(entry.raw.spacing_mm, PLACES[case][1])


def test_a_perfect_mask_scores_near_one_on_the_raw_grid_of_each_scan() -> None:
    cohort = prepared(spacing_mm=(1, 1, 1), orientation="LPS")
    for case in cohort.cases:
        mask = cohort.read_label(case) == 1
        maps = cohort.to_reference(case, mask[None].astype(np.float32))
        (row, _) = case_scores(case, {"network": maps[0] > 0.5}, cohort)
        assert row["dice_percent"] > (99.99 if case in "ABU" else 94)
        assert row["hd95_mm"] <= (0 if case in "ABU" else 2.6)
        back = cohort.on_raw(case, maps[0] > 0.5)
        assert back.array.shape == PLACES[case][0] and back.geometry == raw(case, "label").geometry
        assert volume_ml(back) == pytest.approx(volume_ml(raw(case, "label")), rel=0.06)


def test_the_reference_is_the_raw_label_bit_for_bit_where_a_scan_was_resampled() -> None:
    cohort = prepared(spacing_mm=(1, 1, 1), orientation="LPS")
    for case in "BCT":
        np.testing.assert_array_equal(cohort.reference(case), raw(case, "label").array)
        assert cohort.cases[case].raw.label_sha256 == hashlib.sha256(raw(case, "label").array.tobytes()).hexdigest()
        assert cohort.scored_mm(case) == raw(case, "label").geometry.spacing_mm
    for case in "AU":
        np.testing.assert_array_equal(cohort.reference(case), cohort.read_label(case))


def test_a_mask_that_is_pasted_and_cut_again_is_nearly_the_same() -> None:
    cohort = prepared(spacing_mm=(1, 1, 1), orientation="LPS")
    for case in cohort.cases:
        label = cohort.read_label(case)
        pasted = cohort.paste(case, label)
        assert pasted.array.shape == raw(case, "label").array.shape
        again = cohort.cropped(case, pasted.array)
        assert 2 * (again & label).sum() / (again.sum() + label.sum()) > 0.93, case
        if case in "ABU":
            np.testing.assert_array_equal(pasted.array, raw(case, "label").array)
            np.testing.assert_array_equal(again, label)
        with pytest.raises(LasslError, match=r"expected .* as in the raw scan"):
            cohort.cropped(case, pasted.array[1:])


def test_the_image_is_normalized_as_a_whole_and_then_resampled_as_in_prediction() -> None:
    cohort = prepared(spacing_mm=(1, 1, 1), orientation="LPS", crop="none")
    scan = raw("T", "image")
    values = ((scan.array - scan.array.mean(dtype=np.float64)) / scan.array.std(dtype=np.float64)).astype(np.float32)
    grid = covering(scan.array.shape, scan.geometry, "LPS", (1, 1, 1))
    np.testing.assert_allclose(cohort.read_image("T"), onto(Volume(values, scan.geometry), grid), atol=1e-5)
    assert cohort.geometry("T") == grid.geometry and cohort.full_size("T") == grid.size


def test_scans_that_fit_already_are_untouched_bit_for_bit() -> None:
    plain = prepared("AU")
    before, hash_before = files(), plain.manifest_hash
    again = prepared("AU", spacing_mm=(1, 1, 1), orientation="LPS")
    assert again.manifest_hash == hash_before and again.manifest.cases == plain.manifest.cases
    assert {name: value for name, value in files().items() if name != "manifest.json"} == {
        name: value for name, value in before.items() if name != "manifest.json"
    }
    assert '"raw"' not in Path("data/prepared/mixed/manifest.json").read_text()


def test_without_the_settings_mixed_scans_keep_their_grids_and_the_manifest_has_no_new_key() -> None:
    cohort = prepared()
    text = Path("data/prepared/mixed/manifest.json").read_text()
    assert not any(key in text for key in ('"raw"', "orientation", "normalize"))
    assert "spacing_mm" not in cohort.manifest.options
    for case in cohort.cases:
        np.testing.assert_allclose(cohort.geometry(case).spacing_mm, PLACES[case][1], atol=1e-6)
        np.testing.assert_array_equal(cohort.paste(case, cohort.read_label(case)).array, raw(case, "label").array)


def test_an_orientation_alone_turns_axes_and_changes_no_value() -> None:
    cohort = prepared("BCT", orientation="LPS", crop="none")
    for case in "BC":
        scan = raw(case, "image")
        values = ((scan.array - scan.array.mean(dtype=np.float64)) / scan.array.std(dtype=np.float64)).astype(
            np.float32
        )
        expected = turned(Volume(values, scan.geometry), "LPS")
        np.testing.assert_array_equal(cohort.read_image(case), expected.array)
        np.testing.assert_array_equal(cohort.read_label(case), turned(raw(case, "label"), "LPS").array)
        np.testing.assert_allclose(cohort.geometry(case).origin_mm, expected.geometry.origin_mm, atol=1e-6)
        np.testing.assert_array_equal(cohort.paste(case, cohort.read_label(case)).array, raw(case, "label").array)
    assert cohort.cases["T"].raw is None  # oblique, but its axes are nearest to LPS


def test_a_spacing_alone_keeps_the_scans_own_axes() -> None:
    cohort = prepared("BCT", spacing_mm=(1, 1, 1))
    for case in "BCT":
        np.testing.assert_allclose(cohort.geometry(case).direction, PLACES[case][2], atol=1e-6)
        np.testing.assert_allclose(cohort.geometry(case).spacing_mm, (1, 1, 1), atol=1e-6)
    assert cohort.cases["B"].raw is None and cohort.cases["T"].raw is not None


def test_each_structure_is_resampled_by_its_own_part_and_no_other_class_appears() -> None:
    two = {"left": [2], "right": [1]}  # classes 1 and 2
    cohort = prepared("ACT", halves=True, structures=two, spacing_mm=(0.7, 0.7, 0.7), orientation="LPS")
    for case in "CT":
        label, scan = cohort.read_label(case), raw(case, "label")
        assert set(np.unique(label)) == {0, 1, 2}
        for value in (1, 2):
            ml = volume_ml(Volume(label == value, cohort.cases[case].place))
            assert ml == pytest.approx(volume_ml(Volume(scan.array == 3 - value, scan.geometry)), rel=0.08)
        np.testing.assert_array_equal(cohort.reference(case), np.choose(scan.array, [0, 2, 1]))
        parts = np.stack([label == 1, label == 2]).astype(np.float32)
        maps = cohort.to_reference(case, parts)
        assert maps.shape == (2, *PLACES[case][0]) and maps.sum(0).max() < 1.001


def by_hand(values: list[int], factor: int) -> Array:
    """Classes along x, brought to voxels that are `factor` times as long."""
    line = np.array(values, np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2)
    place = Geometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    grid = covering(line.shape, place, "LPS", (float(factor), 1.0, 1.0))
    return classes_onto(Volume(line, place), grid)[:, 0, 0]


def test_a_voxel_gets_the_class_with_the_largest_part_and_a_half_is_enough() -> None:
    assert by_hand([0, 0, 1, 1, 1, 0, 2, 2], 2).tolist() == [0, 1, 1, 2]  # the third is half 1
    assert by_hand([1, 2, 2, 2, 0, 0, 0, 2], 2).tolist() == [1, 2, 0, 2]  # of equal parts the first structure


def test_a_grid_is_turned_as_a_volume_is() -> None:
    for case, (size, spacing, direction) in PLACES.items():
        place = Geometry(spacing, (5.0, -3.0, 8.0), direction)
        for code in ("LPS", "RAS", "SLP", "AIR"):
            volume = turned(Volume(np.zeros(size, np.uint8), place), code)
            grid = turned_grid(Grid(size, place), code)
            assert grid.size == volume.array.shape, case
            for key, value in vars(volume.geometry).items():
                np.testing.assert_allclose(getattr(grid.geometry, key), value, atol=1e-9)


def test_a_grid_is_right_where_nothing_is_asked_for_or_all_fits() -> None:
    grid = Grid((4, 5, 6), Geometry((1.0, 1.2, 3.0), (0.0, 0.0, 0.0), directions("RAS")))
    assert wanted(grid, None, None) is None
    assert wanted(grid, "RAS", None) is None and wanted(grid, None, (1.0, 1.2, 3.0)) is None
    assert wanted(grid, "RAS", (1.0, 1.2, 3.0)) is None
    assert wanted(grid, "LPS", (1.0, 1.2, 3.0)) is not None


def problems(**changes: Any) -> list[str]:
    with pytest.raises(LasslError) as error:
        prepared(**changes)
    assert not Path("data/prepared/mixed").exists()
    return str(error.value).splitlines()


def test_a_spacing_that_blows_scans_up_beyond_memory_is_refused_with_the_size_that_they_would_have() -> None:
    lines = problems(cases="AT", spacing_mm=(0.001, 0.001, 0.001))
    assert len(lines) == 2
    assert lines[0].startswith(
        "raw/A/image.nrrd: 40 x 36 x 30 voxels of 1 x 1 x 1 mm (LPS) would become 40000 x 36000 x 30000 of 0.001 x "
        "0.001 x 0.001 mm (LPS), which take 9.66e+05 GiB, and this machine has "
    )
    assert lines[0].endswith("check the spacing in the header, or set a larger data.spacing_mm")


def test_a_spacing_at_which_nothing_of_a_label_is_left_is_refused() -> None:
    (line,) = problems(cases="T", spacing_mm=(30, 30, 30))
    assert line.startswith("raw/T/image.nrrd: nothing of the label is left at 30 x 30 x 30 mm (LPS), from 0.8 x 0.8")


def test_mixed_grids_are_offered_the_median_and_the_most_frequent_orientation(capsys: Any) -> None:
    prepared("ABCU")
    spacing, turn = [line for line in capsys.readouterr().err.splitlines() if "differ in" in line]
    assert "1 of 4 cases differ in spacing from the first: case C has 1.5 x 1.5 x 2.5 mm (RAS)" in spacing
    assert "so set data.spacing_mm=[1,1,1] (the median), or leave these cases out of split.csv" in spacing
    assert "so set data.orientation=LPS (the most frequent), or leave" in turn
    prepared("ABCU", spacing_mm=(1, 1, 1), orientation="LPS")
    assert "differ in" not in capsys.readouterr().err


def test_the_median_is_taken_along_the_axes_of_the_most_frequent_orientation(capsys: Any) -> None:
    PLACES["V"] = ((36, 30, 20), (3.0, 1.0, 1.2), directions("SLP"))
    try:
        for case, code in {"D": "LPS", "E": "LPS"}.items():
            PLACES[case] = ((20, 36, 30), (1.0, 1.2, 3.0), directions(code))
        prepared("DEV")
    finally:
        for case in "VDE":
            del PLACES[case]
    spacing = next(line for line in capsys.readouterr().err.splitlines() if "differ in spacing" in line)
    assert "set data.spacing_mm=[1,1.2,3] (the median)" in spacing


def test_h5_files_which_are_prepared_already_are_refused(tmp_path: Path) -> None:
    (RAW / "A").mkdir(parents=True)
    with h5py.File(RAW / "A/mri_norm2.h5", "w") as file:
        file["image"] = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    Path("split.csv").write_text("case,split\nA,train\n")
    for changes in ({"spacing_mm": (1, 1, 1)}, {"orientation": "LPS"}, {"normalize": {"clip": (0, 1)}}):
        with pytest.raises(
            LasslError, match=rf"raw: h5 files are .*, so data\.{next(iter(changes))} cannot change them"
        ):
            prepare(data(**changes))
