"""R-Drop: two passes with different dropout."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.methods.rdrop import RDrop

RAMP = math.exp(-5 * 0.25)  # half way


def make(make_network, **options):
    return RDrop(make_network, **({"weight": 0.8} | options))


def both_passes(algorithm, batch, seed=3):
    """Logits of the two passes as a step with this seed makes them."""
    torch.manual_seed(seed)
    return algorithm.network(batch.image.repeat(2, 1, 1, 1, 1)).split(4)


def step_of(algorithm, batch, progress, seed=3):
    torch.manual_seed(seed)
    return algorithm.losses(batch, progress)


def both_ways(a, b):
    """Mean over the voxels of KL(a || b) + KL(b || a), classes summed."""
    p, q = a.log_softmax(1), b.log_softmax(1)
    kinds = [F.kl_div(y, x, reduction="none", log_target=True).sum(1) for x, y in ((p, q), (q, p))]
    return (kinds[0] + kinds[1]).mean()


@pytest.mark.parametrize(("patches", "first"), [("all", 0), ("unlabeled", 2)])
def test_the_term_is_the_divergence_of_the_two_passes_both_ways(make_network, batch, progress, patches, first):
    algorithm = make(make_network, patches=patches).train()
    a, b = both_passes(algorithm, batch)
    assert not torch.allclose(a, b)
    expected = both_ways(a[first:], b[first:])
    step = step_of(algorithm, batch, progress())
    torch.testing.assert_close(step.terms["dropout"], 0.8 / 4 * RAMP * expected)
    torch.testing.assert_close(step.logs["divergence"], expected)
    torch.testing.assert_close(step.logs["agreement"], losses.hard_dice(a[first:], b[first:].argmax(1)))


def test_the_gradient_passes_through_both_sides(make_network, batch, progress):
    algorithm = make(make_network).train()
    weight = algorithm.network.layers[4].weight
    (expected,) = torch.autograd.grad(0.8 / 4 * RAMP * both_ways(*both_passes(algorithm, batch)), weight)
    (found,) = torch.autograd.grad(step_of(algorithm, batch, progress()).terms["dropout"], weight)
    torch.testing.assert_close(found, expected)


def test_the_supervised_terms_are_those_of_both_passes_as_one_batch(make_network, batch, progress):
    algorithm = make(make_network).train()
    a, b = both_passes(algorithm, batch)
    step = step_of(algorithm, batch, progress())
    entropies = [losses.cross_entropy(logits[:2], batch.label) for logits in (a, b)]
    torch.testing.assert_close(step.terms["cross_entropy"], 0.5 * (entropies[0] + entropies[1]) / 2)
    logits, label = torch.cat([a[:2], b[:2]]), torch.cat([batch.label, batch.label])
    torch.testing.assert_close(step.terms["dice_loss"], 0.5 * losses.dice_loss(logits, label))
    torch.testing.assert_close(step.logs["dice"], losses.hard_dice(logits, label))


def test_without_dropout_the_passes_agree(make_network, batch, progress):
    step = make(make_network).eval().losses(batch, progress())
    assert step.terms["dropout"] == 0 and step.logs["agreement"] == 1


@pytest.mark.parametrize(("patches", "there"), [("all", True), ("unlabeled", False)])
def test_labeled_patches_alone_have_the_term_where_all_patches_count(make_network, batch, progress, patches, there):
    step = make(make_network, patches=patches).losses(Batch(batch.image[:2], batch.label), progress())
    assert ("dropout" in step.terms) == there
    assert all(term.isfinite() for term in step.terms.values())
