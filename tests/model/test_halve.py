"""Thick slices: a V-Net whose halvings leave axes alone (`network.halve`), from its settings to its files."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from helpers.trainings import predicting, settings, trained
from lassl.evaluation.inference import Windows, foregrounds
from lassl.images.geometry import Geometry, Volume
from lassl.learning.decoders import Decoder
from lassl.methods import build
from lassl.model.convolutions import largest, sizes, smallest, wrong
from lassl.model.placement import Placement, automatic_cpu
from lassl.model.start import read_start
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported, write_exported
from lassl.predict.onnx_file import write_onnx
from lassl.predict.segment import segment
from lassl.predict.task import PROBABILITY, Task
from lassl.settings.sections import Network

THICK = ((2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2))
FLAT = ((2, 2, 1),) * 4
CPU = Placement(torch.device("cpu"), torch.float32, False)


def network(halve, **changes) -> Network:
    return Network.model_validate({"width": 2, "residual": False, "dropout": 0.5, "halve": halve, **changes})


def vnet(halve) -> VNet:
    torch.manual_seed(0)
    return VNet(network(halve))


def test_the_multiples_follow_from_the_halvings_and_by_default_all_are_16():
    assert network(THICK).multiple == (16, 16, 4) and network(FLAT).multiple == (16, 16, 1)
    assert Network(width=2, residual=False, dropout=0.5).multiple == (16, 16, 16)


@pytest.mark.parametrize("halve", [THICK[:3], [[2, 2, 3]] + [[2, 2, 2]] * 3, [[2, 2]] * 4, [[2, 2, 0]] * 4])
def test_other_numbers_than_four_times_three_ones_and_twos_are_refused(halve):
    with pytest.raises(ValidationError):
        network(halve)


def test_a_class_of_ones_own_takes_no_halvings():
    with pytest.raises(ValidationError, match=r"halve is for the V-Net, and the network is a.b:C; leave network.halve"):
        network(THICK, name="a.b:C")


def test_the_default_is_not_written_and_another_is():
    assert "halve" not in Network(width=2, residual=False, dropout=0.5).model_dump(mode="json")
    assert network(THICK).model_dump(mode="json")["halve"] == [list(factors) for factors in THICK]
    assert Network.model_validate(network(THICK).model_dump(mode="json")) == network(THICK)


def test_features_shrink_as_the_halvings_say_and_logits_have_the_images_size():
    net, image = vnet(THICK), torch.randn(2, 1, 32, 16, 12)
    assert [tuple(f.shape[2:]) for f in net.encode(image)] == [
        (32, 16, 12), (16, 8, 12), (8, 4, 12), (4, 2, 6), (2, 1, 3)
    ]  # fmt: skip
    assert sizes((32, 16, 12), THICK) == [tuple(f.shape[2:]) for f in net.encode(image)]
    assert net(image).shape == (2, 2, 32, 16, 12)
    assert vnet(FLAT)(torch.randn(1, 1, 32, 16, 5)).shape == (1, 2, 32, 16, 5)


def test_the_names_of_the_weights_are_those_of_the_plain_network_and_the_default_has_its_bits():
    plain = VNet(Network(width=2, residual=False, dropout=0.5)).state_dict()
    assert list(vnet(THICK).state_dict()) == list(plain)
    torch.manual_seed(0)
    default = VNet(Network(width=2, residual=False, dropout=0.5)).state_dict()
    again = vnet(((2, 2, 2),) * 4).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in default.items())


def test_a_size_that_does_not_fit_is_refused_with_the_multiple_of_each_axis():
    with pytest.raises(
        LasslError, match=r"32 x 20 x 10 voxels, expected multiples of 16 x 16 x 4 \(not 20 along y, 10"
    ):
        vnet(THICK)(torch.zeros(1, 1, 32, 20, 10))


def test_a_patch_is_checked_axis_by_axis_where_the_settings_are_read(tiny_data):
    thick = {"network": {"halve": THICK}, "evaluate": {"stride": (8, 8, 4)}}
    assert settings(tiny_data, patches={"size": (16, 32, 12)}, **thick).patches.size == (16, 32, 12)
    with pytest.raises(
        ValidationError, match=r"multiples of \(16, 16, 4\), because the V-Net halves the axes as in net"
    ):
        settings(tiny_data, patches={"size": (16, 32, 10)}, **thick)


def test_one_patch_that_ends_as_one_voxel_is_refused_by_the_halvings(tiny_data):
    def with_one_patch(size):
        config = settings(tiny_data)
        values = config.model_dump()
        values["network"]["halve"], values["patches"]["size"] = THICK, size
        values["evaluate"]["stride"] = (8, 8, 4)
        values["methods"]["vnet_16"]["batch"] = {"labeled": 1, "unlabeled": 0}
        return type(config).model_validate(values)

    with pytest.raises(ValidationError, match="which the V-Net reduces to one voxel"):
        with_one_patch((16, 16, 4))
    assert with_one_patch((16, 16, 8)).patches.size == (16, 16, 8)


def test_the_convolutions_that_are_tried_in_bf16_are_those_of_the_halvings():
    before, halving, after = smallest((64, 64, 8), THICK)
    assert (before.size, halving.kernel, halving.stride, after.size) == ((8, 8, 4), (2, 2, 2), (2, 2, 2), (4, 4, 2))
    assert [case.kernel for case in largest((64, 64, 8), 4, THICK)] == [(3, 3, 3), (2, 2, 1)]
    assert list(wrong(smallest((48, 48, 5), FLAT), CPU.device, CPU.layout, CPU.autocast)) == []


def test_the_length_along_x_at_which_bf16_is_wrong_follows_the_halvings(monkeypatch):
    monkeypatch.setattr("lassl.model.placement.multiplies_bf16", lambda: True)
    little = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))  # x is divided by 4
    assert automatic_cpu((8, 64, 64), little)[0] == "fp32" and automatic_cpu((32, 64, 64), little)[0] == "bf16"
    bf16 = Placement(torch.device("cpu"), torch.bfloat16, False)
    with pytest.raises(LasslError, match="wrong on the CPU for 4 or 8 voxels along x; use at least 12"):
        bf16.check_patch((8, 64, 64), 4, little)


@pytest.mark.parametrize("upsampling", ["transposed", "trilinear", "nearest"])
def test_further_decoders_double_the_same_axes(upsampling):
    net = vnet(THICK)
    assert Decoder(net, upsampling)(net.encode(torch.randn(2, 1, 16, 32, 8))).shape == (2, 2, 16, 32, 8)


def test_the_pyramid_interpolates_each_scale_to_the_size_of_the_image():
    options = {"weight": 0.1, "scales": 4, "rectify": True, "ramp": 1.0}
    pyramid = build("urpc", lambda: vnet(THICK), options).pyramid(torch.randn(2, 1, 16, 32, 8))
    assert [tuple(logits.shape) for logits in pyramid] == [(2, 2, 16, 32, 8)] * 4


def test_windows_go_over_a_volume_with_few_slices():
    image = np.random.default_rng(0).normal(size=(20, 36, 7)).astype(np.float32)
    (found,) = foregrounds({"net": vnet(THICK).eval()}, image, Windows(1, (16, 16, 8), (8, 8, 4), 2), CPU).values()
    assert found.shape == (1, 20, 36, 7) and np.isfinite(found).all()


@pytest.fixture
def model(tiny_data, tmp_path, monkeypatch):
    """A training of three steps with thick slices."""
    monkeypatch.chdir(tmp_path)
    thick = settings(
        tiny_data, network={"halve": THICK}, patches={"size": (16, 16, 8)}, evaluate={"stride": (8, 8, 4)}
    ).model_copy(update={"profile": "thick"})
    return trained(thick), thick


def test_a_training_a_record_and_a_model_file_carry_the_halvings(model, tiny_data):
    found, config = model
    assert found.config.halve == THICK and found.record.settings.network.halve == THICK
    assert all(math.isfinite(float(value.float().sum())) for value in found.networks["network"].state_dict().values())
    exported = read_exported(Path("models/thick/vnet_16-d0-s0.pt"))
    write_exported(Path("thick.pt"), exported)
    again = read_exported(Path("thick.pt"))
    assert again.model.config == config.network
    scan = Volume(np.random.default_rng(0).normal(size=(20, 18, 6)).astype(np.float32), Geometry((0.625,) * 3))
    task = Task(again.model.networks, again.settings, CPU)
    assert segment(scan, task)[PROBABILITY].shape == (1, 20, 18, 6)
    assert again.settings.window == (16, 16, 8)
    assert read_start("thick.pt", config.network).weights.keys() == found.networks["network"].state_dict().keys()
    with pytest.raises(LasslError, match=r"found a network with .*halve.*, expected .* as in params.yaml"):
        read_start("thick.pt", settings(tiny_data).network)


def test_an_onnx_file_says_which_multiples_it_takes_and_computes_the_same(model):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    exported = read_exported(Path("models/thick/vnet_16-d0-s0.pt"))
    write_onnx(Path("thick.onnx"), exported)
    assert "multiples of 16 x 16 x 4, others are refused" in onnx.load("thick.onnx").graph.input[0].doc_string
    session = runtime.InferenceSession("thick.onnx", providers=["CPUExecutionProvider"])
    image = torch.randn(2, 1, 32, 16, 12)
    (found,) = session.run(None, {"image": image.numpy()})
    with torch.inference_mode():
        expected = exported.model.networks["network"].eval()(image).softmax(1)[:, 1:].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_predicting_settings_of_a_window_with_few_slices_are_valid():
    assert predicting(window=(16, 16, 4), stride=(8, 8, 4)).window == (16, 16, 4)
