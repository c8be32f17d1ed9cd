"""Somebody's own scans: another organ in another form and spacing, from folder and list to the table."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from helpers.project import ROOT, ROWS, call, clone, words_of
from helpers.runs import CONFIG
from lassl.cli import check_data
from lassl.data.label_split import Split
from lassl.data.prepare import prepare
from lassl.data.prepared import Prepared, open_prepared
from lassl.data.raw import find_layout
from lassl.data.split_file import check_split, read_split
from lassl.evaluation.external_masks import score_folders
from lassl.images import volumes
from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.grids import turned
from lassl.images.names import SUFFIXES
from lassl.images.volumes import to_image
from lassl.plumbing.errors import LasslError
from lassl.runs.label_counts import to_learn_from
from lassl.seeds import stream
from lassl.settings.compose import compose
from lassl.settings.config import load
from lassl.settings.sections import Data

pytestmark = pytest.mark.slow

SIZE = (22, 19, 13)
RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
PLACE = Geometry((1.0, 1.2, 3.0), (40.0, -25.5, 10.0), RAS)
RAW = Path("raw")
PAGE = (ROOT / "docs/own-data.md").read_text()
PROFILE, LIST = (
    re.search(start + r"(.*?)```", PAGE, re.DOTALL)[1] for start in ("```yaml\n(?=# @package)", "```\n(?=case)")
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty project folder for each test."""
    monkeypatch.chdir(tmp_path)


def organ(case: str, size: tuple[int, int, int] = SIZE) -> tuple[Array, Array]:
    """A scan with negative values, as CT has: noise around a bright ellipsoid off center, and its mask."""
    chance = stream(0, "own case", case)
    center = np.array(size) * (0.35, 0.6, 0.55) + chance.uniform(-1, 1, 3)
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    inside = np.square((grid - center) / (5, 4, 3)).sum(-1) < 1
    return (-100 + 60 * chance.random(size) + 150 * inside).astype(np.int16), inside.astype(np.uint8)


def write_own(case: str, suffix: str = ".nii.gz", label: bool = True, place: Geometry = PLACE, to: Path = RAW) -> None:
    """Write a case as somebody has it."""
    image, mask = organ(case)
    volumes.write_volume(to / case / f"image{suffix}", Volume(image, place))
    if label:
        volumes.write_volume(to / case / f"label{suffix}", Volume(mask, place))


def write_list(*lines: str, head: str = "case,split,label") -> Path:
    Path("list.csv").write_text("\n".join([head, *lines]) + "\n")
    return Path("list.csv")


def data(**changes) -> Data:
    shape = {"crop": "label", "crop_z": False, "margin": (1, 2), "margins": "seeded", "min_size": (8, 9, 7), "seed": 0}
    return Data.model_validate({"cohort": "kidney", "folder": RAW, "split": Path("list.csv"), **shape, **changes})


def prepared(**changes) -> Prepared:
    asked = data(**changes)
    prepare(asked)
    return open_prepared(asked.prepared)


def problems(**changes) -> list[str]:
    with pytest.raises(LasslError) as error:
        prepare(data(**changes))
    return str(error.value).splitlines()


# the folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_own_scans_of_every_format_are_normalized_cropped_and_keep_their_place(suffix):
    write_list("A,train", "T,test")
    for case in "AT":
        write_own(case, suffix)
    found = prepared()
    assert find_layout(RAW).name == "own" and found.manifest.layout == "own"
    for case in "AT":
        image, mask = organ(case)
        start, shape = found.crop_start(case), found.cases[case].shape
        box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        assert shape[0] < SIZE[0] and shape[2] == SIZE[2]
        np.testing.assert_allclose(found.read_image(case), ((image - image.mean()) / image.std())[box], atol=1e-6)
        back = found.paste(case, found.read_label(case))
        np.testing.assert_array_equal(back.array, mask)
        for name, value in vars(PLACE).items():
            np.testing.assert_allclose(getattr(back.geometry, name), value, atol=1e-5)


