"""The form in which predictions are compared: the margin of two classes, or the logits of more.

Two classes make softmax a sigmoid of one number, the margin, which is faster. `reduced` alone decides the form. All
that takes reduced logits or probabilities tells it by their one channel, and computes in float32.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def margin(logits: Tensor) -> Tensor:
    """Foreground minus background logit in float32, for any precision: (N, 2, X, Y, Z) -> (N, X, Y, Z)."""
    background, foreground = logits.unbind(1)
    return foreground.float() - background.float()


def reduced(logits: Tensor) -> Tensor:
    """Logits in float32, those of two classes as their margin: (N, K, X, Y, Z) -> (N, 1 or K, X, Y, Z).

    What is reduced already stays as it is.
    """
    return margin(logits).unsqueeze(1) if logits.shape[1] == 2 else logits.float()


def softmax(z: Tensor) -> Tensor:
    """Probabilities, of two classes the foreground's alone: reduced logits (N, 1 or K, X, Y, Z) -> the same shape."""
    return z.sigmoid() if z.shape[1] == 1 else z.softmax(1)


def most_probable(p: Tensor) -> Tensor:
    """Label of each voxel, uint8 (N, X, Y, Z), from probabilities (N, 1 or K, X, Y, Z)."""
    return (p.squeeze(1) > 0.5 if p.shape[1] == 1 else p.argmax(1)).to(torch.uint8)


def soft_cross_entropy(z: Tensor, target: Tensor, reduction: Literal["none", "mean"] = "none") -> Tensor:
    """Cross-entropy in nats with respect to target probabilities: two (N, 1 or K, X, Y, Z) -> (N, X, Y, Z), or mean.

    The gradient goes through both and is finite everywhere, also for the softmax of z itself as the target.
    """
    if z.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(z.squeeze(1), target.squeeze(1), reduction=reduction)
    each = -(target * z.log_softmax(1)).sum(1)
    return each if reduction == "none" else each.mean()


def squared_difference(p: Tensor, q: Tensor) -> Tensor:
    """Squared difference, summed over all classes: two probabilities (N, 1 or K, X, Y, Z) -> (N, X, Y, Z)."""
    if p.shape[1] == 1:
        return 2 * (p - q).square().squeeze(1)  # both classes differ by the same
    return (p - q).square().sum(1)


def foregrounds(logits: Tensor) -> Tensor:
    """Probability of each structure in float32, in [0, 1]: logits (N, 1 + S, X, Y, Z) -> (N, S, X, Y, Z)."""
    p = softmax(reduced(logits))
    return p if p.shape[1] == 1 else p[:, 1:]


def masks(label: Tensor, structures: int) -> Tensor:
    """Mask of each structure: labels (N, X, Y, Z) -> (N, S, X, Y, Z) of 0 and 1; of one structure a view."""
    if structures == 1:
        return label.unsqueeze(1)
    return torch.stack([label == structure for structure in range(1, structures + 1)], 1)


def labels(logits: Tensor) -> Tensor:
    """Arg-max of logits (N, K, X, Y, Z) as labels, uint8 (N, X, Y, Z); no gradient passes."""
    return _labels(reduced(logits))


def _labels(z: Tensor) -> Tensor:
    return (z.squeeze(1) > 0 if z.shape[1] == 1 else z.argmax(1)).to(torch.uint8)


def confident(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Labels, uint8 (N, X, Y, Z), and where their probability is the threshold (0.5 or more) or above, booleans."""
    z = reduced(logits)
    if z.shape[1] == 1:
        return _labels(z), z.squeeze(1).abs() >= math.log(threshold / (1 - threshold))
    return _labels(z), z.softmax(1).amax(1) >= threshold


def kl(target_logits: Tensor, logits: Tensor) -> Tensor:
    """KL(target || prediction) in nats: two logits (N, K, X, Y, Z) -> (N, X, Y, Z), gradient through both.

    For two classes, with the margins t and m, it is sigmoid(t) (t - m) + softplus(m) - softplus(t).
    """
    t, m = reduced(target_logits), reduced(logits)
    if t.shape[1] == 1:
        return (t.sigmoid() * (t - m) + F.softplus(m) - F.softplus(t)).squeeze(1)
    log_p = t.log_softmax(1)
    return (log_p.exp() * (log_p - m.log_softmax(1))).sum(1)


def symmetric_kl(a: Tensor, b: Tensor) -> Tensor:
    """KL(a || b) + KL(b || a) in nats: two logits (N, K, X, Y, Z) -> (N, X, Y, Z), gradient through both.

    It is the sum over the classes of the difference of the probabilities times that of their logarithms; for two
    classes, the difference of the foreground's probabilities times that of the margins.
    """
    m, n = reduced(a), reduced(b)
    if m.shape[1] == 1:
        return ((m.sigmoid() - n.sigmoid()) * (m - n)).squeeze(1)
    log_p, log_q = m.log_softmax(1), n.log_softmax(1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1)
