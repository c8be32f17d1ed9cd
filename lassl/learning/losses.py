"""Losses and measures of agreement: `lassl.losses`. Pure functions; each gives a scalar, but `entropy`.

Logits are (N, K, X, Y, Z), background first; labels are (N, X, Y, Z), integers 0 to K - 1, K = 1 + S for S structures.
Other shapes raise ValueError, since broadcasting would give a wrong number without a word. All is computed in float32,
whatever the precision of the logits; with two classes from one number, the margin (lassl/learning/margins.py).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lassl.learning import margins

SMOOTH = 1e-5  # keeps the soft Dice defined if label and prediction are empty


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy per voxel in nats, from 0 up: logits (N, K, X, Y, Z), labels (N, X, Y, Z) (CPS, Equation 1).

    Raises ValueError for shapes that differ.
    """
    z = _reduced(logits, label.shape)
    if z.shape[1] > 1:  # voxels in one row, as F.nll_loss of volumes has no deterministic form on a GPU
        return F.nll_loss(z.log_softmax(1).movedim(1, -1).flatten(0, -2), label.long().flatten())
    m = z.squeeze(1)  # forward and backward, two to four times faster on a CPU
    return F.binary_cross_entropy_with_logits(m, label.to(m.dtype))


def dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """1 - soft Dice over the whole batch, in [0, 1]: logits (N, K, X, Y, Z), labels (N, X, Y, Z).

    The mean over the structures. The denominator is squared, as in Milletari et al. 2016. Raises ValueError for shapes
    that differ.
    """
    foregrounds = margins.foregrounds(_reduced(logits, label.shape))
    truth = margins.masks(label, foregrounds.shape[1]).to(foregrounds.dtype)
    overlap = _over_voxels(foregrounds * truth)
    size = _over_voxels(foregrounds.square()) + _over_voxels(truth)  # masks are 0 and 1, and thus their own squares
    return (1 - (2 * overlap + SMOOTH) / (size + SMOOTH)).mean()


def lovasz_softmax(logits: Tensor, label: Tensor) -> Tensor:
    """Lovasz extension of the Jaccard loss, in [0, 1]: logits (N, K, X, Y, Z), labels (N, X, Y, Z).

    Mean over the classes present in the labels; the voxels of the batch are one set (Berman et al. 2018, Equations 8, 9
    and 11). Raises ValueError for shapes that differ.
    """
    z = _reduced(logits, label.shape)
    if z.shape[1] > 1:
        return _lovasz_of_classes(z, label)
    m = z.squeeze(1)
    # the probability of the wrong class is the error of both classes, so one sort is enough
    errors = torch.where(label.bool(), -m, m).sigmoid().flatten()
    with torch.no_grad():
        order = errors.argsort(descending=True)
        truth = label.flatten()[order].bool()
        classes = torch.stack([truth, ~truth])  # (2, n); an absent class does not count
        present = classes.any(1, keepdim=True)
        steps = torch.stack([_jaccard_steps(members) for members in classes]).where(present, 0)
        weight = torch.empty_like(errors)
        weight[order] = steps.sum(0) / present.sum()
    return (errors * weight).sum()


def _lovasz_of_classes(z: Tensor, label: Tensor) -> Tensor:
    """The same with a sort for each class, from float32 logits (N, K, X, Y, Z)."""
    losses, present = [], []
    for index, probability in enumerate(z.softmax(1).unbind(1)):
        truth = label == index
        errors = torch.where(truth, 1 - probability, probability).flatten()
        with torch.no_grad():
            order = errors.argsort(descending=True)
            weight = torch.empty_like(errors)
            weight[order] = _jaccard_steps(truth.flatten()[order]).where(truth.any(), 0)
        losses.append((errors * weight).sum())
        present.append(truth.any())
    return torch.stack(losses).sum() / torch.stack(present).sum()


def _jaccard_steps(members: Tensor) -> Tensor:
    """Increase of a class's Jaccard loss as voxels become wrong one by one; `members` (n,) in that order.

    Uses the closed form of each difference: subtracting values near 1 would lose the digits of 1 / n in float32.
    """
    lost = members.cumsum(0)
    left = lost[-1] - lost  # members still right, the intersection
    union = left + torch.arange(1, len(members) + 1, device=members.device)
    # a member leaves the intersection: 1 / union; another voxel joins the union: left / (union - 1) - left / union
    return torch.where(members, 1.0, left / (union - 1)) / union


