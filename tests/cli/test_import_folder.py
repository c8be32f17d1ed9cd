"""`lassl import`: folders of nnU-Net and of the Decathlon become cohorts that prepare, or nothing is written."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from helpers.command import lassl
from helpers.datasets import HEART, decathlon, edit, nnunet, phantom, write
from helpers.project import ROOT
from lassl.cli.import_dataset import read_dataset
from lassl.cli.import_scans import measure, write_channel
from lassl.data.prepare import prepare
from lassl.data.prepared import open_prepared
from lassl.data.raw import find_layout
from lassl.data.split_file import read_split
from lassl.images.geometry import Geometry, Volume, directions, orientation
from lassl.images.volumes import read_volume, to_image
from lassl.plumbing.errors import LasslError
from lassl.settings.compose import compose
from lassl.settings.config import Config, load

CASES = [f"la_{i:03}" for i in range(3, 13)]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project's folder without scans."""
    shutil.copytree(ROOT / "conf", tmp_path / "project/conf")
    (tmp_path / "project/splits").mkdir()
    monkeypatch.chdir(tmp_path / "project")


@pytest.fixture
def heart(tmp_path) -> Path:
    return decathlon(tmp_path / "Task02_Heart", CASES, ["la_001", "la_002"])


def everything() -> dict[str, bytes | str]:
    """All files of the project with their content, and links with their target."""
    paths = (path for path in Path().rglob("*") if path.is_symlink() or path.is_file())
    return {str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes() for path in paths}


def refused(*words: object) -> list[str]:
    """The lines of the error, after which the project is as before."""
    before = everything()
    with pytest.raises(LasslError) as error:
        lassl("import", *words)
    assert everything() == before
    return str(error.value).splitlines()


def settings(name: str) -> Config:
    compose(Path("params.yaml"), f"profile={name}")
    return load()


# what is made


@pytest.mark.slow
def test_a_decathlon_folder_becomes_a_cohort_that_prepares(heart, capsys):
    assert lassl("import", heart, "--name", "heart", "--test", "0.3", "--seed", "1") == 0
    told, beside = capsys.readouterr()
    assert "note: 2 scan(s) of imagesTs are used whole, as no label says where to crop them" in beside.splitlines()
    split = read_split(Path("splits/heart.csv"))
    assert len(split.test) == 3 and split.withheld == {"la_001", "la_002"}
    assert split.train == (*(case for case in CASES if case not in split.test), "la_001", "la_002")
    assert told.splitlines() == [
        f"data/raw/heart: 12 cases; their files are links to {heart}, which must stay",
        "splits/heart.csv: 7 labeled and 2 unlabeled training cases; 3 of 10 labeled ones to test on, drawn with seed "
        f"1: {', '.join(split.test)}",
        "conf/profile/heart.yaml: left_atrium; patches of 32 x 32 x 32 voxels, pooled by 1",
        "next: dvc exp run -S profile=heart",
    ]
    assert find_layout(Path("data/raw/heart")).name == "own"
    assert Path("data/raw/heart/la_003/image.nii.gz").readlink() == heart / "imagesTr/la_003.nii.gz"
    config = settings("heart")
    assert config.name == config.data.cohort == "heart" and config.data.structures == {"left_atrium": (1,)}
    few = ("cps", "mt_un", "mt_un_lovasz", "cps_alw")
    assert {name: (method.labeled, method.unlabeled) for name, method in config.methods.items()} == {
        "vnet_16": (2, 0), "vnet_80": (7, 0), "cps_32": (3, 6), **dict.fromkeys(few, (2, 7))
    }  # fmt: skip
    prepare(config.data)
    found = open_prepared(config.data.prepared)
    assert found.with_label == set(CASES) and (found.split.train, found.split.test) == (split.train, split.test)
    np.testing.assert_array_equal(found.paste("la_003", found.read_label("la_003")).array, phantom("la_003")[1])


