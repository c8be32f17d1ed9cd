"""Boxes of one patch in another, and what cross pseudo supervision makes of them and of Lovasz-Softmax."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.learning.mixing import box_of, cutmix, half_box
from lassl.methods.cps import CPS

RAMP = math.exp(-5 * 0.25)  # half way
CPU = torch.device("cpu")


def make(make_network, **options):
    return CPS(make_network, **({"weight": 0.1, "adaptive": False, "mix": "cutmix"} | options))


def alike(make_network, *options):
    """Algorithms with the same weights, dropout off, batch norm fixed."""
    first, *others = (make(make_network, **each).eval() for each in options)
    for other in others:
        other.load_state_dict(first.state_dict())
    return first, *others


def extent(inside):
    """First index and number of voxels along each axis of a mask's bounding box."""
    axes = [torch.nonzero(inside.sum(other)).flatten() for other in ((1, 2), (0, 2), (0, 1))]
    return [(int(a[0]), int(a[-1] - a[0]) + 1) for a in axes]


def boxes(size, count):
    generator = torch.Generator().manual_seed(0)
    return [half_box(torch.Size(size), generator) for _ in range(count)]


@pytest.mark.parametrize("size", [(64, 64, 48), (112, 112, 80), (16, 16, 16)])
def test_a_half_box_is_a_solid_box_of_half_the_volume_but_for_the_rounding_of_its_sides(size):
    for inside in boxes(size, 20):
        sides = [side for _, side in extent(inside)]
        assert inside.shape == size and int(inside.sum()) == math.prod(sides)
        assert all(n // 2 <= side <= n for side, n in zip(sides, size, strict=True))
        least, most = (math.prod(side + off for side in sides) for off in (-0.5, 0.5))
        assert least <= math.prod(size) / 2 <= most


def test_the_proportions_of_half_boxes_are_uniform():
    d = torch.tensor([[math.log2(64 / side) for _, side in extent(inside)] for inside in boxes((64, 64, 64), 600)])
    torch.testing.assert_close(d.sum(1), torch.ones(600), atol=0.05, rtol=0)
    torch.testing.assert_close(d.mean(0), torch.full((3,), 1 / 3), atol=0.03, rtol=0)
    # the share of a triangle's area where one coordinate is over a half
    torch.testing.assert_close((d > 0.5).float().mean(0), torch.full((3,), 1 / 4), atol=0.05, rtol=0)


def test_every_place_of_a_box_is_as_likely_as_any_other_the_last_included():
    generator = torch.Generator().manual_seed(0)
    found = [extent(box_of(torch.Size((6, 4, 3)), [3, 2, 3], generator)) for _ in range(1200)]
    assert {tuple(side for _, side in box) for box in found} == {(3, 2, 3)}
    starts = torch.tensor([[start for start, _ in box] for box in found])
    for axis, places in enumerate((4, 3, 1)):
        counts = starts[:, axis].bincount()
        assert len(counts) == places
        torch.testing.assert_close(counts / 1200, torch.full((places,), 1 / places), atol=0.04, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_patch_gets_the_box_of_its_partner_and_the_middle_one_stays(count):
    patches = torch.arange(count * 2 * 3 * 4 * 2.0).view(count, 2, 3, 4, 2)
    inside = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0)) < 0.5
    found = cutmix(patches, inside)
    for n in range(count):
        for x, y, z in inside.nonzero().tolist():
            assert torch.equal(found[n, :, x, y, z], patches[count - 1 - n, :, x, y, z])
        for x, y, z in (~inside).nonzero().tolist():
            assert torch.equal(found[n, :, x, y, z], patches[n, :, x, y, z])


def swapped(pair, inside):
    """Two patches with the voxels of the box exchanged."""
    mixed = pair.clone()
    mixed[0][..., inside], mixed[1][..., inside] = pair[1][..., inside], pair[0][..., inside]
    return mixed


def test_both_networks_learn_on_mixed_patches_what_the_other_says_of_the_patches_as_they_were(
    make_network, batch, progress
):
    (algorithm,) = alike(make_network, {})
    inside = half_box(torch.Size((6, 5, 4)), progress().generator("cutmix", CPU))
    unlabeled = batch.image[2:]
    labels = [swapped(n(unlabeled).argmax(1), inside) for n in (algorithm.first, algorithm.second)]
    a, b = (n(swapped(unlabeled, inside)) for n in (algorithm.first, algorithm.second))
    step = algorithm.losses(batch, progress())
    expected = 0.1 * RAMP * (F.cross_entropy(a, labels[1]) + F.cross_entropy(b, labels[0]))
    torch.testing.assert_close(step.terms["cross_unlabeled"], expected)
    weight = algorithm.first.layers[0].weight
    (found,) = torch.autograd.grad(step.terms["cross_unlabeled"], weight)
    (alone,) = torch.autograd.grad(0.1 * RAMP * F.cross_entropy(a, labels[1]), weight)
    torch.testing.assert_close(found, alone)  # none comes through the labels


def test_mixing_leaves_the_terms_of_the_labeled_patches_alone(make_network, batch, progress):
    mixed, plain = (a.losses(batch, progress()).terms for a in alike(make_network, {}, {"mix": "none"}))
    assert mixed.keys() == plain.keys()
    for name in mixed.keys() - {"cross_unlabeled"}:
        torch.testing.assert_close(mixed[name], plain[name])
    assert not torch.allclose(mixed["cross_unlabeled"], plain["cross_unlabeled"])


def test_one_unlabeled_patch_has_no_partner_and_is_learned_as_it_is(make_network, batch, progress):
    one = Batch(batch.image[:3], batch.label)
    mixed, plain = (a.losses(one, progress()).terms for a in alike(make_network, {}, {"mix": "none"}))
    assert mixed.keys() == plain.keys()
    for name, term in mixed.items():
        torch.testing.assert_close(term, plain[name])


def test_the_box_is_that_of_the_seed_and_the_step(make_network, batch, progress):
    (algorithm,) = alike(make_network, {"ramp": 1e-6})  # the weight is the same at all steps
    terms = []
    for step in (3, 3, 4):
        torch.manual_seed(len(terms))
        terms.append(algorithm.losses(batch, progress(step=step)).terms["cross_unlabeled"])
    assert torch.equal(terms[0], terms[1]) and not torch.equal(terms[0], terms[2])


def test_the_weight_climbs_until_the_fraction_ramp_of_training_and_stays(make_network, batch, progress):
    (algorithm,) = alike(make_network, {"ramp": 0.5})
    weights = [algorithm.losses(batch, progress(step=step)).logs["weight"] for step in (0, 10, 20, 30)]
    assert weights == pytest.approx([0.1 * math.exp(-5), 0.1 * math.exp(-5 * 0.25), 0.1, 0.1])
    assert all(a <= b for a, b in pairwise(weights))


def test_lovasz_of_both_networks_on_the_labeled_patches_is_added_with_its_weight(make_network, batch, progress):
    with_it, plain = alike(make_network, {"lovasz": 0.7}, {})
    terms, others = (a.losses(batch, progress()).terms for a in (with_it, plain))
    logits = [network(batch.image[:2]) for network in (plain.first, plain.second)]
    expected = 0.7 * sum(losses.lovasz_softmax(each, batch.label) for each in logits)
    torch.testing.assert_close(terms.pop("lovasz"), expected)
    assert terms.keys() == others.keys()
    for name, term in others.items():
        torch.testing.assert_close(terms[name], term)
