"""The margin of two classes, whose sigmoid is the softmax, and divergences of two predictions computed from it."""

import torch.nn.functional as F
from torch import Tensor


def margin(logits: Tensor) -> Tensor:
    """Foreground minus background logit in float32, for any precision: (N, 2, X, Y, Z) -> (N, X, Y, Z)."""
    background, foreground = logits.unbind(1)
    return foreground.float() - background.float()


def foregrounds(logits: Tensor) -> Tensor:
    """Probability of each structure in float32, in [0, 1]: logits (N, 1 + S, X, Y, Z) -> (N, S, X, Y, Z)."""
    if logits.shape[1] == 2:
        return margin(logits).sigmoid().unsqueeze(1)  # two classes: softmax is a sigmoid
    return logits.float().softmax(1)[:, 1:]


def kl(target_logits: Tensor, logits: Tensor) -> Tensor:
    """KL(target || prediction) in nats: two logits (N, 2, X, Y, Z) -> (N, X, Y, Z), gradient through both.

    With the margins t and m it is sigmoid(t) (t - m) + softplus(m) - softplus(t).
    """
    t, m = margin(target_logits), margin(logits)
    return t.sigmoid() * (t - m) + F.softplus(m) - F.softplus(t)


def symmetric_kl(a: Tensor, b: Tensor) -> Tensor:
    """KL(a || b) + KL(b || a) in nats: two logits (N, 2, X, Y, Z) -> (N, X, Y, Z), gradient through both.

    For two classes it is the difference of the probabilities times the difference of the margins.
    """
    m, n = margin(a), margin(b)
    return (m.sigmoid() - n.sigmoid()) * (m - n)
