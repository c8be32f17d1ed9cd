"""Cross Pseudo Supervision and its adaptive weight."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.methods.cps import CPS

RAMP = math.exp(-5 * 0.25)  # half way


def reached(term, module):
    """Whether the gradient of a term alone reaches a module."""
    gradients = torch.autograd.grad(term, list(module.parameters()), retain_graph=True, allow_unused=True)
    return any(g is not None and bool(g.abs().sum() > 0) for g in gradients)


def make(make_network, adaptive=False, weight=0.1):
    return CPS(make_network, weight=weight, adaptive=adaptive)


def test_the_two_networks_start_from_different_weights(make_network):
    algorithm = make(make_network)
    assert not torch.equal(algorithm.first.layers[0].weight, algorithm.second.layers[0].weight)


def test_each_supervised_term_teaches_its_own_network_only(make_network, batch, progress):
    algorithm = make(make_network)
    terms = algorithm.losses(batch, progress()).terms
    assert reached(terms["supervised_first"], algorithm.first)
    assert not reached(terms["supervised_first"], algorithm.second)
    assert reached(terms["supervised_second"], algorithm.second)
    assert not reached(terms["supervised_second"], algorithm.first)


def test_the_cross_terms_teach_both_networks_and_pass_no_gradient_through_the_pseudo_label(
    make_network, batch, progress
):
    algorithm = make(make_network).eval()
    terms = algorithm.losses(batch, progress()).terms
    a, b = algorithm.first(batch.image[2:]), algorithm.second(batch.image[2:])
    expected = 0.1 * RAMP * (F.cross_entropy(a, b.argmax(1)) + F.cross_entropy(b, a.argmax(1)))
    torch.testing.assert_close(terms["cross_unlabeled"], expected)
    weight = algorithm.first.layers[0].weight
    (found,) = torch.autograd.grad(terms["cross_unlabeled"], weight)
    (alone,) = torch.autograd.grad(0.1 * RAMP * F.cross_entropy(a, b.argmax(1)), weight)
    torch.testing.assert_close(found, alone)


def test_the_labeled_cross_term_sees_the_labeled_patches_only(make_network, batch, progress):
    algorithm = make(make_network).eval()
    changed = batch.image.clone()
    changed[2:] += 5
    before = algorithm.losses(batch, progress()).terms
    after = algorithm.losses(Batch(changed, batch.label), progress()).terms
    torch.testing.assert_close(after["cross_labeled"], before["cross_labeled"])
    assert not torch.allclose(after["cross_unlabeled"], before["cross_unlabeled"])


def test_the_supervised_terms_are_plain_cross_entropy(make_network, batch, progress):
    algorithm = make(make_network).eval()
    expected = F.cross_entropy(algorithm.first(batch.image[:2]), batch.label.long())
    torch.testing.assert_close(algorithm.losses(batch, progress()).terms["supervised_first"], expected)


def test_the_adaptive_weight_is_zero_in_the_first_epoch_then_the_mean_dice_of_the_epoch_before(
    make_network, batch, progress
):
    algorithm = make(make_network, adaptive=True)
    first = [algorithm.losses(batch, progress(epoch=0)) for _ in range(3)]
    assert all(step.terms["cross_unlabeled"] == 0 for step in first)
    mean = sum(float(step.logs["dice"]) for step in first) / 3
    second = algorithm.losses(batch, progress(epoch=1))
    assert second.logs["weight_unlabeled"] == pytest.approx(0.1 * RAMP * mean)
    third = algorithm.losses(batch, progress(epoch=2))
    assert third.logs["weight_unlabeled"] == pytest.approx(0.1 * RAMP * float(second.logs["dice"]))


def test_the_adaptive_weight_leaves_the_labeled_term_alone(make_network, batch, progress):
    plain, adaptive = make(make_network), make(make_network, adaptive=True)
    adaptive.load_state_dict(plain.state_dict())
    terms = [a.eval().losses(batch, progress()).terms["cross_labeled"] for a in (plain, adaptive)]
    torch.testing.assert_close(*terms)


def test_the_logged_dice_is_that_of_both_networks_on_the_labeled_patches(make_network, batch, progress):
    algorithm = make(make_network).eval()
    dice = []
    for network in (algorithm.first, algorithm.second):
        prediction = network(batch.image[:2]).argmax(1)
        dice.append(2 * (prediction * batch.label).sum() / (prediction.sum() + batch.label.sum()))
    assert float(algorithm.losses(batch, progress()).logs["dice"]) == pytest.approx(float(sum(dice) / 2))


def test_its_state_dict_carries_the_running_dice(make_network, batch, progress):
    algorithm, again = make(make_network, adaptive=True), make(make_network, adaptive=True)
    for epoch in (0, 0, 1, 1):
        algorithm.losses(batch, progress(epoch=epoch))
    again.load_state_dict(algorithm.state_dict())
    torch.manual_seed(7)
    expected = algorithm.losses(batch, progress(epoch=2))
    torch.manual_seed(7)
    found = again.losses(batch, progress(epoch=2))
    assert all(torch.equal(found.terms[name], term) for name, term in expected.terms.items())
