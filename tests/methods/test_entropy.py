"""Entropy minimisation."""

import math

import pytest
import torch

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.methods.entropy import EntropyMinimization, mean_entropy


def make(make_network, patches="all", weight=0.1, ramp=1.0):
    return EntropyMinimization(make_network, weight=weight, patches=patches, ramp=ramp)


@pytest.mark.parametrize("patches, first", [("all", 0), ("unlabeled", 2)])
def test_the_term_is_the_normalised_entropy_of_its_patches(make_network, batch, progress, patches, first):
    algorithm = make(make_network, patches).eval()
    step = algorithm.losses(batch, progress())  # half way
    p = algorithm.network(batch.image)[first:].softmax(1)
    expected = -(p * p.log()).sum(1).mean() / math.log(2)
    assert step.logs["weight"] == pytest.approx(0.1 * math.exp(-5 / 4))
    torch.testing.assert_close(step.logs["mean_entropy"], expected)
    torch.testing.assert_close(step.terms["entropy"], 0.1 * math.exp(-5 / 4) * expected)


def test_the_supervised_terms_are_the_baselines(make_network, batch, progress):
    algorithm = make(make_network).eval()
    logits, terms = algorithm.network(batch.image)[:2], algorithm.losses(batch, progress()).terms
    torch.testing.assert_close(terms["cross_entropy"], losses.cross_entropy(logits, batch.label) / 2)
    torch.testing.assert_close(terms["dice_loss"], losses.dice_loss(logits, batch.label) / 2)


def test_entropy_is_one_where_nothing_is_known_and_zero_where_all_is():
    logits = torch.zeros(1, 2, 2, 2, 2)
    assert mean_entropy(logits) == pytest.approx(1.0)
    logits[:, 0] = 300.0
    assert mean_entropy(logits) == mean_entropy(-logits) == 0


def test_the_gradient_of_entropy_draws_to_the_likelier_class_and_is_finite_where_it_is_certain():
    logits = torch.tensor([0.0, 1.0, -1.0, 300.0, -300.0]).reshape(5, 1, 1, 1, 1).repeat(1, 2, 1, 1, 1)
    logits[:, 0] = 0
    logits.requires_grad_()
    mean_entropy(logits).backward()
    background, foreground = logits.grad.flatten(1).unbind(1)
    p = 1 / (1 + math.exp(-1))
    slope = p * (1 - p) / math.log(2) / 5  # of -H over the margin, at a margin of 1
    assert foreground.tolist() == pytest.approx([0, -slope, slope, 0, 0])
    torch.testing.assert_close(background, -foreground)


def test_labeled_patches_alone_have_no_term_unless_all_count(make_network, batch, progress):
    labeled = Batch(batch.image[:2], batch.label)
    assert make(make_network, "all").losses(labeled, progress()).terms["entropy"] > 0
    assert "entropy" not in make(make_network, "unlabeled").losses(labeled, progress()).terms