@pytest.mark.slow
def test_scans_of_different_grids_are_brought_to_the_usual_one(heart):
    for n, case in enumerate(CASES[:4]):
        other = Geometry((1.5, 1.0 + 0.1 * n, 1.2), HEART.origin_mm, directions("RAS"))
        image, label = phantom(case, size=(26, 22, 20))
        write(heart / f"imagesTr/{case}.nii.gz", image, other)
        write(heart / f"labelsTr/{case}.nii.gz", label, other)
    assert lassl("import", heart, "--name", "mixed") == 0
    config = settings("mixed")
    assert config.data.spacing_mm == HEART.spacing_mm and config.data.orientation == orientation(HEART)
    prepare(config.data)
    cohort = open_prepared(config.data.prepared)
    for case in cohort.cases:
        assert cohort.geometry(case).spacing_mm == pytest.approx(HEART.spacing_mm)
        assert orientation(cohort.geometry(case)) == orientation(HEART)
        assert (cohort.cases[case].raw is not None) == (case in CASES[:4])


@pytest.mark.slow
def test_a_folder_of_nnunet_becomes_a_cohort_with_all_its_structures(tmp_path):
    names = {"background": 0, "no": 1, "Vorhöfe": 2, "1": 3}  # all words that YAML could take for something else
    channels = {"0": "T1", "1": "FLAIR"}
    folder = nnunet(tmp_path / "D", list("ABCDE"), ["X"], ".mha", channel_names=channels, labels=names)
    assert lassl("import", folder, "--name", "body", "--channel", "flair") == 0
    assert Path("data/raw/body/B/image.mha").readlink() == folder / "imagesTr/B_0001.mha"
    config = settings("body")
    assert config.data.structures == {"no": (1,), "Vorhöfe": (2,), "1": (3,)} and config.network.classes == 4
    prepare(config.data)
    found = open_prepared(config.data.prepared)
    np.testing.assert_array_equal(found.paste("B", found.read_label("B")).array, phantom("B", structures=3)[1])


def test_a_channel_of_a_file_with_several_is_written_in_its_place(tmp_path):
    channels = np.stack([phantom("A")[0], 2 * phantom("A")[0]], -1)
    image = nibabel.Nifti1Image(channels, np.diag([1.25, 1.25, 1.37, 1]))
    image.set_sform(image.affine, 1)
    nibabel.save(image, tmp_path / "A.nii.gz")
    write_channel(tmp_path / "A.nii.gz", 1, tmp_path / "one.nii.gz")
    found = read_volume(tmp_path / "one.nii.gz")
    np.testing.assert_array_equal(found.array, channels[..., 1])
    assert found.array.dtype == np.int16
    np.testing.assert_allclose(found.geometry.spacing_mm, (1.25, 1.25, 1.37), atol=1e-6)


@pytest.mark.parametrize("name", ["A.nii.gz", "A.nii", "A.nrrd"])
def test_a_file_whose_channels_cannot_be_read_is_told(tmp_path, name):
    values = np.random.default_rng(0).normal(size=(20, 20, 20, 2))
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "whole.nii.gz")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "whole.nii")
    content = (tmp_path / f"whole{'.nii' if name == 'A.nii' else '.nii.gz'}").read_bytes()
    (tmp_path / name).write_bytes(b"NRRD0004" if name == "A.nrrd" else content[:-60000])
    with pytest.raises(LasslError, match=rf"^[^\n]*{name}: cannot be read [^\n]*copy it again[^\n]*$"):
        write_channel(tmp_path / name, 1, tmp_path / "one.nii.gz")
    assert not (tmp_path / "one.nii.gz").exists()


def test_a_scaled_channel_keeps_its_values(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 4, 3, 2)).astype(np.float32)
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "A.nii")  # nibabel chooses a scale
    write_channel(tmp_path / "A.nii", 0, tmp_path / "one.nii.gz")
    scaled = nibabel.load(tmp_path / "A.nii").get_fdata()[..., 0]
    np.testing.assert_allclose(read_volume(tmp_path / "one.nii.gz").array, scaled, rtol=1e-6)


