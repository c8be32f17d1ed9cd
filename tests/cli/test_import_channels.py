"""`lassl import` of several channels: each has its file in every case, and the profile names them."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from helpers.command import lassl
from helpers.datasets import decathlon, nnunet, phantom, write
from helpers.project import ROOT
from lassl.cli.import_dataset import read_dataset
from lassl.cli.import_profile import Fit, profile_text
from lassl.cli.import_scans import measure
from lassl.data.prepare import prepare
from lassl.data.prepared import open_prepared
from lassl.images.geometry import Geometry
from lassl.images.intensities import normalize
from lassl.images.volumes import read_volume
from lassl.plumbing.errors import LasslError
from lassl.settings.compose import compose
from lassl.settings.config import Config, load


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project's folder without scans."""
    shutil.copytree(ROOT / "conf", tmp_path / "project/conf")
    (tmp_path / "project/splits").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def settings(name: str) -> Config:
    compose(Path("params.yaml"), f"profile={name}")
    return load()


@pytest.mark.slow
def test_a_folder_of_nnunet_with_two_channels_becomes_a_cohort_of_two(tmp_path, capsys):
    folder = nnunet(tmp_path / "D", list("ABCDE"), ["X"], channel_names={"0": "T1", "1": "FLAIR"})
    assert lassl("import", folder, "--name", "body") == 0
    assert Path("data/raw/body/B/t1.nii.gz").readlink() == folder / "imagesTr/B_0000.nii.gz"
    assert Path("data/raw/body/B/flair.nii.gz").readlink() == folder / "imagesTr/B_0001.nii.gz"
    assert Path("data/raw/body/X/flair.nii.gz").readlink() == folder / "imagesTs/X_0001.nii.gz"
    assert "; channels t1, flair; patches of" in capsys.readouterr().out
    config = settings("body")
    assert config.data.channels == ("t1", "flair") and config.network.channels == 2
    prepare(config.data)
    image = open_prepared(config.data.prepared).read_image("X")  # unlabeled, thus whole
    whole = (slice(None), slice(None), slice(None))
    for found, channel in zip(image, (0, 1), strict=True):
        np.testing.assert_array_equal(found, normalize(phantom("X")[0] + channel, whole))


@pytest.mark.slow
def test_all_channels_of_a_file_with_several_are_written_and_can_be_replaced(tmp_path):
    folder = decathlon(tmp_path / "Task", list("ABC"), modality={"0": "T2", "1": "ADC"})
    for path in folder.glob("imagesTr/[A-C].nii.gz"):
        plain = nibabel.load(path)
        both = np.stack([np.asarray(plain.dataobj), 2 * np.asarray(plain.dataobj)], -1)
        nibabel.save(nibabel.Nifti1Image(both, plain.affine, plain.header), path)
    for more in ([], ["--overwrite"]):
        assert lassl("import", folder, "--name", "task", *more) == 0
        for factor, name in enumerate(("t2", "adc"), 1):
            image = read_volume(Path(f"data/raw/task/A/{name}.nii.gz")).array
            np.testing.assert_array_equal(image, factor * phantom("A")[0])
    assert lassl("import", folder, "--name", "task", "--channel", "ADC", "--overwrite") == 0
    assert sorted(path.name for path in Path("data/raw/task/A").iterdir()) == ["image.nii.gz", "label.nii.gz"]
    assert settings("task").network.channels == 1


@pytest.mark.slow
def test_channels_on_different_grids_are_told_by_file(tmp_path):
    folder = nnunet(tmp_path / "D", list("AB"), channel_names={"0": "T1", "1": "FLAIR"})
    image = phantom("B")[0]
    write(folder / "imagesTr/A_0001.nii.gz", phantom("A")[0][1:])
    write(folder / "imagesTr/B_0001.nii.gz", image, Geometry((2.0, 1.25, 1.37), (20.0, -30.0, 5.0)))
    with pytest.raises(LasslError) as error:
        measure(read_dataset(folder), [0, 1])
    size, spacing = str(error.value).splitlines()
    assert size == (
        f"{folder}/imagesTr/A_0001.nii.gz: found size (23, 22, 18), but A_0000.nii.gz has (24, 22, 18); export the two "
        "together"
    )
    assert spacing.startswith(f"{folder}/imagesTr/B_0001.nii.gz: found spacing_mm (2.0, 1.25, 1.37")
    assert set(measure(read_dataset(folder), [0])) == {"A", "B"}


def test_a_profile_names_several_channels_and_is_silent_of_one():
    made = [
        yaml.safe_load(profile_text("a", "A", {"b": (1,)}, Fit(1, (32, 32, 32), (3, 6)), 4, 2, channels))
        for channels in ([], ["image"], ["t1", "flair"])
    ]
    assert [text["data"].get("channels") for text in made] == [None, None, ["t1", "flair"]]