def hard_dice(logits: Tensor, label: Tensor) -> Tensor:
    """Dice of the arg-max over the batch, in [0, 1]: logits (N, K, X, Y, Z), labels (N, X, Y, Z).

    The mean over the structures; that of a structure is 1 if prediction and label lack it. It has no gradient. Raises
    ValueError for shapes that differ.
    """
    z = _reduced(logits, label.shape)
    structures = max(z.shape[1] - 1, 1)
    prediction, truth = (margins.masks(each, structures).bool() for each in (margins.labels(z), label))
    size = _over_voxels(prediction) + _over_voxels(truth)
    overlap = _over_voxels(prediction & truth)
    return torch.where(size > 0, 2 * overlap / size, 1.0).mean()


@torch.no_grad()
def entropy(probabilities: Tensor) -> Tensor:
    """Entropy over the classes in nats, in [0, ln K], without gradient: probabilities (N, K, ...) to (N, ...)."""
    terms: Tensor = torch.special.entr(probabilities.float())  # -p ln p, 0 at p = 0
    return terms.sum(1)


def consistency(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor, kind: Literal["mse", "kl"] = "mse"
) -> Tensor:
    """Disagreement of student and teacher over the voxels in `mask`: logits (N, K, X, Y, Z), booleans (N, X, Y, Z).

    Either the squared difference of the softmax ("mse", in [0, 1]) or KL(teacher || student) ("kl", in nats, from 0
    up), summed over the classes, masked, summed, and divided by twice the size of the mask, for any K (UA-MT, Equation
    5, as its code normalizes, and code for more classes, too); 0 for an empty mask. No gradient reaches the teacher.
    Raises ValueError for shapes that differ.
    """
    student = _reduced(student_logits, mask.shape)
    teacher = _reduced(teacher_logits, mask.shape, student_logits.shape[1]).detach()
    target = margins.softmax(teacher)
    if kind == "mse":
        distance = margins.squared_difference(margins.softmax(student), target)
    else:
        distance = margins.soft_cross_entropy(student, target) - margins.soft_cross_entropy(teacher, target)
    return (mask * distance).sum() / (2 * mask.sum() + 1e-16)


def uncertainty_weighted(student_logits: Tensor, teacher_logits: Tensor, beta: float) -> Tensor:
    """UnCL (Assefa et al. 2025): squared difference of the softmax, less where either is uncertain, over all voxels.

    Mean of |p - q|^2 / (e^(beta H(p)) + e^(beta H(q))) + beta (H(p) + H(q)), H the entropy in nats; both logits are
    (N, K, X, Y, Z), and the result lies in [0, 1 + 2 beta ln K]. No gradient reaches the teacher. Raises ValueError for
    shapes that differ.
    """
    volumes = student_logits[:, 0].shape
    m = _reduced(student_logits, volumes)
    n = _reduced(teacher_logits, volumes, student_logits.shape[1]).detach()
    p, q = margins.softmax(m), margins.softmax(n)
    h_p, h_q = margins.soft_cross_entropy(m, p), margins.soft_cross_entropy(n, q)
    weighted = margins.squared_difference(p, q) / ((beta * h_p).exp() + (beta * h_q).exp())
    return (weighted + beta * (h_p + h_q)).mean()


def _over_voxels(volumes: Tensor) -> Tensor:
    """Sum over the batch and the voxels: (N, S, X, Y, Z) -> (S,)."""
    return volumes.sum((0, *range(2, volumes.ndim)))


def _reduced(logits: Tensor, volumes: torch.Size, classes: int | None = None) -> Tensor:
    """Reduced logits of (N, K, X, Y, Z), which must have the shape `volumes`, (N, X, Y, Z), and `classes`, if given."""
    expected = (volumes[0], classes or max([2, *logits.shape[1:2]]), *volumes[1:])
    if logits.shape != expected:
        raise ValueError(
            f"found logits of shape {tuple(logits.shape)}, expected {expected} for these labels or this mask"
        )
    return margins.reduced(logits)
