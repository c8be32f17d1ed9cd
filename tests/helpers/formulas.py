"""Losses as the field's code writes them, with softmax and logarithm in the open, and the comparison of a step."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning.base import Algorithm, Progress, Step

CPU = torch.device("cpu")
LN2 = math.log(2)


def climbed(t: float, end: float = 1.0) -> float:
    """The ramp of Laine and Aila at fraction t of training, where it ends at `end`."""
    return math.exp(-5 * (1 - min(t / end, 1)) ** 2)


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean over voxels."""
    return F.cross_entropy(logits, label.long())


def dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Of the foreground, squares below, over all patches at once: `dice_loss` of UA-MT and DTC."""
    p, y = logits.softmax(1)[:, 1], label.float()
    return 1 - (2 * (p * y).sum() + 1e-5) / ((p * p).sum() + (y * y).sum() + 1e-5)


def supervised(logits: Tensor, label: Tensor) -> Tensor:
    """The loss on labels of UA-MT, which this benchmark has in the place of every method's own."""
    return 0.5 * (cross_entropy(logits, label) + dice_loss(logits, label))


def lovasz_softmax(logits: Tensor, label: Tensor) -> Tensor:
    """Berman et al.: errors of each class in falling order by the growth of its Jaccard loss, the mean of both."""
    losses = []
    for c in (0, 1):
        truth = (label == c).flatten().float()
        errors, order = (truth - logits.softmax(1)[:, c].flatten()).abs().sort(descending=True)
        lost, wrong = truth[order].cumsum(0), (1 - truth[order]).cumsum(0)
        jaccard = 1 - (truth.sum() - lost) / (truth.sum() + wrong)
        losses.append((errors * torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])).sum())
    return (losses[0] + losses[1]) / 2


def entropy(p: Tensor) -> Tensor:
    """In nats, with the 1e-6 that public code has in its logarithms: (N, 2, ...) -> (N, ...)."""
    return -(p * (p + 1e-6).log()).sum(1)


def apart(network: nn.Module, by: float = 0.3) -> None:
    """Give a teacher other weights than the student's."""
    with torch.no_grad():
        for p in network.parameters():
            p += by * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))


def lively(algorithm: Algorithm, batch: Batch, progress: Progress, deviation: float = 2.0) -> Algorithm:
    """Scale and shift the heads of V-Nets, which begin near zero: margins of mean 0 and this deviation, in each head.

    Gives the algorithm in evaluation mode.
    """
    algorithm.eval()
    found: dict[nn.Module, Tensor] = {}
    modules = [m for name, m in algorithm.named_modules() if "head" in name and isinstance(m, nn.Conv3d)]
    heads = [m for m in modules if m.out_channels == 2]  # not DTC's for the distance

    def note(head: nn.Module, _: object, logits: Tensor) -> None:
        found.setdefault(head, logits)

    hooks = [head.register_forward_hook(note) for head in heads]
    with torch.no_grad():
        algorithm.losses(batch, progress)
        for head in heads:
            margin = found[head][:, 1] - found[head][:, 0]
            head.weight *= deviation / margin.std()
            mean = (margin.mean() - (head.bias[1] - head.bias[0])) * deviation / margin.std()
            head.bias.copy_(torch.stack([mean, -mean]) / 2)
    for hook in hooks:
        hook.remove()
    return algorithm


def assert_same(algorithm: Algorithm, step: Step, expected: Tensor, rtol: float = 1e-4) -> None:
    """The loss of a step and its gradient by every weight are those of a formula; every term has a gradient."""
    weights = [p for p in algorithm.parameters() if p.requires_grad]
    for name, term in step.terms.items():
        reached = torch.autograd.grad(term, weights, allow_unused=True, retain_graph=True)
        assert any(g is not None and g.any() for g in reached), f"{name} teaches nothing, so that nothing is compared"
    found = torch.stack([*step.terms.values()]).sum()
    torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-6)
    for ours, theirs in zip(
        *(torch.autograd.grad(loss, weights, allow_unused=True) for loss in (found, expected)), strict=True
    ):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol * float(theirs.abs().max()) + 1e-6)
