"""Values and gradients stay finite where a prediction is surer than float32 can tell from certainty."""

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lassl.learning import base, losses, margins, regions

SHAPE = (2, 3, 4, 5)
LABEL = (torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) < 0.4).to(torch.uint8)
OTHER = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) < 0.5
FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # of two logits (N, 2, X, Y, Z)
    "cross_entropy": lambda a, b: losses.cross_entropy(a, LABEL),
    "dice_loss": lambda a, b: losses.dice_loss(a, LABEL),
    "lovasz_softmax": lambda a, b: losses.lovasz_softmax(a, LABEL),
    "consistency": lambda a, b: losses.consistency(a, b, OTHER) + losses.consistency(a, b, OTHER, "kl"),
    "uncertainty_weighted": lambda a, b: losses.uncertainty_weighted(a, b, 5.0),
    "margin": lambda a, b: margins.margin(a).sigmoid().mean() - margins.margin(b).sigmoid().mean(),
    "kl": lambda a, b: margins.kl(a, b).mean(),
    "symmetric_kl": lambda a, b: margins.symmetric_kl(a, b).mean(),
    "within": lambda a, b: losses.dice_loss(*regions.within(a, LABEL, OTHER)),
    "terms_within": lambda a, b: torch.stack([*regions.terms_within(a, LABEL, OTHER, 1).values()]).sum(),
    "supervised_terms": lambda a, b: torch.stack([*base.supervised_terms(a, LABEL).values()]).sum(),
}
WITHOUT_GRADIENT = {"hard_dice", "entropy", "largest_components"}


def test_every_loss_is_tried():
    public = {
        name
        for module in (losses, margins, regions)
        for name, member in vars(module).items()
        if inspect.isfunction(member) and member.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == {*FUNCTIONS, *WITHOUT_GRADIENT} - {"supervised_terms"}


@pytest.mark.parametrize("size", [50.0, 300.0, 1e4])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_loss_and_its_gradient_are_finite_at_any_margin(name, size):
    signs = 2.0 * LABEL - 1
    for mine, others in ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (0, 1), (-1, 0)):
        a, b = (torch.stack([-sign * size * signs / 2, sign * size * signs / 2], 1) for sign in (mine, others))
        for logits in (a.requires_grad_(), b.requires_grad_()):
            value = FUNCTIONS[name](a, b)
            (gradient,) = torch.autograd.grad(value, logits, allow_unused=True)
            assert value.isfinite(), (mine, others)
            assert gradient is None or gradient.isfinite().all(), (mine, others)


@pytest.mark.parametrize("name", ["hard_dice", "entropy"])
def test_measures_have_no_gradient(name):
    logits = torch.zeros(2, 2, 3, 4, 5, requires_grad=True)
    measured = losses.hard_dice(logits, LABEL) if name == "hard_dice" else losses.entropy(logits.softmax(1))
    assert not measured.requires_grad
