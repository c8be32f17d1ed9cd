"""Losses and measures of agreement of two classes: `lassl.losses`. Pure functions; each gives a scalar, but `entropy`.

Logits are (N, 2, X, Y, Z), background first; labels are (N, X, Y, Z), integers 0 and 1. Other shapes raise ValueError,
since broadcasting would give a wrong number without a word. Two classes make softmax a sigmoid of one number, the
margin (lassl/learning/margins.py); all is computed from it in float32, whatever the precision of the logits.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lassl.learning.margins import margin

SMOOTH = 1e-5  # keeps the soft Dice defined if label and prediction are empty


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy per voxel in nats, from 0 up: logits (N, 2, X, Y, Z), labels (N, X, Y, Z) (CPS, Equation 1).

    Raises ValueError for shapes that differ.
    """
    m = _checked_margin(logits, label.shape)
    # equal to F.cross_entropy and, forward and backward, two to four times faster on a CPU
    return F.binary_cross_entropy_with_logits(m, label.to(m.dtype))


def dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """1 - soft Dice of the foreground over the whole batch, in [0, 1]: logits (N, 2, X, Y, Z), labels (N, X, Y, Z).

    The denominator is squared, as in Milletari et al. 2016. Raises ValueError for shapes that differ.
    """
    foreground = _checked_margin(logits, label.shape).sigmoid()
    truth = label.to(foreground.dtype)
    overlap = (foreground * truth).sum()
    size = foreground.square().sum() + truth.sum()  # labels are 0 and 1, and thus their own squares
    return 1 - (2 * overlap + SMOOTH) / (size + SMOOTH)


def lovasz_softmax(logits: Tensor, label: Tensor) -> Tensor:
    """Lovasz extension of the Jaccard loss, in [0, 1]: logits (N, 2, X, Y, Z), labels (N, X, Y, Z).

    Mean over the classes present in the labels; the voxels of the batch are one set (Berman et al. 2018, Equations 8, 9
    and 11). Raises ValueError for shapes that differ.
    """
    m = _checked_margin(logits, label.shape)
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
    """Dice of the arg-max foreground over the batch, in [0, 1]: logits (N, 2, X, Y, Z), labels (N, X, Y, Z).

    It has no gradient, and is 1 if foreground and label are both empty. Raises ValueError for shapes that differ.
    """
    prediction = _checked_margin(logits, label.shape) > 0
    truth = label.bool()
    size = prediction.sum() + truth.sum()
    overlap = (prediction & truth).sum()
    return torch.where(size > 0, 2 * overlap / size, 1.0)


@torch.no_grad()
def entropy(probabilities: Tensor) -> Tensor:
    """Entropy over the classes in nats, in [0, ln 2], without gradient: probabilities (N, 2, ...) to (N, ...)."""
    terms: Tensor = torch.special.entr(probabilities.float())  # -p ln p, 0 at p = 0
    return terms.sum(1)


def consistency(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor, kind: Literal["mse", "kl"] = "mse"
) -> Tensor:
    """Disagreement of student and teacher over the voxels in `mask`: logits (N, 2, X, Y, Z), booleans (N, X, Y, Z).

    Either the squared difference of the softmax ("mse", in [0, 1]) or KL(teacher || student) ("kl", in nats, from 0
    up), summed over the classes, masked, summed, and divided by twice the size of the mask (UA-MT, Equation 5, as its
    code normalizes); 0 for an empty mask. No gradient reaches the teacher. Raises ValueError for shapes that differ.
    """
    student = _checked_margin(student_logits, mask.shape)
    teacher = _checked_margin(teacher_logits, mask.shape).detach()
    target = teacher.sigmoid()
    if kind == "mse":
        distance = 2 * (student.sigmoid() - target).square()  # both classes differ by the same
    else:
        distance = _voxel_entropy(student, target) - _voxel_entropy(teacher, target)
    return (mask * distance).sum() / (2 * mask.sum() + 1e-16)


def uncertainty_weighted(student_logits: Tensor, teacher_logits: Tensor, beta: float) -> Tensor:
    """UnCL (Assefa et al. 2025): squared difference of the softmax, less where either is uncertain, over all voxels.

    Mean of |p - q|^2 / (e^(beta H(p)) + e^(beta H(q))) + beta (H(p) + H(q)), H the entropy in nats; both logits are
    (N, 2, X, Y, Z), and the result lies in [0, 1 + 2 beta ln 2]. No gradient reaches the teacher. Raises ValueError for
    shapes that differ.
    """
    volumes = student_logits[:, 0].shape
    m, n = _checked_margin(student_logits, volumes), _checked_margin(teacher_logits, volumes).detach()
    p, q = m.sigmoid(), n.sigmoid()
    h_p, h_q = _voxel_entropy(m, p), _voxel_entropy(n, q)  # of a prediction with itself, so that its slope stays finite
    weighted = 2 * (p - q).square() / ((beta * h_p).exp() + (beta * h_q).exp())  # both classes differ by the same
    return (weighted + beta * (h_p + h_q)).mean()


def _voxel_entropy(m: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each voxel with respect to a foreground probability."""
    return F.binary_cross_entropy_with_logits(m, target, reduction="none")


def _checked_margin(logits: Tensor, volumes: torch.Size) -> Tensor:
    """The margin of logits (N, 2, X, Y, Z), which must have the shape `volumes`, (N, X, Y, Z)."""
    expected = (volumes[0], 2, *volumes[1:])
    if logits.shape != expected:
        raise ValueError(
            f"found logits of shape {tuple(logits.shape)}, expected {expected} for these labels or this mask"
        )
    return margin(logits)
