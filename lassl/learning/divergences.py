"""Kullback-Leibler divergences of two predictions, voxel by voxel."""

import torch.nn.functional as F
from torch import Tensor


def kl(target_logits: Tensor, logits: Tensor) -> Tensor:
    """KL(target || prediction) in nats: two logits (N, 2, X, Y, Z) -> (N, X, Y, Z), gradient through both.

    With the margins t and m (foreground minus background logit) it is sigmoid(t) (t - m) + softplus(m) - softplus(t).
    """
    target, margin = _margin(target_logits), _margin(logits)
    return target.sigmoid() * (target - margin) + F.softplus(margin) - F.softplus(target)


def symmetric_kl(a: Tensor, b: Tensor) -> Tensor:
    """KL(a || b) + KL(b || a) in nats: two logits (N, 2, X, Y, Z) -> (N, X, Y, Z), gradient through both.

    For two classes it is the product of the differences of the probabilities and of the margins.
    """
    m, n = _margin(a), _margin(b)
    return (m.sigmoid() - n.sigmoid()) * (m - n)


def _margin(logits: Tensor) -> Tensor:
    """Foreground minus background logit in float32: (N, 2, X, Y, Z) -> (N, X, Y, Z)."""
    return logits[:, 1].float() - logits[:, 0].float()
