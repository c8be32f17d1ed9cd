"""Networks of several channels: the V-Net's first stage, a class of one's own, and weights to start from."""

import pytest
import torch
from torch import nn

from lassl.model.network import build_network, tried
from lassl.model.start import SHIPPED, read_start
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.predict.onnx_file import Foregrounds
from lassl.settings.sections import Network


@pytest.mark.parametrize("channels", [2, 3])
def test_the_first_stage_adds_the_mean_of_the_channels(channels):
    torch.manual_seed(0)
    stage = VNet(width=2, channels=channels).encoder[0].eval()
    image = torch.randn(1, channels, 16, 16, 16)
    inner = stage.norms[0](stage.convolutions[0](image))
    torch.testing.assert_close(stage(image), (inner + image.mean(1, keepdim=True)).relu())


def test_equal_channels_give_what_one_gives_where_their_kernels_add_up_to_its_kernel():
    torch.manual_seed(0)
    one, two = VNet(width=4).eval(), VNet(width=4, channels=2).eval()
    weights = one.state_dict()
    first = "encoder.0.convolutions.0.weight"
    share = torch.rand_like(weights[first])
    two.load_state_dict(weights | {first: torch.cat([share * weights[first], (1 - share) * weights[first]], 1)})
    image = torch.randn(2, 1, 16, 32, 16)
    torch.testing.assert_close(two(image.repeat(1, 2, 1, 1, 1)), one(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "shape"), [(1, (1, 2, 16, 16, 16)), (2, (1, 1, 16, 16, 16)), (2, (2, 16, 16, 16))]
)
def test_an_image_of_other_channels_is_refused_in_one_line(channels, shape):
    with pytest.raises(LasslError) as error:
        VNet(width=1, channels=channels)(torch.zeros(shape))
    assert f"found a tensor of shape {shape}, expected (N, {channels}, X, Y, Z)" in str(error.value)
    assert "\n" not in str(error.value)


class Own(nn.Module):
    """A network that may have several channels."""

    def __init__(self, channels: int = 1):
        super().__init__()
        self.layer = nn.Conv3d(channels, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layer(image)
        return logits


class OneOnly(nn.Module):
    """A network that cannot."""


def test_a_class_of_ones_own_gets_the_channels_if_above_one():
    options = {"width": 1, "residual": False, "dropout": 0.0, "name": f"{__name__}:Own"}
    assert build_network(Network(**options)).layer.in_channels == 1
    assert tried(Network(**options, channels=3), (8, 8, 8)).layer.in_channels == 3
    with pytest.raises(LasslError, match=r"cannot be made with network\.options \{'channels': 3\}"):
        build_network(Network(**options | {"name": f"{__name__}:OneOnly"}, channels=3))


def test_the_first_convolution_of_other_channels_keeps_its_own_weights_which_is_told(capsys):
    config = Network(width=8, residual=False, dropout=0.5, classes=4, channels=2)
    torch.manual_seed(0)
    network = build_network(config)
    own = {key: value.clone() for key, value in network.state_dict().items()}
    start = read_start("atrium", config)
    start.into([network])
    found = network.state_dict()
    left = ["encoder.0.convolutions.0.weight", "head.1.weight", "head.1.bias"]
    assert all(torch.equal(found[key], own[key]) for key in left)
    assert all(torch.equal(found[key], start.weights[key]) for key in found if key not in left)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"note: train.start: {SHIPPED / 'atrium.pt'}: 2 classes, expected 4, 1 channel, expected 2; took all layers "
        "but encoder.0.convolutions.0, head.1, which begin with weights of their own"
    )


def test_a_network_of_several_channels_is_written_as_onnx_foregrounds():
    network = Foregrounds(VNet(width=1, channels=2).eval())
    assert network(torch.randn(1, 2, 16, 16, 16)).shape == (1, 1, 16, 16, 16)
