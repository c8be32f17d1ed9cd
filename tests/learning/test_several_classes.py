"""Losses and divergences of several classes: against plain formulas, and with two classes against the margin."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lassl.learning import losses, margins
from lassl.learning.ramps import ambiguity_threshold, uncertainty_threshold

SHAPE = (2, 5, 4, 3)
MASK = torch.rand(SHAPE, generator=torch.Generator().manual_seed(7)) < 0.6


def random_logits(seed: int, classes: int = 4) -> Tensor:
    return 2 * torch.randn(2, classes, *SHAPE[1:], generator=torch.Generator().manual_seed(seed))


def random_label(classes: int = 4) -> Tensor:
    return torch.randint(classes, SHAPE, generator=torch.Generator().manual_seed(8)).to(torch.uint8)


FUNCTIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {  # of two logits and a label
    "cross_entropy": lambda a, b, label: losses.cross_entropy(a, label),
    "dice_loss": lambda a, b, label: losses.dice_loss(a, label),
    "lovasz_softmax": lambda a, b, label: losses.lovasz_softmax(a, label),
    "lovasz_softmax of one class": lambda a, b, label: losses.lovasz_softmax(a, torch.ones_like(label)),
    "mse": lambda a, b, label: losses.consistency(a, b, MASK),
    "kl of consistency": lambda a, b, label: losses.consistency(a, b, MASK, "kl"),
    "uncertainty_weighted": lambda a, b, label: losses.uncertainty_weighted(a, b, 2.0),
    "kl": lambda a, b, label: margins.kl(a, b).mean(),
    "symmetric_kl": lambda a, b, label: margins.symmetric_kl(a, b).mean(),
    "soft_cross_entropy": lambda a, b, label: margins.soft_cross_entropy(
        margins.reduced(a), margins.softmax(margins.reduced(b)), "mean"
    ),
    "foregrounds": lambda a, b, label: (margins.foregrounds(a) * margins.foregrounds(b)).mean(),
}
MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "hard_dice": losses.hard_dice,
    "labels": lambda logits, label: margins.labels(logits),
    "most_probable": lambda logits, label: margins.most_probable(margins.softmax(margins.reduced(logits))),
    "confident": lambda logits, label: torch.stack(margins.confident(logits, 0.8)),
}


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Switch to the form for any number of classes, also for two."""
    return lambda: monkeypatch.setattr(margins, "reduced", lambda logits: logits.float())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_classes_give_the_same_in_the_general_form_with_the_same_gradient(name, general):
    label, found = random_label(2), []
    for switch in (lambda: None, general):
        switch()
        a, b = random_logits(0, 2).requires_grad_(), random_logits(1, 2).requires_grad_()
        value = FUNCTIONS[name](a, b, label)
        gradients = torch.autograd.grad(value, (a, b), allow_unused=True)
        found.append((value, *(gradient for gradient in gradients if gradient is not None)))
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MEASURES)
def test_two_classes_give_the_same_labels_in_the_general_form(name, general):
    logits, label = random_logits(0, 2), random_label(2)
    by_margin = MEASURES[name](logits, label)
    general()
    torch.testing.assert_close(MEASURES[name](logits, label), by_margin)


def dice_loss(logits, label):
    """Mean over the structures of UA-MT's loss, each with squares below."""
    dices = []
    for c in (1, 2, 3):
        p, y = logits.softmax(1)[:, c], (label == c).float()
        dices.append((2 * (p * y).sum() + 1e-5) / ((p * p).sum() + (y * y).sum() + 1e-5))
    return 1 - sum(dices) / 3


def lovasz(logits, label):
    """Berman et al.: errors of each class in the label in falling order, times the growth of its Jaccard loss."""
    found = []
    for c in label.unique():
        truth = (label == c).flatten().double()
        errors, order = (truth - logits.double().softmax(1)[:, c].flatten()).abs().sort(descending=True)
        jaccard = 1 - (truth.sum() - truth[order].cumsum(0)) / (truth.sum() + (1 - truth[order]).cumsum(0))
        found.append((errors * torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])).sum())
    return torch.stack(found).mean().float()


def divergence(p, q):
    return (p * (p.log() - q.log())).sum(1)


def entropy(p):
    return -(p * p.log()).sum(1)


def uncl(a, b, beta=2.0):
    p, q = a.softmax(1), b.softmax(1).detach()
    return (
        (p - q).square().sum(1) / ((beta * entropy(p)).exp() + (beta * entropy(q)).exp())
        + beta * (entropy(p) + entropy(q))
    ).mean()


