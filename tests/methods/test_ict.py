"""ICT consistency training."""

import math

import pytest
import torch

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.methods.ict import ICT

RAMP = math.exp(-5 / 4)  # half way


def make(make_network, weight=0.1, alpha=0.2, decay=0.99, ramp=1.0):
    return ICT(make_network, weight=weight, alpha=alpha, decay=decay, ramp=ramp)


def shares(blended, patches):
    """The share of each patch in its blend with its partner, found by least squares."""
    difference = (patches - patches.flip(0)).flatten(1)
    return ((blended - patches.flip(0)).flatten(1) * difference).sum(1) / difference.square().sum(1)


def test_the_student_follows_the_blend_of_the_teachers_softmax_on_the_blend_of_the_patches(
    make_network, batch, progress
):
    algorithm = make(make_network).eval()
    with torch.no_grad():
        algorithm.teacher.layers[0].weight.mul_(-1)
    u, v = batch.image[2:]
    blended, _ = algorithm.blends(batch.image[2:], progress())
    a, b = shares(blended, batch.image[2:]).tolist()
    assert 0 <= a <= 1 and 0 <= b <= 1 and a != pytest.approx(b) and a != pytest.approx(1 - b)
    p = algorithm.student(torch.stack([a * u + (1 - a) * v, b * v + (1 - b) * u])).softmax(1)
    q, r = algorithm.teacher(batch.image[2:]).softmax(1)
    target = torch.stack([a * q + (1 - a) * r, b * r + (1 - b) * q])
    step = algorithm.losses(batch, progress())
    torch.testing.assert_close(step.terms["consistency"], 0.1 * RAMP * (p - target).square().mean())
    found, given = p.argmax(1), target.argmax(1)
    assert float(step.logs["agreement"]) == pytest.approx(float(2 * (found * given).sum() / (found + given).sum()))
    assert step.logs["weight"] == pytest.approx(0.1 * RAMP)


def test_the_supervised_terms_are_of_the_labeled_patches_as_they_are(make_network, batch, progress):
    algorithm = make(make_network).eval()
    logits, terms = algorithm.student(batch.image[:2]), algorithm.losses(batch, progress()).terms
    torch.testing.assert_close(terms["cross_entropy"], losses.cross_entropy(logits, batch.label) / 2)
    torch.testing.assert_close(terms["dice_loss"], losses.dice_loss(logits, batch.label) / 2)


def test_the_shares_are_of_a_beta_distribution(make_network, progress):
    algorithm = make(make_network, alpha=0.2)
    patches = torch.randn(4000, 1, 6, 1, 1, generator=torch.Generator().manual_seed(4))
    found = shares(algorithm.blends(patches, progress())[0], patches)
    assert found.mean() == pytest.approx(0.5, abs=0.02)
    assert found.var() == pytest.approx(0.25 / 1.4, abs=0.01)  # 1 / (4 (2 alpha + 1))


def test_the_shares_of_a_step_are_the_seeds(make_network, batch, progress):
    algorithm = make(make_network)
    found = []
    for seed, step in ((1, 20), (2, 20), (2, 21)):
        torch.manual_seed(seed)
        found.append(algorithm.blends(batch.image[2:], progress(step=step))[0])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])


def test_the_consistency_teaches_the_student_and_not_the_teacher(make_network, batch, progress):
    algorithm = make(make_network)
    term = algorithm.losses(batch, progress()).terms["consistency"]
    gradients = torch.autograd.grad(term, list(algorithm.student.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients) and gradients[0].any()
    assert not any(p.requires_grad for p in algorithm.teacher.parameters())


def test_one_unlabeled_patch_is_its_own_partner(make_network, batch, progress):
    algorithm = make(make_network).eval()
    blended, target = algorithm.blends(batch.image[2:3], progress())
    torch.testing.assert_close(blended, batch.image[2:3])
    torch.testing.assert_close(target, algorithm.teacher(batch.image[2:3]).softmax(1)[:, 1:])
    assert algorithm.losses(Batch(batch.image[:3], batch.label), progress()).terms["consistency"].isfinite()


def test_without_unlabeled_patches_the_supervised_terms_are_all(make_network, batch, progress):
    step = make(make_network).losses(Batch(batch.image[:2], batch.label), progress())
    assert list(step.terms) == ["cross_entropy", "dice_loss"]


def test_the_teacher_is_the_students_running_average(make_network, progress):
    algorithm = make(make_network, decay=0.9)
    weight, average = algorithm.student.layers[0].weight, algorithm.teacher.layers[0].weight
    for step, value, expected in ((0, 3.0, 3.0), (1, 5.0, 4.0), (5000, 14.0, 5.0)):
        with torch.no_grad():
            weight.fill_(value)
        algorithm.after_step(progress(step=step))
        torch.testing.assert_close(average, torch.full_like(average, expected))
