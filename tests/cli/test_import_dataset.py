"""What `lassl import` reads: dataset.json in both styles, the files of each case, and all that can be wrong there."""

import json
from pathlib import Path

import pytest

from helpers.datasets import decathlon, edit, nnunet, phantom, write
from helpers.scans import locked_folder
from lassl.cli.import_dataset import chosen_channels, read_dataset
from lassl.plumbing.errors import LasslError

TWO = {"0": "T1", "1": "FLAIR"}


@pytest.fixture
def heart(tmp_path: Path) -> Path:
    return decathlon(tmp_path / "Task02_Heart", ["la_007", "la_003", "la_010"], ["la_001"])


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    return nnunet(tmp_path / "Dataset012_Body", ["A", "B"], ["X"], ending=".nrrd")


def problems(folder: Path) -> list[str]:
    """The lines of the error, without the folder."""
    with pytest.raises(LasslError) as error:
        read_dataset(folder)
    return str(error.value).replace(f"{folder}/", "").splitlines()


# what is read


def test_the_decathlons_cases_are_those_of_its_list_and_of_imagests(heart):
    found = read_dataset(heart)
    assert found.channels == ("MRI",) and found.structures == {"left_atrium": (1,)}
    assert list(found.labeled) == ["la_007", "la_003", "la_010"] and list(found.unlabeled) == ["la_001"]
    assert found.labeled["la_003"].images == (heart / "imagesTr/la_003.nii.gz",)
    assert found.labeled["la_003"].label == heart / "labelsTr/la_003.nii.gz"
    assert found.unlabeled["la_001"].images == (heart / "imagesTs/la_001.nii.gz",)


def test_nnunets_cases_are_those_of_its_labels_and_lose_the_channel_in_their_names(numbered):
    found = read_dataset(numbered)
    assert found.channels == ("T1",) and found.structures == {"body": (1,), "top": (2,)}
    assert found.labeled["B"].images == (numbered / "imagesTr/B_0000.nrrd",)
    assert found.labeled["B"].label == numbered / "labelsTr/B.nrrd"
    assert list(found.unlabeled) == ["X"]


def test_a_list_in_the_style_of_the_decathlon_may_leave_the_channel_out(heart):
    for path in (*heart.glob("imagesT*/la_*"),):  # as version 1 of nnU-Net has them
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    found = read_dataset(heart)
    assert found.labeled["la_003"].images == (heart / "imagesTr/la_003_0000.nii.gz",)
    assert list(found.unlabeled) == ["la_001"]


def test_a_number_that_belongs_to_the_name_is_not_a_channel(tmp_path):
    found = read_dataset(decathlon(tmp_path, ["p_0007", "p_0008"], ["p_0001"]))
    assert list(found.labeled) == ["p_0007", "p_0008"] and list(found.unlabeled) == ["p_0001"]


def test_nnunets_own_list_of_files_is_followed(numbered):
    entry = {"images": ["imagesTr/A_0000.nrrd"], "label": "labelsTr/A.nrrd"}
    other = {"images": ["imagesTr/B_0000.nrrd"], "label": "labelsTr/B.nrrd"}
    edit(numbered, dataset={"first": entry, "second": other})
    found = read_dataset(numbered)
    assert found.labeled["second"].images == (numbered / "imagesTr/B_0000.nrrd",)


def test_a_structure_may_have_several_values_that_no_other_has(numbered):
    edit(numbered, labels={"background": 0, "left and right": [1, 2], "third-one": 3})
    assert read_dataset(numbered).structures == {"left_and_right": (1, 2), "third-one": (3,)}


def test_a_folder_without_imagests_has_no_unlabeled_cases(tmp_path):
    assert read_dataset(decathlon(tmp_path, ["a", "b"])).unlabeled == {}


# channels