def test_own_scans_are_prepared_as_the_same_scans_in_the_challenges_layout_are():
    write_list("A,train", "B,train", "T,test", head="case,split")
    for case in "ABT":
        write_own(case, ".nrrd")
    own = prepared()
    for key, name in {"image": "lgemri.nrrd", "label": "laendo.nrrd"}.items():
        for case in "ABT":
            (RAW / case / f"{key}.nrrd").rename(RAW / case / name)
    challenge = prepared(cohort="other")
    assert own.manifest_hash == challenge.manifest_hash
    assert (own.manifest.layout, challenge.manifest.layout) == ("own", "challenge")


def test_formats_may_differ_within_a_cohort_and_a_case():
    write_list("A,train", "T,test")
    write_own("A", ".mha")
    write_own("T", ".nrrd")
    (RAW / "T/label.nrrd").unlink()
    as_float = Volume(organ("T")[1].astype(np.float32), PLACE)  # as many tools write labels
    volumes.write_volume(RAW / "T/label.nii", as_float)
    np.testing.assert_array_equal(prepared(crop="none").read_label("T"), organ("T")[1])


def test_names_of_files_in_capitals_are_known():
    write_list("A,train", "B,train", "T,test")
    for case, suffix in {"A": ".nii.gz", "B": ".mha", "T": ".nrrd"}.items():
        write_own(case, suffix)
        for key in ("image", "label"):
            path = RAW / case / f"{key}{suffix}"
            path.rename(path.with_name(path.name.upper()))
    found = prepared(crop="none")
    for case in "ABT":
        np.testing.assert_array_equal(found.read_label(case), organ(case)[1])


def test_a_case_folder_that_is_a_link_is_refused_and_links_to_the_whole_or_to_files_are_not():
    path = write_list("A,train", "T,test")
    for case in "AT":
        write_own(case, to=Path("far"))
    RAW.symlink_to("far")
    prepare(data())
    RAW.unlink()
    (RAW / "T").mkdir(parents=True)
    (RAW / "A").symlink_to("../far/A")
    for name in ("image.nii.gz", "label.nii.gz"):
        (RAW / "T" / name).symlink_to(f"../../far/T/{name}")
    (line,) = problems()
    assert line.startswith(
        "raw/A: found a link to a case folder, in which DVC would miss every change; link the whole "
    )
    assert [f.found for f in check_data.scans(RAW, path, True)] == [line]
    (RAW / "A").unlink()
    (RAW / "A").mkdir()
    for name in ("image.nii.gz", "label.nii.gz"):
        (RAW / "A" / name).symlink_to(f"../../far/A/{name}")
    prepare(data())


def test_cases_may_have_names_that_mean_nothing_elsewhere():
    cases = ("NA", "None", "null", "nan", "007", "A B", "Müller", "a=b,[c]")
    Path("list.csv").write_text("\n".join(["case,split", *(f'"{case}",test' for case in cases)]) + "\n")
    for case in cases:
        write_own(case)
    assert prepared().split == Split((), cases)


def test_a_missing_image_is_named_with_all_that_it_could_be_called():
    write_list("A,train", "T,test")
    write_own("T")
    (RAW / "A").mkdir()
    (line,) = problems()
    assert line.startswith(
        "raw/A/image.nrrd: image not found (nor image.nii.gz, image.nii, image.mha, image.mhd), but every case needs "
        "it; add it"
    )


def test_two_images_or_labels_of_a_case_are_not_chosen_from():
    write_list("A,train", "T,test")
    for suffix in (".nii.gz", ".nrrd"):
        write_own("A", suffix)
        write_own("T")
    assert problems() == [
        f"raw/A/{key}.nii.gz: {key}.nrrd is also the {key} of this case; keep only one of the two"
        for key in ("image", "label")
    ]


def test_a_folder_with_scans_of_two_forms_or_of_other_names_tells_the_forms_there_are():
    write_list("A,train")
    (line,) = problems()
    assert line.startswith("raw: found no scans, expected <CASE>/lgemri.nrrd with <CASE>/laendo.nrrd, <CASE>/mri_norm2")
    assert "or <CASE>/image.nrrd with <CASE>/label.nrrd (or .nii.gz, .nii, .mha, .mhd)" in line
    write_own("A", ".nrrd")
    volumes.write_volume(RAW / "B/lgemri.nrrd", Volume(organ("B")[0], PLACE))
    (line,) = problems()
    assert line.startswith("raw: found scans in several layouts, expected one of <CASE>/lgemri.nrrd")


