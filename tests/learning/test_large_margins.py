"""Values and gradients stay finite where a prediction is surer than float32 can tell from certainty."""

import inspect
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lassl.learning import base, losses, margins, regions

SHAPE = (2, 3, 4, 5)
SHARE = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = {2: (SHARE < 0.4).to(torch.uint8), 4: (4 * SHARE).to(torch.uint8)}  # by the number of classes
OTHER = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) < 0.5
FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # of two logits (N, K, X, Y, Z)
    "cross_entropy": lambda a, b: losses.cross_entropy(a, label_of(a)),
    "dice_loss": lambda a, b: losses.dice_loss(a, label_of(a)),
    "lovasz_softmax": lambda a, b: losses.lovasz_softmax(a, label_of(a)),
    "consistency": lambda a, b: losses.consistency(a, b, OTHER) + losses.consistency(a, b, OTHER, "kl"),
    "uncertainty_weighted": lambda a, b: losses.uncertainty_weighted(a, b, 5.0),
    "margin": lambda a, b: margins.margin(a[:, :2]).sigmoid().mean() - margins.margin(b[:, :2]).sigmoid().mean(),
    "foregrounds": lambda a, b: (margins.foregrounds(a) - margins.foregrounds(b)).mean(),
    "softmax": lambda a, b: margins.softmax(margins.reduced(a) / 0.1).square().mean(),
    "squared_difference": lambda a, b: margins.squared_difference(*map(probabilities, (a, b))).mean(),
    "soft_cross_entropy": lambda a, b: margins.soft_cross_entropy(margins.reduced(a), probabilities(b)).mean(),
    "entropy of itself": lambda a, b: margins.soft_cross_entropy(margins.reduced(a), probabilities(a), "mean"),
    "kl": lambda a, b: margins.kl(a, b).mean(),
    "symmetric_kl": lambda a, b: margins.symmetric_kl(a, b).mean(),
    "within": lambda a, b: losses.dice_loss(*regions.within(a, label_of(a), OTHER)),
    "terms_within": lambda a, b: torch.stack([*regions.terms_within(a, label_of(a), OTHER, 1).values()]).sum(),
    "supervised_terms": lambda a, b: torch.stack([*base.supervised_terms(a, label_of(a)).values()]).sum(),
}
WITHOUT_GRADIENT = {"hard_dice", "entropy", "largest_components", "labels", "confident", "most_probable"}
OF_ANYTHING = {"reduced", "masks", "kept_shares"}


def label_of(logits: Tensor) -> Tensor:
    return LABELS[logits.shape[1]]


def probabilities(logits: Tensor) -> Tensor:
    return margins.softmax(margins.reduced(logits))


def test_every_loss_is_tried():
    public = {
        name
        for module in (losses, margins, regions)
        for name, member in vars(module).items()
        if inspect.isfunction(member) and member.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == {*FUNCTIONS, *WITHOUT_GRADIENT, *OF_ANYTHING} - {"supervised_terms", "entropy of itself"}


@pytest.mark.parametrize("size", [50.0, 300.0, 1e4])
@pytest.mark.parametrize("classes", LABELS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_loss_and_its_gradient_are_finite_at_any_margin(name, classes, size):
    signs = 2.0 * F.one_hot(LABELS[classes].long(), classes).movedim(-1, 1) - 1
    for mine, others in ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (0, 1), (-1, 0)):
        a, b = (sign * size * signs / 2 for sign in (mine, others))
        for logits in (a.requires_grad_(), b.requires_grad_()):
            value = FUNCTIONS[name](a, b)
            (gradient,) = torch.autograd.grad(value, logits, allow_unused=True)
            assert value.isfinite(), (mine, others)
            assert gradient is None or gradient.isfinite().all(), (mine, others)


@pytest.mark.parametrize("name", ["hard_dice", "entropy"])
def test_measures_have_no_gradient(name):
    logits = torch.zeros(2, 2, 3, 4, 5, requires_grad=True)
    measured = losses.hard_dice(logits, LABELS[2]) if name == "hard_dice" else losses.entropy(logits.softmax(1))
    assert not measured.requires_grad
