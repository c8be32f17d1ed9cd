"""Export as ONNX: another runtime computes the same probabilities, and the file tells how it is to be used."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.command import RUN, lassl
from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported

pytestmark = [pytest.mark.usefixtures("in_project"), pytest.mark.slow]


@pytest.fixture
def session(tmp_path):
    """The run's first network in onnxruntime."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    lassl("export", RUN, "-o", tmp_path / "model.onnx", "--format", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # a refusal is raised, it need not be printed as well
    return runtime.InferenceSession(tmp_path / "model.onnx", options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", [(1, 16, 16, 16), (3, 32, 16, 48), (2, 16, 64, 32)])
def test_any_batch_and_size_has_the_probabilities_of_torch(session, shape):
    batch, *size = shape
    image = torch.randn(batch, 1, *size, generator=torch.Generator().manual_seed(0))
    network = read_exported(find_model(RUN)).model.networks["first"].eval()
    with torch.inference_mode():
        expected = network(image).softmax(1)[:, 1:].numpy()
    (found,) = session.run(None, {"image": image.numpy()})
    assert found.shape == (batch, 1, *size) and expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(24, 16, 16), (16, 17, 16), (16, 16, 8)])
def test_a_size_that_is_no_multiple_of_16_is_refused(session, size):
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        session.run(None, {"image": np.zeros((1, 1, *size), np.float32)})


def test_the_metadata_tell_all_that_predicting_needs(session):
    told = session.get_modelmeta().custom_metadata_map
    needs = read_exported(find_model(RUN)).settings.model_dump(mode="json")
    for key, value in needs.items():
        assert told[key] == (value if isinstance(value, str) else json.dumps(value)), key
    assert {"pool", "window", "stride", "spacing_mm", "orientation", "normalization"} <= needs.keys()
    assert told["run"] == RUN
    assert "x, y, z: multiples of 16, others are refused" in told["input"]
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["image", "probability"]


def test_without_the_package_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(LasslError, match=r"the package onnx is not installed; `pip install onnx`"):
        lassl("export", RUN, "-o", tmp_path / "model.onnx", "--format", "onnx")
    assert list(Path(tmp_path).iterdir()) == []
