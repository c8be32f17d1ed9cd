"""A network of one's own through everything: training, evaluation, prediction, export, and methods that refuse it."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.command import lassl
from helpers.project import composed
from helpers.small_unet import SmallUNet
from helpers.trainings import settings
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.publish import publish
from lassl.images.volumes import read_volume
from lassl.model.record import read_record
from lassl.model.start import find_model
from lassl.model.trained import load_model
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported
from lassl.training.train import train

NAME = "helpers.small_unet:SmallUNet"
RUN = "quick/mt_un-d0-s0"


def own(tiny_data, name=NAME, **options):
    return settings(tiny_data, network={"name": name, "options": options})


@pytest.fixture(scope="module")
def project(tiny_data, tmp_path_factory):
    """A folder with a mean teacher of small U-Nets, trained and evaluated."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = own(tiny_data, width=3)
        run = config.run("mt_un", 0, 0)
        train(config, run)
        evaluate(config, run)
        publish(run)
    return folder


@pytest.fixture
def in_project(project, monkeypatch):
    monkeypatch.chdir(project)


@pytest.fixture
def without_the_class(monkeypatch):
    """The module of the class cannot be imported, as on somebody else's machine."""
    monkeypatch.setitem(sys.modules, "helpers.small_unet", None)


@pytest.mark.usefixtures("in_project")
def test_its_model_and_record_keep_name_and_options_and_every_case_is_scored():
    model = load_model(Path(f"models/{RUN}.pt"))
    assert all(isinstance(network, SmallUNet) for network in model.networks.values())
    record = read_record(Path("metrics/quick/records/mt_un-d0-s0.yaml"))
    assert (record.settings.network.name, record.settings.network.options) == (NAME, {"width": 3})
    assert json.loads(Path("metrics/quick/mt_un-d0-s0.json").read_text())["dice"] >= 0
    assert len(list(Path("predictions/quick/mt_un-d0-s0").glob("C*.nrrd"))) == 2


@pytest.mark.parametrize("half", [(), ("--half",)])
@pytest.mark.usefixtures("in_project")
def test_an_exported_one_predicts_the_masks_of_the_evaluation(tmp_path, tiny_data, half):
    lassl("export", RUN, "-o", tmp_path / "model.pt", *half)
    for model in (RUN, tmp_path / "model.pt"):
        scan = tiny_data.folder / "C6" / "lgemri.nrrd"
        assert lassl("predict", model, scan, "-o", tmp_path / "masks", "--overwrite") == 0
        found = read_volume(tmp_path / "masks/C6.nrrd").array > 0
        expected = read_volume(Path("predictions/quick/mt_un-d0-s0/C6.nrrd")).array > 0
        assert (found == expected).mean() > (0.99 if half and model != RUN else 0.9999)


@pytest.mark.usefixtures("in_project")
def test_as_onnx_it_gives_the_probabilities_of_torch_for_windows_of_the_training(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    lassl("export", RUN, "-o", tmp_path / "model.onnx", "--format", "onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    image = torch.randn(3, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    model = read_exported(find_model(RUN)).model
    with torch.inference_mode():
        expected = model.networks[model.default].eval()(image).softmax(1)[:, 1:].numpy()
    (found,) = session.run(None, {"image": image.numpy()})
    assert expected.std() > 0.001
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert session.get_modelmeta().custom_metadata_map["input"].endswith("x, y, z: 16 x 16 x 16")


def test_an_operation_that_onnx_lacks_is_told_and_leaves_no_file(tiny_data, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    config = own(tiny_data, "helpers.small_unet:Folded")
    train(config, config.run("vnet_16", 0, 0))
    with pytest.raises(LasslError, match=r"^model.onnx: torch cannot write network helpers.small_unet:Folded as ONNX"):
        lassl("export", "quick/vnet_16-d0-s0", "-o", "model.onnx", "--format", "onnx")
    assert not Path("model.onnx").exists()


@pytest.mark.usefixtures("in_project", "without_the_class")
@pytest.mark.parametrize("read", [load_model, read_exported])
def test_without_its_class_a_model_is_refused_in_one_line_that_names_file_and_class(read):
    path = Path(f"models/{RUN}.pt")
    with pytest.raises(LasslError) as error:
        read(path)
    assert re.fullmatch(
        f"{path}: network {NAME}: cannot find '{NAME}' .*; restore or install its module, or .*", str(error.value)
    )


@pytest.mark.parametrize(
    ("method", "parts"),
    [("dtc", "encode, decode, head"), ("mcnet", "encode, decode, head, ups, decoder")],
)
def test_a_method_that_uses_parts_of_the_v_net_is_refused_before_training(
    tiny_data, tmp_path, monkeypatch, method, parts
):
    monkeypatch.chdir(tmp_path)
    config = settings(tiny_data, composed(f"method={method}"), network={"name": NAME})
    with pytest.raises(LasslError) as error:
        train(config, config.run(method, 0, 0))
    assert str(error.value) == (
        f"params.yaml: methods.{method}: algorithm {method} uses the network's {parts}, and network {NAME} has no "
        f"{parts}; use network.name=vnet, or a method for any network"
    )
    assert not list(tmp_path.glob("*/"))
