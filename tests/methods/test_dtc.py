"""DTC: segmentation and signed distance on one network."""

import math

import pytest
import torch

from lassl.data.patches import Batch
from lassl.learning.base import supervised_terms
from lassl.learning.distance import signed_distance
from lassl.methods.dtc import DTC

RAMP = math.exp(-5 * 0.25)  # half way


def make(make_vnet, **options):
    return DTC(make_vnet, **({"weight": 2.0, "distance": 0.3, "steepness": 1500.0, "ramp": 1.0} | options))


def distance_of(algorithm, image):
    """The second head's distance, with the convolution written as a sum over the channels."""
    weight, bias = algorithm.distance_head.weight, algorithm.distance_head.bias
    features = algorithm.network.decode(algorithm.network.encode(image))
    return torch.tanh((features * weight[0].view(1, -1, 1, 1, 1)).sum(1) + bias)


def test_the_distance_term_compares_the_second_head_with_the_labels_maps(make_vnet, cubes, progress):
    algorithm = make(make_vnet).eval()
    z = distance_of(algorithm, cubes.image[:2])
    expected = 0.3 * (z - signed_distance(cubes.label)).square().mean()
    torch.testing.assert_close(algorithm.losses(cubes, progress()).terms["distance"], expected)


def test_the_consistency_compares_the_distances_sign_with_the_segmentation_on_all_patches(make_vnet, cubes, progress):
    algorithm = make(make_vnet, steepness=3.0).eval()
    inside = 1 / (1 + torch.exp(3.0 * distance_of(algorithm, cubes.image)))
    foreground = algorithm.network(cubes.image).softmax(1)[:, 1]
    step = algorithm.losses(cubes, progress())
    torch.testing.assert_close(step.terms["dual_task"], 2.0 * RAMP * (inside - foreground).square().mean())
    assert step.logs["weight"] == pytest.approx(2.0 * RAMP)


def test_the_supervised_terms_are_the_baselines(make_vnet, cubes, progress):
    algorithm = make(make_vnet).eval()
    expected = supervised_terms(algorithm.network(cubes.image[:2]), cubes.label)
    found = algorithm.losses(cubes, progress()).terms
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term)


def test_the_agreement_is_the_dice_between_the_two_tasks_foreground(make_vnet, cubes, progress):
    algorithm = make(make_vnet).eval()
    a, b = algorithm.network(cubes.image).argmax(1).bool(), distance_of(algorithm, cubes.image) < 0
    expected = 2 * (a & b).sum() / (a.sum() + b.sum())
    torch.testing.assert_close(algorithm.losses(cubes, progress()).logs["agreement"], expected)


def test_the_consistency_teaches_both_heads_and_the_decoder(make_vnet, cubes, progress):
    algorithm = make(make_vnet, steepness=3.0)
    algorithm.losses(cubes, progress()).terms["dual_task"].backward()
    assert algorithm.distance_head.weight.grad.any() and algorithm.network.head[1].weight.grad.any()
    assert all(p.grad.any() for p in algorithm.network.decoder.parameters() if p.dim() > 1)


def test_the_published_steepness_gives_finite_gradients_in_bf16_too(make_vnet, bars, progress):
    algorithm = make(make_vnet)
    with torch.autocast("cpu", torch.bfloat16):
        terms = algorithm.losses(bars, progress()).terms
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in algorithm.parameters())


def test_only_the_v_net_is_evaluated(make_vnet):
    algorithm = make(make_vnet)
    assert algorithm.networks == {"network": algorithm.network}


@pytest.mark.parametrize("value", [0, 1])
def test_labels_of_one_class_and_labeled_patches_alone_give_finite_terms(make_vnet, cubes, progress, value):
    algorithm = make(make_vnet)
    for batch in (
        Batch(cubes.image[:2], torch.full_like(cubes.label, value)),
        Batch(cubes.image[:3], torch.full_like(cubes.label, value)),
    ):
        assert all(term.isfinite() for term in algorithm.losses(batch, progress()).terms.values())