def test_a_label_of_several_structures_is_refused():
    write_list("A,train", "T,test")
    write_own("A")
    write_own("T")
    volumes.write_volume(RAW / "A/label.nii.gz", Volume(organ("A")[1] * np.arange(1, 14, dtype=np.uint8), PLACE))
    (line,) = problems()
    assert line.startswith("raw/A/label.nii.gz: found label values [0, ") and line.endswith(", or keep one structure")


def test_complex_voxels_are_refused():
    write_list("A,train", "T,test")
    write_own("A")
    write_own("T")
    volumes.write_volume(RAW / "A/image.nii.gz", Volume(organ("A")[0].astype(np.complex64), PLACE))
    assert problems() == [
        "raw/A/image.nii.gz: found complex64 voxels, expected real numbers; export the magnitude image"
    ]


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cut_image_or_label_is_refused_in_every_format(suffix, key):
    write_list("A,train", "T,test")
    write_own("A", suffix)
    write_own("T")
    path = RAW / "A" / f"{key}{suffix}"
    voxels = path.with_suffix(".zraw") if suffix == ".mhd" else path
    if suffix == ".mhd":
        sitk.WriteImage(
            to_image(volumes.read_volume(path)), str(path), useCompression=True
        )  # two files, as others write it
    voxels.write_bytes(voxels.read_bytes()[: int(0.6 * voxels.stat().st_size)])
    (line,) = problems()
    assert line.startswith(f"{path}: cannot be read (") and line.endswith(
        "; expected a complete image file; copy it again"
    )


def test_masks_made_elsewhere_can_be_scored_against_the_labels_of_own_scans():
    for case in "ABT":
        write_own(case)
    volumes.write_volume(Path("masks/T.nrrd"), Volume(np.roll(organ("T")[1], 1, axis=2), PLACE))
    found = score_folders(Path("masks"), RAW, ["T"])
    assert found.cases["hd95_mm"].tolist() == [3.0] and found.notes == ()


# the list


def test_the_third_column_keeps_labels_from_use_and_may_be_left_away():
    path = write_list("A,train", "B,train,", "C,train,yes", "D,train, none", "T,test", "U,test,yes")
    assert read_split(path) == Split(("A", "B", "C", "D"), ("T", "U"), frozenset({"D"}))
    assert read_split(write_list("A,train", "T,test", head="case,split")) == Split(("A",), ("T",))


def test_other_words_for_a_label_and_a_test_case_without_one_are_named_with_their_line():
    path = write_list("A,train,no", "T,test,none", "B,train,none")
    for case in "ABT":
        write_own(case)
    told = [
        "list.csv: line 2: case A has label 'no'; write yes, none, or nothing",
        "list.csv: line 3: case T has label 'none', but a test case needs its label for scoring; write yes or nothing",
    ]
    assert check_split(path) == (Split(("A", "B"), ("T",), frozenset({"B"})), told)
    assert problems() == told
    assert [f.found for f in check_data.scans(RAW, path, True)] == told


def test_a_label_that_is_not_used_is_not_even_read():
    write_list("A,train", "B,train,none", "C,train,yes", "T,test")
    for case in "ABCT":
        write_own(case, label=case != "C")
    (RAW / "B/label.nii.gz").write_text("damaged")
    found = prepared()
    assert found.with_label == {"A", "T"}
    assert found.cases["B"].shape == found.cases["C"].shape == SIZE  # nothing to crop around


STRANGE_LABELS = {
    "of Slicer": "label.seg.nrrd",
    "plural": "labels.nii.gz",
    "misspelled": "lable.nii.gz",
    "a copy": "label (1).nii.gz",
    "before a dot": "B.label.nii.gz",
    "Analyze": "label.hdr",
}


@pytest.mark.parametrize("name", STRANGE_LABELS.values(), ids=STRANGE_LABELS)
def test_a_label_under_a_name_like_that_of_a_label_is_told_and_does_not_make_a_case_unlabeled(name):
    path = write_list("A,train", "B,train", "C,train,none", "T,test")
    for case in "ABCT":
        write_own(case)
    for case in "BC":
        (RAW / case / "label.nii.gz").rename(RAW / case / name)
    expected = (
        f"raw/B/{name}: unknown file name, expected label.nrrd, label.nii.gz, label.nii, label.mha, "
        "label.mhd; rename it, or, if the case is meant to be unlabeled, write none in the column label of the split "
        "file"
    )
    assert problems() == [expected]
    assert [f.found for f in check_data.scans(RAW, path, True)] == [expected]
    write_list("A,train", "B,train,none", "C,train,none", "T,test")
    assert prepared().with_label == {"A", "T"}


