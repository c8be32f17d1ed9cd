"""MC-Net and MC-Net+: decoders on one encoder."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning.base import supervised_terms
from lassl.learning.decoders import Decoder, stages
from lassl.methods.mcnet import MCNet
from lassl.model.vnet import VNet
from lassl.settings.sections import Network

RAMP = math.exp(-5 * 0.75**2)  # at a tenth of training, a quarter of the ramp


def make(make_vnet, decoders=3, **options):
    default = {"weight": 2.0, "temperature": 0.1, "detach": False, "ramp": 0.4}
    return MCNet(make_vnet, decoders=decoders, **(default | options))


def logits_of(algorithm, image):
    features = algorithm.network.encode(image)
    return [algorithm.network(image), *(decoder(features) for decoder in algorithm.others)]


@pytest.mark.parametrize("decoders", [2, 3])
def test_the_mutual_term_sums_over_ordered_pairs_the_squared_difference_of_softmax_and_sharpened_softmax(
    make_vnet, cubes, progress, decoders
):
    algorithm = make(make_vnet, decoders).eval()
    probabilities = [each.softmax(1).double() for each in logits_of(algorithm, cubes.image)]
    expected = torch.zeros((), dtype=torch.float64)
    for i, p in enumerate(probabilities):
        for j, q in enumerate(probabilities):
            if i != j:
                sharpened = q**10 / (q**10).sum(1, keepdim=True)  # P^(1/T) / (P^(1/T) + (1 - P)^(1/T))
                expected += (p - sharpened).square().mean()
    step = algorithm.losses(cubes, progress(step=4))
    torch.testing.assert_close(step.terms["mutual"].double(), 2.0 * RAMP * expected)
    assert step.logs["weight"] == pytest.approx(2.0 * RAMP)


@pytest.mark.parametrize("decoders", [2, 3])
def test_each_decoders_supervised_loss_counts_half(make_vnet, cubes, progress, decoders):
    algorithm = make(make_vnet, decoders).eval()
    found = algorithm.losses(cubes, progress()).terms
    each = [supervised_terms(logits[:2], cubes.label) for logits in logits_of(algorithm, cubes.image)]
    assert len(each) == decoders
    for name in ("cross_entropy", "dice_loss"):
        torch.testing.assert_close(found[name], sum(terms[name] for terms in each) / 2)


def test_the_weight_is_full_from_the_end_of_the_ramp_on(make_vnet, cubes, progress):
    algorithm = make(make_vnet, ramp=0.5)
    assert [algorithm.losses(cubes, progress(step)).logs["weight"] for step in (20, 39)] == [2.0, 2.0]


def test_the_agreement_is_the_dice_of_the_first_two_decoders_predictions(make_vnet, cubes, progress):
    algorithm = make(make_vnet).eval()
    a, b, _ = (logits.argmax(1).bool() for logits in logits_of(algorithm, cubes.image))
    expected = 2 * (a & b).sum() / (a.sum() + b.sum())
    torch.testing.assert_close(algorithm.losses(cubes, progress()).logs["agreement"], expected)


def test_the_loss_of_every_decoder_reaches_the_encoder(make_vnet, cubes):
    algorithm = make(make_vnet)
    for decoder in algorithm.others:
        algorithm.zero_grad()
        decoder(algorithm.network.encode(cubes.image)).square().sum().backward()
        assert all(p.grad.any() for p in algorithm.network.encoder.parameters() if p.dim() > 1)
        assert all(p.grad is None for p in algorithm.network.decoder.parameters())


@pytest.mark.parametrize("detach", [False, True])
def test_a_sharpened_probability_carries_a_gradient_unless_it_is_detached(make_vnet, detach):
    algorithm = make(make_vnet, detach=detach)
    a, b = torch.randn(2, 1, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)
    a.requires_grad_()
    algorithm.mutual([a, b]).backward()
    again = a.detach().requires_grad_()
    p, q = again.softmax(1)[:, 1].float(), b.softmax(1)[:, 1].float()
    sharp = ((again[:, 1] - again[:, 0]) * 10).sigmoid().float()
    sharp_b = ((b[:, 1] - b[:, 0]) * 10).sigmoid().float()
    terms = (p - sharp_b).square().mean() + (0 if detach else (q - sharp).square().mean())
    terms.backward()
    torch.testing.assert_close(a.grad, again.grad, rtol=1e-5, atol=1e-7)


def test_only_the_v_net_is_evaluated(make_vnet):
    algorithm = make(make_vnet)
    assert algorithm.networks == {"network": algorithm.network}


def test_another_decoder_with_the_networks_weights_gives_what_the_network_gives(make_vnet, cubes):
    network = make_vnet().eval()
    decoder = Decoder(network).eval()
    features = network.encode(cubes.image)
    assert not torch.allclose(decoder(features), network(cubes.image))
    decoder.load_state_dict({name: v for name, v in network.state_dict().items() if name in decoder.state_dict()})
    assert torch.equal(decoder(features), network(cubes.image))
    assert torch.equal(stages(network, features)[-1], network.decode(features))


def test_another_decoder_starts_as_a_new_networks_whatever_the_network_has_learned(make_vnet):
    network = make_vnet()
    with torch.no_grad():
        for value in network.state_dict().values():
            value.fill_(7)
    for upsampling in ("transposed", "trilinear", "nearest"):
        decoder = Decoder(network, upsampling)
        assert all((value != 7).all() for value in decoder.state_dict().values())


@pytest.mark.parametrize("upsampling", ["trilinear", "nearest"])
def test_the_other_decoders_interpolate_then_convolve(make_vnet, cubes, upsampling):
    network = make_vnet()
    decoder = Decoder(network, upsampling).eval()
    up, x = decoder.ups[0], torch.randn(1, 32, 1, 2, 3)
    aligned = {"align_corners": True} if upsampling == "trilinear" else {}
    larger = F.interpolate(x, size=(2, 4, 6), mode=upsampling, **aligned)
    (kernel,) = [p for p in up.parameters() if p.dim() == 5]
    assert kernel.shape == (16, 32, 3, 3, 3)
    bias = next(p for name, p in up.named_parameters() if name == "1.bias")
    expected = F.conv3d(larger, kernel, bias, padding=1) / math.sqrt(1 + 1e-5)
    torch.testing.assert_close(up(x), expected.relu())


def test_the_decoders_are_those_of_a_residual_network_where_it_is_one(cubes):
    torch.manual_seed(0)
    network = VNet(Network(width=2, residual=True, dropout=0.0))
    assert all(stage.residual for stage in Decoder(network).decoder)


def test_labeled_patches_alone_and_labels_without_foreground_give_finite_terms(make_vnet, cubes, progress):
    algorithm = make(make_vnet)
    for batch in (Batch(cubes.image[:2], cubes.label), Batch(cubes.image[:3], torch.zeros_like(cubes.label))):
        assert all(term.isfinite() for term in algorithm.losses(batch, progress()).terms.values())