@pytest.mark.slow
def test_a_decathlon_folder_with_several_channels_in_a_file_is_imported_again(tmp_path):
    folder = decathlon(tmp_path / "Task", list("ABC"), modality={"0": "T2", "1": "ADC"})
    for path in folder.glob("imagesTr/[A-C].nii.gz"):
        plain = nibabel.load(path)
        both = np.stack([np.asarray(plain.dataobj), 2 * np.asarray(plain.dataobj)], -1)
        nibabel.save(nibabel.Nifti1Image(both, plain.affine, plain.header), path)
    for channel in (1, 0):
        assert lassl("import", folder, "--name", "task", "--channel", channel, *["--overwrite"] * (channel == 0)) == 0
        image = read_volume(Path("data/raw/task/A/image.nii.gz")).array
        np.testing.assert_array_equal(image, (1 + channel) * phantom("A")[0])
    Path("data/raw/task/A/label.nii.gz").unlink()
    Path("data/raw/task/A/label.nii.gz").write_text("drawn by hand")
    (line,) = refused(folder, "--name", "task", "--channel", 0, "--overwrite")
    assert line.startswith("data/raw/task: found a folder that lassl did not write and would replace; move it")


@pytest.mark.slow
def test_an_import_is_replaced_only_with_overwrite_and_the_seed_chooses_the_test_cases(heart):
    assert lassl("import", heart, "--name", "heart") == 0
    first = read_split(Path("splits/heart.csv"))
    assert refused(heart, "--name", "heart") == [
        "splits/heart.csv: exists already; give another folder or name, or use --overwrite to replace it"
    ]
    assert lassl("import", heart, "--name", "heart", "--overwrite") == 0
    assert read_split(Path("splits/heart.csv")) == first
    assert lassl("import", heart, "--name", "heart", "--overwrite", "--seed", "2") == 0
    assert read_split(Path("splits/heart.csv")).test != first.test
    assert [path for path in everything() if "/." in path] == []


# what is not


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("compact", "conf/profile/compact.yaml: exists, and `lassl import` did not make it; choose another --name"),
        ("listed", "splits/listed.csv: exists, and `lassl import` did not make it; choose another --name"),
        ("mine", "data/raw/mine: found a folder that lassl did not write and would replace; move it, or choose"),
        ("a/b", "--name: found 'a/b', expected a letter, then letters, digits, - and _; choose another"),
        ("2018", "--name: found '2018', expected a letter, then letters, digits, - and _; choose another"),
    ],
)
def test_what_others_made_is_not_replaced(heart, name, told):
    Path("splits/listed.csv").write_text("case,split\n")
    Path("data/raw/mine/A").mkdir(parents=True)
    Path("data/raw/mine/A/image.nii.gz").write_text("a scan")
    (line,) = refused(heart, "--name", name, "--overwrite")
    assert line.startswith(told)


def test_it_runs_in_the_folder_of_a_project(heart, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LasslError, match=r"^conf/config.yaml: not found; run this in the project's folder$"):
        lassl("import", heart, "--name", "heart")