@pytest.mark.parametrize("key", ["label", "image"])
@pytest.mark.parametrize("kind", ["a link to nothing", "a folder"])
def test_a_folder_or_a_broken_link_with_the_name_of_a_file_is_told(kind, key):
    path = write_list("A,train", "B,train", "T,test")
    for case in "ABT":
        write_own(case)
    place = RAW / f"B/{key}.nii.gz"
    place.unlink()
    place.mkdir() if kind == "a folder" else place.symlink_to("nowhere")
    found = f"raw/B/{key}.nii.gz: found {kind}, expected the file of the {key}"
    expected = f"{found}; put the file there, or remove this entry"
    assert problems() == [expected]
    assert [f.found for f in check_data.scans(RAW, path, True)] == [expected]


def test_files_beside_a_label_are_nobodys_business():
    write_list("A,train", "T,test")
    for case in "AT":
        write_own(case)
        for name in ("label-old.nii.gz", "._label.nii.gz", "notes.txt"):
            (RAW / case / name).write_text("anything")
    assert prepared().with_label == {"A", "T"}


def test_training_cases_without_a_label_are_told_but_for_those_of_which_the_list_says_so(capsys):
    write_list("A,train", "B,train", "C,train,none", "D,train", "T,test")
    for case in "ABCDT":
        write_own(case, label=case in "AT")
    (RAW / "D/._label.nii.gz").write_text("of a Mac")
    assert prepared().with_label == {"A", "T"}
    assert lines_of(capsys) == [
        "note: raw: 2 of 4 training cases have no label and are used as unlabeled cases (B, D); add the missing "
        "labels, or write none in the column label of list.csv"
    ]


def lines_of(capsys) -> list[str]:
    """The notes on stderr, without the progress bar."""
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]


def test_a_test_case_needs_its_label():
    write_list("A,train", "T,test")
    for case in "AT":
        write_own(case, label=False)
    (line,) = problems()
    assert (
        line.startswith("raw/T/label.nrrd: label not found (nor label.nii.gz, ") and "but a test case needs it" in line
    )


def test_the_documented_list_is_sound():
    Path("list.csv").write_text(LIST)
    patients = {"K01": "P1", "K02": "P1", "K07": "P2", "K13": "P3"}
    assert read_split(Path("list.csv")) == Split(("K01", "K02", "K07", "K09"), ("K13",), frozenset({"K07"}), patients)


def test_tuning_leaves_out_further_scans_of_the_patients_that_it_scores():
    write_list("A,train,P1", "B,train,P2", "C,train,P3", "D,train,P1", "T,test,P4", head="case,split,patient")
    for case in "ABCDT":
        write_own(case)
    cohort = prepared()
    assert cohort.split.patients == {"A": "P1", "B": "P2", "C": "P3", "D": "P1", "T": "P4"}
    tuned = open_prepared(cohort.folder, tuning=1)
    assert (tuned.split.train, tuned.split.test) == (("B", "C"), ("D",))
    own = {"data": data(), "cases": CONFIG.cases.model_copy(update={"tuning": 1})}
    phantom = CONFIG.phantom.model_copy(update={"cohorts": ()})
    config = CONFIG.model_copy(update={**own, "phantom": phantom})
    assert to_learn_from(config) == (("B", "C"), {"B", "C"})


def test_the_manifest_of_a_list_without_patients_is_as_before():
    write_list("A,train", "T,test")
    for case in "AT":
        write_own(case)
    assert "patient" not in (prepared().folder / "manifest.json").read_text()


# what cases have in common