def test_one_of_several_channels_is_chosen_by_number_or_name(tmp_path):
    found = read_dataset(nnunet(tmp_path, ["A", "B"], channel_names=TWO))
    assert found.labeled["A"].images == (tmp_path / "imagesTr/A_0000.nii.gz", tmp_path / "imagesTr/A_0001.nii.gz")
    chosen = [chosen_channels(found, asked) for asked in ("0", "1", "flair", "T1")]
    assert chosen == [{"image": 0}, {"image": 1}, {"image": 1}, {"image": 0}]
    with pytest.raises(LasslError, match=r"^--channel: found '2', expected one of 0 \(T1\), 1 \(FLAIR\); give its"):
        chosen_channels(found, "2")


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["T1", "FLAIR"], ["t1", "flair"]),
        (["T1 (pre)", "T2/weighted"], ["t1_pre", "t2_weighted"]),
        (["MR", "mr"], ["channel_0", "channel_1"]),
        (["MR", "Label"], ["channel_0", "channel_1"]),
        (["??", "MR"], ["channel_0", "channel_1"]),
    ],
)
def test_all_of_several_channels_are_taken_under_safe_names(tmp_path, names, files):
    numbered = {str(i): name for i, name in enumerate(names)}
    found = read_dataset(nnunet(tmp_path, ["A", "B"], channel_names=numbered))
    assert chosen_channels(found, None) == {file: i for i, file in enumerate(files)}


def test_the_only_channel_need_not_be_named(heart):
    found = read_dataset(heart)
    assert chosen_channels(found, None) == chosen_channels(found, "mri") == {"image": 0}


def test_channels_that_a_case_lacks_or_has_too_many_of_are_told(tmp_path):
    folder = nnunet(tmp_path, ["A", "B", "C"], channel_names=TWO)
    (folder / "imagesTr/A_0001.nii.gz").unlink()
    (folder / "imagesTr/B_0000.nii.gz").unlink()
    assert problems(folder) == [
        f"imagesTr/{found}.nii.gz: found {found}, but dataset.json names 2 channel(s), expected {case}_0000, "
        f"{case}_0001; add or remove files, or correct channel_names"
        for case, found in {"A": "A_0000", "B": "B_0001"}.items()
    ]
    edit(folder, channel_names={"0": "T1"})
    assert problems(folder)[-1].startswith(
        "imagesTr/C_0000.nii.gz: found C_0000, C_0001, but dataset.json names 1 channel(s), expected C_0000; add or"
    )


# what is wrong


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "dataset.json: not found, expected the description of a folder of nnU-Net or of the Medical"),
        (b"{", "dataset.json: not valid JSON (Expecting property name"),
        (b"\xff{}", "dataset.json: found byte 0xff at position 0, expected text in UTF-8"),
        (b"[1]", "dataset.json: found no keys, expected channel_names (or modality) and labels"),
        (b"{}", "dataset.json: channel_names (or modality): found null, expected a name for each number from 0"),
    ],
)
def test_a_description_that_cannot_be_read_is_told(heart, content, told):
    (heart / "dataset.json").unlink() if content is None else (heart / "dataset.json").write_bytes(content)
    (line,) = problems(heart)
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (None, "labels: found null, expected names and values, as in"),
        ({"0": "background", "1": " "}, 'labels: found {"1": " "}, a value without a name; name the structure'),
        ({"0": "background", "1": None}, 'labels: found {"1": null}, a value without a name; name the structure'),
        ({"background": 0, "": 1}, 'labels: found {"": 1}, a value without a name; name the structure'),
        ({"background": 0, "liver": "1"}, 'labels: found {"liver": "1"}, expected whole numbers above 0; correct it'),
        ({"background": 0, "liver": True}, 'labels: found {"liver": true}, expected whole numbers above 0; correct it'),
        ({"background": 1, "liver": 2}, 'labels: found {"background": 1}, expected background to be 0; correct it'),
        ({"background": 0, "liver": -1}, 'labels: found {"liver": -1}, expected whole numbers above 0; correct it'),
        ({"background": 0, "liver": []}, 'labels: found {"liver": []}, expected whole numbers above 0; correct it'),
        ({"background": 0, "ignore": 1}, 'labels: found {"ignore": 1}, which marks voxels that nobody labeled'),
        ({"0": "background"}, "labels: found only background, expected a structure; name it with its value"),
        ({"0": "background", "1": "a b", "2": "a_b"}, "labels: two structures are called a_b; rename one"),
        (
            {"background": 0, "whole": [1, 2], "core": [2]},
            "labels: value 2 is one of whole and of core, but regions that overlap cannot be learned here; give each",
        ),
    ],
)
def test_labels_that_name_no_structures_are_told(heart, labels, told):
    edit(heart, labels=labels)
    (line,) = problems(heart)
    assert line.startswith(f"dataset.json: {told}")