@pytest.mark.slow
def test_files_that_do_not_fit_are_told_together_and_nothing_is_written(heart):
    image, label = phantom("la_003")
    write(heart / "labelsTr/la_003.nii.gz", label[1:])
    write(heart / "labelsTr/la_004.nii.gz", label, Geometry((1.0, 1.25, 1.37), HEART.origin_mm))
    write(heart / "labelsTr/la_005.nii.gz", label * 3)
    write(heart / "labelsTr/la_006.nii.gz", label * 0)
    (heart / "imagesTr/la_007.nii.gz").write_bytes(b"cut")
    packed = heart / "imagesTr/la_009.nii.gz"
    packed.write_bytes(packed.read_bytes()[:40])
    placeless = nibabel.Nifti1Image(image, np.diag([1.25, 1.25, 1.37, 1]))
    placeless.set_sform(None, 0)
    placeless.set_qform(None, 0)
    nibabel.save(placeless, heart / "imagesTr/la_010.nii.gz")
    damaged = heart / "labelsTr/la_008.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-60])
    both = nibabel.Nifti1Image(np.stack([image, image], -1), np.eye(4))
    nibabel.save(both, heart / "imagesTs/la_001.nii.gz")
    lines = [line.replace(f"{heart}/", "") for line in refused(heart, "--name", "heart")]
    assert [line[: len(told)] for line, told in zip(lines, TOLD, strict=True)] == TOLD


TOLD = [
    "labelsTr/la_003.nii.gz: found size (23, 22, 18), but its image has (24, 22, 18); export the two together",
    "labelsTr/la_004.nii.gz: found spacing_mm (1.0, 1.25, 1.37",
    "labelsTr/la_005.nii.gz: found label values [0, 3], expected those of dataset.json, [0, 1]; name them there, or",
    "labelsTr/la_006.nii.gz: every voxel is 0; draw the label, or move the image to imagesTs and delete this",
    "imagesTr/la_007.nii.gz: cannot be read (",
    "labelsTr/la_008.nii.gz: cannot be read (",
    "imagesTr/la_009.nii.gz: cannot be read (",
    "imagesTr/la_010.nii.gz: its header defines no place (sform_code and qform_code are 0), so a mask would be",
    "imagesTs/la_001.nii.gz: found a 4-D image with 2 channel(s), expected 3-D with 1, as dataset.json says; correct",
]


@pytest.mark.slow
def test_too_few_cases_are_told(tmp_path):
    folder = decathlon(tmp_path / "one", ["A"], ["B", "C"])
    (line,) = refused(folder, "--name", "one")
    assert line.startswith(f"{folder}/dataset.json: found 1 labeled and 2 unlabeled cases, 1 of them to test on, expec")
    (line,) = refused(decathlon(tmp_path / "two", ["A", "B"]), "--name", "two")
    assert "found 2 labeled and 0 unlabeled cases, 1 of them to test on, expected two or more to train on" in line


@pytest.mark.slow
def test_what_the_doctor_would_find_stops_an_import(heart):
    edit(heart, labels={"0": "background", "1": "left atrium", **{str(i): f"part {i}" for i in range(2, 300)}})
    (line,) = refused(heart, "--name", "heart")
    assert line.startswith(
        f"{heart}/dataset.json: would become a cohort that cannot be trained on: params.yaml: data.structures: "
        "Dictionary should have at most 254 items"
    )


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_grid_is_that_of_the_header(tmp_path, ending):
    folder = nnunet(tmp_path, ["A", "B"], ending=ending)
    turned = Geometry((1.0, 2.0, 3.0), (5.0, 6.0, 7.0), directions("RIP"))
    image, label = phantom("A")
    write(folder / f"imagesTr/A_0000{ending}", image, turned)
    write(folder / f"labelsTr/A{ending}", label, turned)
    found = measure(read_dataset(folder), [0])["A"]
    assert found.size == (24, 22, 18) and found.box is not None and max(found.box) < 12
    np.testing.assert_allclose(found.geometry.spacing_mm, (1, 2, 3), atol=1e-6)
    np.testing.assert_allclose(found.geometry.direction, turned.direction, atol=1e-6)
    both = sitk.Compose([to_image(Volume(image, turned))] * 2)
    if ending != ".nii.gz":
        sitk.WriteImage(both, folder / f"imagesTr/B_0000{ending}")
        with pytest.raises(LasslError, match=r"found a 4-D image with 2 channel\(s\), expected 3-D with 1"):
            measure(read_dataset(folder), [0])