@pytest.mark.parametrize("form", ["int32", "rescaled", "turned", "turned without a word in the header"])
def test_one_scan_in_training_and_in_test_is_refused_in_any_form(form):
    write_list("A,train", "B,train", "T,test")
    for case in "ABT":
        write_own(case)
    image, mask = (Volume(array, PLACE) for array in organ("B"))
    if form == "turned":
        image, mask = (turned(volume, "SAL") for volume in (image, mask))
    elif form.startswith("turned"):
        image, mask = (Volume(np.ascontiguousarray(v.array.transpose(2, 1, 0)[::-1]), PLACE) for v in (image, mask))
    else:
        array = image.array.astype(np.int32) if form == "int32" else image.array * np.float32(0.37) + 12
        image = Volume(array, PLACE)
    for key, volume in {"image": image, "label": mask}.items():
        volumes.write_volume(RAW / f"T/{key}.nii.gz", volume)
    (line,) = problems()
    assert line.startswith("raw/T: same image as case B (correlation of small copies: ")
    assert line.endswith("); delete one of the two from the split file")


def test_one_label_for_two_scans_is_noted(capsys):
    write_list("A,train", "B,train", "T,test")
    for case in "ABT":
        write_own(case)
    volumes.write_volume(RAW / "T/label.nii.gz", Volume(organ("B")[1].astype(np.float32), PLACE))
    prepared()
    assert lines_of(capsys) == [
        "note: raw: case T has exactly the same label as case B; check to which scan it belongs"
    ]


def test_intensities_that_spoil_the_normalization_are_noted_once_for_all_scans(capsys):
    write_list("A,train", "B,train", "C,train", "T,test")
    for case in "ABCT":
        write_own(case)
    for case, value in {"B": -32768, "T": 32000}.items():
        image = organ(case)[0]
        image[:3] = value
        volumes.write_volume(RAW / case / "image.nii.gz", Volume(image, PLACE))
    found = prepared()
    (line,) = lines_of(capsys)
    assert line.startswith(
        "note: raw: 2 of 4 scans have outlying intensities (B, T), for example B: 741 of 5434 voxels are -32768, the "
        "others -99 to "
    )
    image = organ("T")[0]
    image[:3] = 32000  # nothing is done about them
    assert found.read_image("T").max() == pytest.approx((32000 - image.mean()) / image.std(), rel=1e-5)


def test_intensities_whose_squares_overflow_are_refused():
    write_list("A,train", "T,test")
    for case in "AT":
        write_own(case)
    (RAW / "A/image.nii.gz").unlink()
    for large in (1e200, 1e-200):
        volumes.write_volume(RAW / "A/image.nrrd", Volume(organ("A")[0] * large, PLACE))
        (line,) = problems()
        assert line.startswith("raw/A/image.nrrd: values of ") and line.endswith(
            " overflow in normalization; rescale them"
        )


# one grid


def noted(capsys, **odd: Geometry) -> list[str]:
    """What preparing A, B, C and T tells where the places of some of them differ from the others'."""
    write_list("A,train", "B,train", "C,train", "T,test")
    for case in "ABCT":
        write_own(case, place=odd.get(case, PLACE))
    prepare(data())
    return [line for line in capsys.readouterr().err.splitlines() if "note" in line]


def test_scans_of_another_spacing_are_noted_with_two_cases_and_what_to_do(capsys):
    fine = Geometry((1.0, 1.2, 1.5), PLACE.origin_mm, RAS)
    assert noted(capsys, B=fine, T=fine) == [
        "note: raw: 2 of 4 cases differ in spacing from the first: case B has 1 x 1.2 x 1.5 mm (RAS), case A "
        "has 1 x 1.2 x 3 mm (RAS); networks learn in voxels, so set data.spacing_mm=[1,1.2,2.25] (the median), or "
        "leave these cases out of list.csv"
    ]


def test_scans_of_another_orientation_are_noted(capsys):
    (line,) = noted(capsys, C=Geometry(PLACE.spacing_mm, PLACE.origin_mm))
    assert "1 of 4 cases differ in orientation from the first: case C has 1 x 1.2 x 3 mm (LPS), case A has" in line


def test_scans_that_differ_by_less_than_a_tenth_and_lie_elsewhere_or_obliquely_are_of_one_grid(capsys):
    tilted = (-0.96, 0.28, 0.0, -0.28, -0.96, 0.0, 0.0, 0.0, 1.0)
    near = Geometry((1.05, 1.15, 3.2), (0.0, 3.0, 9.0), tilted)
    assert noted(capsys, B=near) == []