PLAIN: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cross_entropy": lambda a, b, label: F.cross_entropy(a, label.long()),
    "dice_loss": lambda a, b, label: dice_loss(a, label),
    "lovasz_softmax": lambda a, b, label: lovasz(a, label.long()),
    "lovasz_softmax of one class": lambda a, b, label: lovasz(a, torch.ones_like(label).long()),
    "mse": lambda a, b, label: (MASK * (a.softmax(1) - b.softmax(1)).square().sum(1)).sum() / (2 * MASK.sum()),
    "kl of consistency": lambda a, b, label: (MASK * divergence(b.softmax(1), a.softmax(1))).sum() / (2 * MASK.sum()),
    "uncertainty_weighted": lambda a, b, label: uncl(a, b),
    "kl": lambda a, b, label: F.kl_div(b.log_softmax(1), a.softmax(1), reduction="none").sum(1).mean(),
    "symmetric_kl": lambda a, b, label: (
        divergence(a.softmax(1), b.softmax(1)) + divergence(b.softmax(1), a.softmax(1))
    ).mean(),
    "soft_cross_entropy": lambda a, b, label: F.cross_entropy(a, b.softmax(1)),
    "foregrounds": lambda a, b, label: (a.softmax(1)[:, 1:] * b.softmax(1)[:, 1:]).mean(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_four_classes_give_what_the_plain_formula_gives_with_the_same_gradient(name):
    found = []
    for function in (FUNCTIONS[name], PLAIN[name]):
        a, b = random_logits(0).requires_grad_(), random_logits(1)  # teachers get no gradient
        value = function(a, b, random_label())
        found.append((value, torch.autograd.grad(value, a)[0]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_the_hard_dice_is_the_mean_over_the_structures_and_1_for_one_that_is_nowhere():
    label = torch.tensor([1, 1, 2, 2, 0, 0]).reshape(1, 1, 1, 6)
    predicted = torch.tensor([1, 1, 2, 0, 2, 0]).reshape(1, 1, 1, 6)
    logits = F.one_hot(predicted, 4).movedim(-1, 1).float()
    assert losses.hard_dice(logits, label).item() == pytest.approx((1 + 0.5 + 1) / 3)


def test_a_structure_that_is_not_in_the_batch_is_still_forbidden():
    logits = random_logits(0).requires_grad_()
    losses.dice_loss(logits, torch.zeros(SHAPE)).backward()
    assert (logits.grad[:, 0] < 0).all() and logits.grad.sum(1).abs().max() < 1e-7


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.dice_loss, losses.lovasz_softmax, losses.hard_dice])
def test_labels_of_another_shape_are_refused(loss):
    with pytest.raises(ValueError, match=r"\(2, 4, 5, 4, 3\), expected \(1, 4, 5, 4, 3\)"):
        loss(random_logits(0), random_label()[:1])


@pytest.mark.parametrize("classes", [(2, 4), (4, 2), (4, 3)])
def test_predictions_with_different_numbers_of_classes_are_refused(classes):
    student, teacher = (random_logits(0, n) for n in classes)
    for compare in (
        lambda: losses.consistency(student, teacher, MASK),
        lambda: losses.uncertainty_weighted(student, teacher, 1.0),
    ):
        with pytest.raises(ValueError, match=rf"\(2, {classes[1]}, 5, 4, 3\), expected \(2, {classes[0]}, 5, 4, 3\)"):
            compare()


def test_confidence_is_the_greatest_probability_and_its_class_the_label():
    p = torch.tensor([[0.1, 0.2, 0.6, 0.1], [0.85, 0.05, 0.05, 0.05], [0.0, 0.0, 0.1, 0.9]])
    label, kept = margins.confident((p + 1e-9).log().T[None, :, :, None, None], 0.8)
    assert label.flatten().tolist() == [2, 0, 3] and kept.flatten().tolist() == [False, True, True]
    assert label.dtype == torch.uint8


def test_masks_are_one_for_each_structure():
    label = random_label()
    assert torch.equal(margins.masks(label, 3), F.one_hot(label.long(), 4).movedim(-1, 1)[:, 1:].bool())
    assert margins.masks(label, 1).data_ptr() == label.data_ptr()


def test_thresholds_of_entropy_are_shares_of_that_of_even_classes():
    even = losses.entropy(torch.full((1, 4, 1), 0.25)).item()
    for threshold in (uncertainty_threshold, ambiguity_threshold):
        assert threshold(0.3, 4) / even == pytest.approx(
            threshold(0.3) / losses.entropy(torch.full((1, 2, 1), 0.5)).item()
        )
    assert uncertainty_threshold(1, 4) == pytest.approx(even)
