"""URPC: heads at several scales of one decoder."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning.base import supervised_terms
from lassl.methods.urpc import URPC

RAMP = math.exp(-5 * 0.25)  # half way


def make(make_vnet, **options):
    return URPC(make_vnet, **({"weight": 2.0, "scales": 3, "rectify": True, "ramp": 1.0} | options))


def random_logits(scales=3, spread=3.0):
    generator = torch.Generator().manual_seed(0)
    return [spread * torch.randn(2, 2, 3, 4, 5, generator=generator) for _ in range(scales)]


def naive_consistency(logits, rectify):
    """The equations, scale by scale in double precision."""
    p = [each.double().softmax(1) for each in logits]
    q = sum(p) / len(p)
    terms = []
    for each in p:
        divergence = (q * torch.log(q / each)).sum(1, keepdim=True)
        certainty = torch.exp(-divergence)
        squared = (q - each) ** 2
        rectified = (squared * certainty).mean() / certainty.mean() + divergence.mean()
        terms.append(rectified if rectify else squared.mean())
    return sum(terms) / len(terms)


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("scales", [2, 3, 4])
def test_the_consistency_is_that_of_the_equations_with_its_gradient(make_vnet, rectify, scales):
    logits = [each.requires_grad_() for each in random_logits(scales)]
    found, certainty = make(make_vnet, scales=scales, rectify=rectify).consistency(logits)
    expected = naive_consistency(logits, rectify)
    torch.testing.assert_close(found.double(), expected)
    assert 0 < certainty < 1
    for mine, naive in zip(torch.autograd.grad(found, logits), torch.autograd.grad(expected, logits), strict=True):
        torch.testing.assert_close(mine, naive, rtol=1e-4, atol=1e-8)


def test_heads_that_tell_the_same_are_certain_and_cost_nothing(make_vnet):
    found, certainty = make(make_vnet).consistency(random_logits(1) * 3)
    torch.testing.assert_close(torch.stack([found, certainty]), torch.tensor([0.0, 1.0]), rtol=0, atol=1e-6)


def test_logits_that_are_sure_of_opposite_classes_give_finite_values_and_gradients(make_vnet):
    sure = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1, 1).repeat(2, 1, 3, 4, 5)
    logits = [sure.clone().requires_grad_(), (-sure).requires_grad_()]
    found, _ = make(make_vnet).consistency(logits)
    assert found > 100 and found.isfinite() and all(g.isfinite().all() for g in torch.autograd.grad(found, logits))


def test_each_coarser_head_reads_its_stage_and_is_brought_to_full_size(make_vnet, cubes):
    algorithm = make(make_vnet, scales=4).eval()
    outputs = []
    for stage in algorithm.network.decoder:
        stage.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    main = algorithm.network(cubes.image)
    *coarse, _ = outputs
    found = algorithm.pyramid(cubes.image)
    assert torch.equal(found[0], main)
    for i, (head, stage) in enumerate(zip(algorithm.heads, reversed(coarse), strict=True), start=1):
        assert stage.shape == (4, 2 * 2**i, *[16 // 2**i] * 3)
        small = torch.einsum("ncxyz,oc->noxyz", stage, head.weight[:, :, 0, 0, 0]) + head.bias.view(1, 2, 1, 1, 1)
        torch.testing.assert_close(found[i], F.interpolate(small, size=(16, 16, 16), mode="trilinear"))


def test_the_terms_are_the_mean_supervised_ones_and_the_consistency_of_the_unlabeled_patches(
    make_vnet, cubes, progress
):
    algorithm = make(make_vnet).eval()
    logits = algorithm.pyramid(cubes.image)
    step = algorithm.losses(cubes, progress())
    each = [supervised_terms(scale[:2], cubes.label) for scale in logits]
    for name in ("cross_entropy", "dice_loss"):
        torch.testing.assert_close(step.terms[name], sum(terms[name] for terms in each) / 3)
    expected = 2.0 * RAMP * naive_consistency([scale[2:] for scale in logits], rectify=True)
    torch.testing.assert_close(step.terms["pyramid"].double(), expected, rtol=1e-5, atol=1e-8)
    fine, coarse = (scale[2:].argmax(1).bool() for scale in (logits[0], logits[2]))
    torch.testing.assert_close(step.logs["agreement"], 2 * (fine & coarse).sum() / (fine.sum() + coarse.sum()))


def test_only_the_v_net_is_evaluated(make_vnet):
    algorithm = make(make_vnet)
    assert algorithm.networks == {"network": algorithm.network}


def test_every_head_learns_in_bf16_too(make_vnet, bars, progress):
    algorithm = make(make_vnet)
    with torch.autocast("cpu", torch.bfloat16):
        terms = algorithm.losses(bars, progress()).terms
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in algorithm.heads.parameters())


def test_one_unlabeled_patch_will_do_and_none_leaves_the_supervised_terms(make_vnet, cubes, progress):
    algorithm, empty = make(make_vnet), torch.zeros_like(cubes.label)
    one = algorithm.losses(Batch(cubes.image[:3], empty), progress()).terms
    none = algorithm.losses(Batch(cubes.image[:2], empty), progress()).terms
    assert set(one) - set(none) == {"pyramid"}
    assert all(term.isfinite() for term in (*one.values(), *none.values()))