# the profile


def test_the_documented_profile_gives_all_rows_the_counts_that_it_sets_in_one_place(tmp_path, monkeypatch):
    config = load(composed(tmp_path, monkeypatch, "profile=kidney"))
    assert config.name == config.data.cohort == "kidney"
    assert (config.statistics.scans, config.statistics.published) == ("real", False)
    found = {name: (method.labeled, method.unlabeled) for name, method in config.methods.items()}
    few = ("cps", "mt_un", "mt_un_lovasz", "cps_alw")
    expected = {"vnet_16": (2, 0), "vnet_80": (6, 0), "cps_32": (4, 8), **dict.fromkeys(few, (2, 10))}
    assert found == expected
    assert list(load(composed(tmp_path, monkeypatch, "profile=kidney", "method=cps")).methods) == ["cps"]


def composed(folder: Path, monkeypatch, *overrides: str) -> Path:
    """Compose conf/ with the profile of the page into a params.yaml."""
    (folder / "project").mkdir(exist_ok=True)
    if not (folder / "project/conf").exists():
        for path in (ROOT / "conf").rglob("*.yaml"):
            copy = folder / "project" / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text())
        (folder / "project/conf/profile/kidney.yaml").write_text(PROFILE)
    monkeypatch.chdir(folder / "project")
    compose(folder / "project/params.yaml", *overrides)
    return folder / "project/params.yaml"


# the doctor


def doctored(*lines: str, few: int = 2, unlabeled: int = 2) -> list[str]:
    """What the doctor says of scans A, B, C (without label), D and T, and of the counts of two rows."""
    for case in "ABCDT":
        write_own(case, label=case != "C")
    write_list(*lines)
    place = CONFIG.data.model_copy(update={"cohort": "kidney", "folder": RAW, "split": Path("list.csv")})
    counts = {"cps": {"labeled": few, "unlabeled": unlabeled}, "vnet_16": {"labeled": few}}
    methods = {name: CONFIG.methods[name].model_copy(update=changes) for name, changes in counts.items()}
    own = {"data": place, "methods": methods, "phantom": CONFIG.phantom.model_copy(update={"cohorts": ()})}
    config = CONFIG.model_copy(update=own)
    return [str(f) for check in (check_data.data, check_data.label_counts) for f in check(config, Path())]


def test_the_doctor_counts_own_scans_and_labels_and_does_not_ask_for_atria():
    assert doctored("A,train", "B,train", "C,train", "D,train,none", "T,test") == [
        "ok       raw: 5 of 5 cases of list.csv (own)",
        "ok       list.csv: 2 of 4 training cases have a label to learn from, enough for every row",
    ]


def test_the_doctor_tells_which_rows_ask_for_more_cases_or_labels_than_there_are():
    lines = ("A,train", "B,train", "C,train", "D,train,none", "T,test")
    (scans, *rows) = doctored(*lines, few=3, unlabeled=2)
    assert scans.startswith("ok ")
    assert [row.split(":")[0] for row in rows] == ["missing  cps", "missing  vnet_16"]
    assert "expected 3 labeled + 2 unlabeled cases, found 4 training cases" in rows[0]
    assert "expected 3 labeled cases, found 2 with a label (none for C)" in rows[1]
    assert all(row.endswith("; the numbers come from `labels` of the profile") for row in rows)


def test_the_doctor_counts_the_cases_of_phantoms_before_they_are_drawn():
    write_list("A,train", "B,train", "C,train,none", "T,test")
    place = CONFIG.data.model_copy(update={"split": Path("list.csv")})
    methods = {"cps": CONFIG.methods["cps"].model_copy(update={"labeled": 2, "unlabeled": 1})}
    config = CONFIG.model_copy(update={"data": place, "methods": methods})
    (found,) = check_data.label_counts(config, Path())
    assert str(found) == "ok       list.csv: 2 of 3 training cases have a label to learn from, enough for every row"
    methods = {"cps": CONFIG.methods["cps"].model_copy(update={"labeled": 3, "unlabeled": 0})}
    (found,) = check_data.label_counts(config.model_copy(update={"methods": methods}), Path())
    assert found.mark == "missing"


