"""The network."""

import pytest
import torch

from lassl.model.vnet import Stage, VNet
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Network


def network(width=2, residual=True):
    torch.manual_seed(0)
    return VNet(Network(width=width, residual=residual, dropout=0.5))


@pytest.mark.parametrize("residual", [True, False])
def test_it_has_the_published_number_of_weights_with_and_without_the_residual_path(residual):
    assert sum(p.numel() for p in network(16, residual).parameters()) == 9_448_866


def test_unequal_sizes_keep_their_axes():
    assert network()(torch.zeros(3, 1, 48, 32, 16)).shape == (3, 2, 48, 32, 16)


@pytest.mark.parametrize("size", [(48, 32, 20), (8, 16, 16), (17, 16, 16)])
def test_a_size_that_cannot_be_halved_four_times_is_refused_in_words(size):
    told = " x ".join(map(str, size))
    with pytest.raises(LasslError, match=f"V-Net: found an image of {told} voxels, expected multiples of 16"):
        network()(torch.zeros(1, 1, *size))


def test_the_axes_that_do_not_fit_are_named():
    with pytest.raises(LasslError, match=r"expected multiples of 16 \(not 20 along y, 8 along z\)"):
        network()(torch.zeros(1, 1, 16, 20, 8))


@pytest.mark.parametrize("shape", [(16, 16, 16), (1, 16, 16, 16), (2, 3, 16, 16, 16)])
def test_another_shape_than_images_of_one_channel_is_refused_in_words(shape):
    told = ", ".join(map(str, shape))
    with pytest.raises(LasslError, match=rf"V-Net: found a tensor of shape \({told}\), expected \(N, 1, X, Y, Z\)"):
        network()(torch.zeros(shape))


def test_its_arguments_have_defaults_and_ranges_and_a_config_stands_for_them():
    torch.manual_seed(0)
    by_words = VNet(width=2, residual=True, dropout=0.5)
    for key, value in network().state_dict().items():
        assert torch.equal(by_words.state_dict()[key], value)
    assert sum(p.numel() for p in VNet().parameters()) == 9_448_866
    with pytest.raises(ValueError, match="less than 1"):
        VNet(width=2, dropout=1.0)
    with pytest.raises(ValueError, match="VNet: found both a config and width, residual, dropout, classes, channels"):
        VNet(Network(width=2, residual=True, dropout=0.5), width=4)


def test_the_checks_of_sizes_leave_one_graph_to_compile():
    net, x = network().eval(), torch.randn(2, 1, 16, 32, 16)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="eager", fullgraph=True, dynamic=False)
    assert torch.equal(compiled(x), net(x))


def test_the_residual_path_adds_the_stages_input_before_the_last_relu():
    torch.manual_seed(0)
    plain, residual = Stage(3, 3, 2, False).eval(), Stage(3, 3, 2, True).eval()
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 5, 4, 3)
    h = torch.relu(plain.norms[0](plain.convolutions[0](x)))
    h = plain.norms[1](plain.convolutions[1](h))
    torch.testing.assert_close(plain(x), torch.relu(h))
    torch.testing.assert_close(residual(x), torch.relu(h + x))


def test_the_image_is_added_to_every_channel_of_the_first_stage():
    stage = Stage(1, 4, 1, True).eval()
    x = torch.rand(1, 1, 4, 3, 2)
    with torch.no_grad():
        stage.convolutions[0].weight.zero_()
        stage.convolutions[0].bias.zero_()
    torch.testing.assert_close(stage(x), x.expand(1, 4, 4, 3, 2))


def test_the_skips_are_added():
    net = network(residual=False).eval()
    seen = []
    net.decoder[3].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    skips, ups = [], []
    net.encoder[0].register_forward_hook(lambda module, inputs, output: skips.append(output))
    net.ups[3].register_forward_hook(lambda module, inputs, output: ups.append(output))
    net(torch.randn(1, 1, 32, 16, 16))
    torch.testing.assert_close(seen[0], skips[0] + ups[0])


def test_dropout_is_on_in_training_and_off_in_testing():
    net, x = network(), torch.randn(2, 1, 16, 32, 16)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_channels_last_gives_the_same():
    net, x = network().eval(), torch.randn(2, 1, 16, 32, 16)
    expected = net(x)
    last = net.to(memory_format=torch.channels_last_3d)(x.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-4)