@pytest.mark.parametrize("names", [[], {}, ["MRI"], {"1": "MRI"}, {"MRI": "0"}])
def test_channels_without_numbers_from_0_are_told(heart, names):
    edit(heart, modality=names)
    (line,) = problems(heart)
    assert f"found {json.dumps(names)}, expected a name for each number from 0" in line


def test_numbers_of_cases_that_are_not_there_are_told(heart, numbered):
    edit(heart, numTraining=20, numTest=10)
    assert problems(heart) == [
        "dataset.json: numTraining is 20, but found 3 training cases; correct it, or add what is missing",
        "dataset.json: numTest is 10, but found 1 entries of test; correct it, or add what is missing",
    ]
    edit(numbered, numTraining=3)
    assert problems(numbered)[0].startswith("dataset.json: numTraining is 3, but found 2 training cases")


def test_files_that_are_missing_are_told(heart, numbered):
    for path in ("imagesTr/la_003.nii.gz", "labelsTr/la_007.nii.gz", "imagesTs/la_001.nii.gz"):
        (heart / path).unlink()
    assert problems(heart) == [
        "labelsTr/la_007.nii.gz: not found (2 files are missing in all), but dataset.json expects it; add it, or "
        "correct dataset.json",
        "imagesTs/la_001.nii.gz: not found, but dataset.json expects it; add it, or correct dataset.json",
    ]
    (numbered / "imagesTr/B_0000.nrrd").unlink()
    assert problems(numbered) == [
        "imagesTr/B.nrrd: not found, but dataset.json expects it; add it, or correct dataset.json"
    ]


def test_a_folder_without_labels_is_told(heart, numbered):
    for path in (heart / "labelsTr").iterdir():
        path.unlink()
    assert problems(heart)[0].startswith("labelsTr/la_007.nii.gz: not found (3 files are missing in all)")
    (heart / "labelsTr").rmdir()
    assert problems(heart) == ["labelsTr: not found, expected the labels of imagesTr; copy the complete folder"]
    for path in (numbered / "labelsTr").iterdir():
        path.rename(path.with_suffix(".png"))
    edit(numbered, numTraining=None)
    assert problems(numbered)[0].startswith("labelsTr: found no label (.nrrd, .nii.gz, .nii, .mha); copy")


def test_a_folder_that_may_not_be_read_is_told(heart, monkeypatch):
    locked_folder(monkeypatch, heart / "labelsTr")
    assert problems(heart) == ["labelsTr: permission denied; check its owner and permissions (`ls -ld`)"]


def test_an_image_or_a_label_that_no_case_has_is_told(heart, numbered):
    write(numbered / "imagesTr/C_0000.nrrd", phantom("C")[0])
    write(numbered / "imagesTr/D_0000.nrrd", phantom("D")[0])
    assert problems(numbered) == [
        "imagesTr/C_0000.nrrd: does not belong to a training case (nor do 1 others); add the label, or move it to "
        "imagesTs, or remove it"
    ]
    write(heart / "labelsTr/la_004.nii.gz", phantom("C")[1])
    assert problems(heart) == [
        "labelsTr/la_004.nii.gz: does not belong to a training case; name it in dataset.json, or remove it"
    ]


def test_two_cases_of_one_name_are_told(heart, numbered):
    entry = {"image": "imagesTr/la_003.nii.gz", "label": "labelsTr/la_003.nii.gz"}
    edit(heart, training=[*json.loads((heart / "dataset.json").read_text())["training"], entry], numTraining=4)
    assert problems(heart) == ["dataset.json: case la_003 is listed twice; keep one of the two"]
    write(numbered / "imagesTs/A_0000.nrrd", phantom("C")[0])
    assert problems(numbered) == ["imagesTs/A_0000.nrrd: case A is also in imagesTr; keep one of the two, or rename it"]
    write(numbered / "labelsTr/A.mha", phantom("A")[1])
    assert problems(numbered) == ["labelsTr/A.nrrd: A.mha is the same case; keep only one of the two"]


@pytest.mark.parametrize("entry", ["imagesTr/la_003.nii.gz", {"image": "imagesTr/la_003.nii.gz"}, {"label": 1}, None])
def test_an_entry_without_image_and_label_is_told(heart, entry):
    edit(heart, training=[entry])
    assert problems(heart) == [
        f"dataset.json: found {json.dumps(entry)}, expected the image and the label of a case; correct it"
    ]