def test_the_doctor_finds_two_images_of_a_case():
    write_own("A", ".mha")
    lines = doctored("A,train", "T,test")
    assert lines == [
        f"missing  raw/A/{key}.mha: {key}.nii.gz is also the {key} of this case; keep only one of the two"
        for key in ("image", "label")
    ]


# the whole


CASES = [f"K{i:02}" for i in range(1, 15)]  # six with labels, six without, two to test on
SMALL = ("train.steps=2", "network.width=2", "patches.size=[16,16,16]", "evaluate.stride=[16,16,16]",
         "data.min_size=[16,16,16]", "data.margin=[1,3]", "compute.precision=fp32")  # fmt: skip
MADE = ("vnet_16", "vnet_80", "cps_32")  # of the seven: without unlabeled cases, with all labels, with twice as many
FEW = (*SMALL, *(f"~methods.{row}" for row in ROWS if row not in MADE))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone in which three rows have run on kidneys, as docs/own-data.md says, at a tiny scale."""
    folder = clone(tmp_path_factory.mktemp("own") / "project")
    lines = ["case,split,label"]
    for i, case in enumerate(CASES):
        write_own(case, (".nii.gz", ".nrrd")[i % 2], label=i < 7 or i > 11, to=folder / "data/raw/kidney")
        lines.append(f"{case},{'train' if i < 12 else 'test'},{'none' if i == 6 else ''}")
    (folder / "splits/kidney.csv").write_text("\n".join(lines) + "\n")
    (folder / "conf/profile/kidney.yaml").write_text(PROFILE)
    call(folder, "lassl", "compose", "profile=kidney", *SMALL)
    assert "6 of 12 training cases have a label" in call(folder, sys.executable, "-m", "lassl.cli.main", "doctor")
    call(folder, "dvc", "exp", "run", *words_of("profile=kidney", *FEW))
    return folder


def test_the_same_command_trains_and_tables_the_rows_on_another_organ(project):
    table = json.loads((project / "metrics/kidney/table.json").read_text())
    assert {name: (row["title"], row["labeled"], row["unlabeled"]) for name, row in table["rows"].items()} == {
        "vnet_16": ("V-Net & 2L", [2], [0]),
        "vnet_80": ("V-Net & 6L", [6], [0]),
        "cps_32": ("CPS & 4L+8UL", [4], [8]),
    }
    assert list(table["rows"]) == list(MADE) and all(row["cases"] == 2 for row in table["rows"].values())
    record = yaml.safe_load((project / "metrics/kidney/records/vnet_80-d0-s0.yaml").read_text())
    assert record["labeled"] == CASES[:6]


def test_nothing_in_table_and_report_speaks_of_atria(project):
    text = (project / "metrics/kidney/table.md").read_text()
    page = (project / "report/kidney/index.html").read_text().split("<script>")[0]
    assert "Dice against V-Net & 2L" in text and "cohort kidney (real scans), full resolution" in text
    assert "the patient's right is on the right and the front at the bottom" in page
    for word in ("published", "Gupta", "Not run", "atri", "phantom", "16L", "80L"):
        assert word not in text and word not in page.split("</style>")[1].split('<section id="origin">')[0]


def test_its_masks_and_those_of_further_scans_are_on_the_raw_grid(project):
    raw = project / "data/raw/kidney"
    for case, suffix in {"K13": ".nii.gz", "K14": ".nrrd"}.items():
        scan = volumes.read_volume(raw / case / f"image{suffix}")
        mask = volumes.read_volume(project / f"predictions/kidney/cps_32-d0-s0/{case}.nrrd")
        assert mask.array.shape == SIZE
        np.testing.assert_allclose(mask.geometry.spacing_mm, (1.0, 1.2, 3.0), atol=1e-6)
        np.testing.assert_allclose(mask.geometry.origin_mm, scan.geometry.origin_mm, atol=1e-5)
        assert mask.geometry.direction == RAS
    words = (sys.executable, "-m", "lassl.cli.main", "predict", "kidney/vnet_16-d0-s0", str(raw / "K10/image.nrrd"))
    call(project, *words, "-o", "masks")
    assert (
        volumes.read_volume(project / "masks/K10.nrrd").geometry == volumes.read_volume(raw / "K10/image.nrrd").geometry
    )
