"""`lassl.load` and what it gives: masks and maps on the scan's own grid, and what is refused."""

import warnings

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import lassl
from helpers.dicom import write_series
from helpers.scans import PLACE, same_place
from helpers.trainings import predicting
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import from_image, read_volume, to_image, write_volume
from lassl.learning.margins import margin
from lassl.model.placement import Placement
from lassl.model.vnet import VNet
from lassl.predict.model import Ready
from lassl.predict.task import Task
from lassl.seeds import stream

pytestmark = pytest.mark.slow

SIZE = (34, 20, 18)


@pytest.fixture(scope="module")
def model() -> lassl.Model:
    """A small untrained network that finds about half of a scan."""
    torch.manual_seed(0)
    network = VNet(width=2, residual=False, dropout=0.5).eval()
    with torch.no_grad():
        network.head[1].bias[1] -= margin(network(torch.randn(1, 1, 32, 16, 16))).median()
    where = Placement(torch.device("cpu"), torch.float32, False)
    return lassl.Model(Ready(Task({"network": network}, predicting(), where), (0.0001, 1000.0)))


@pytest.fixture(scope="module")
def scan() -> Volume:
    """Noise in an oblique place."""
    return Volume(stream(0, "scan").integers(0, 200, SIZE).astype(np.int16), PLACE)


def array(image: sitk.Image) -> np.ndarray:
    return from_image(image).array


def test_a_mask_is_of_0_and_1_on_the_grid_of_the_scan(model, scan):
    mask = model.segment(to_image(scan))
    assert mask.GetPixelID() == sitk.sitkUInt8 and mask.GetSize() == SIZE
    same_place(from_image(mask).geometry, PLACE)
    assert set(np.unique(array(mask))) == {0, 1}


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_a_file_and_an_image_of_simpleitk_give_the_same_mask(model, scan, tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    write_volume(path, scan)
    expected = array(model.segment(to_image(read_volume(path))))
    for given in (path, str(path)):
        np.testing.assert_array_equal(array(model.segment(given)), expected)


def test_a_dicom_folder_is_a_scan(model, tmp_path):
    volume = Volume(stream(0, "dicom").integers(0, 200, SIZE).astype(np.int16), Geometry((0.625, 0.625, 0.625)))
    write_series(tmp_path / "series", volume)
    np.testing.assert_array_equal(array(model.segment(tmp_path / "series")), array(model.segment(to_image(volume))))


def test_maps_come_beside_the_mask_where_they_are_asked_for(model, scan):
    image = to_image(scan)
    maps = model.segment(image, probability=True, uncertainty=True, passes=2)
    np.testing.assert_array_equal(array(maps.mask), array(model.segment(image)))
    probability, uncertainty = array(maps.probability), array(maps.uncertainty)
    np.testing.assert_array_equal(probability > 0.5, array(maps.mask) > 0)
    assert probability.dtype == uncertainty.dtype == np.float32
    assert 0 <= uncertainty.min() < uncertainty.max() <= np.log(2) + 1e-6
    same_place(from_image(maps.uncertainty).geometry, PLACE)
    assert model.segment(image, probability=True).uncertainty is None
    assert model.segment(image, uncertainty=True, passes=1).probability is None


def test_segmenting_leaves_random_numbers_threads_and_simpleitk_as_they_were(model, scan, tmp_path):
    write_volume(tmp_path / "scan.nrrd", scan)
    before = torch.get_rng_state(), torch.get_num_threads(), sitk.ProcessObject.GetGlobalWarningDisplay()
    model.segment(tmp_path / "scan.nrrd", uncertainty=True, passes=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), sitk.ProcessObject.GetGlobalWarningDisplay()) == before[1:]


def test_a_mask_that_can_hardly_be_right_is_told_by_a_warning(model, scan):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.segment(to_image(scan))
    small = lassl.Model(Ready(model._ready.task, (900.0, 1000.0)))
    with pytest.warns(UserWarning, match=r"scan: the mask has \S+ mL; labels that the model learned from have 900 to"):
        small.segment(to_image(scan))


def test_what_is_no_scan_is_refused_in_words(model, scan, tmp_path):
    wrong = {
        "found a ndarray, expected a path or an image of SimpleITK": scan.array,
        "scan: found a 2-D image with 1 channel": sitk.Image(8, 8, sitk.sitkInt16),
        "scan: found a 3-D image with 2 channel": sitk.Image([8, 8, 8], sitk.sitkVectorUInt8, 2),
        "scan: the image is constant, every voxel is 0": sitk.Image(8, 8, 8, sitk.sitkInt16),
        "none.nrrd: not found": tmp_path / "none.nrrd",
    }
    for message, given in wrong.items():
        with pytest.raises(lassl.LasslError, match=message):
            model.segment(given)
    with pytest.raises(lassl.LasslError, match="passes: found 0, expected 1 or more"):
        model.segment(to_image(scan), uncertainty=True, passes=0)


def test_the_model_that_comes_with_lassl_is_found_by_its_name_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    low, high = lassl.load("atrium").volumes_ml
    assert 0 < low < high < 300
    with pytest.raises(lassl.LasslError, match=r"kidney\.pt: no such model; expected one that comes with lassl"):
        lassl.load("kidney")
    with pytest.raises(lassl.LasslError, match="network: the model has no 'second'"):
        lassl.load("atrium", network="second")
    with pytest.raises(lassl.LasslError, match="stride: found"):
        lassl.load("atrium", stride=(999, 1, 1))
    with pytest.raises(lassl.LasslError, match="memory_gib: found 0, expected a number above 0"):
        lassl.load("atrium", memory_gib=0)


def test_a_phantom_is_segmented_and_written_as_the_command_does(tmp_path):
    from helpers.command import lassl as command
    from lassl.data.phantom import draw_phantom

    image, _ = draw_phantom((96, 88, 48), stream(0, "phantom", "P000"))
    scan = Volume(image, Geometry((1.25, 1.25, 1.25)))
    write_volume(tmp_path / "scan.nrrd", scan)
    assert command("predict", "atrium", tmp_path / "scan.nrrd", "-o", tmp_path / "out") == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mask = lassl.load("atrium").segment(tmp_path / "scan.nrrd")
    np.testing.assert_array_equal(array(mask), read_volume(tmp_path / "out/scan.nrrd").array)
