"""Uncertainty by Monte-Carlo dropout (Gal and Ghahramani 2016): chance that is the same each time, and entropy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from lassl.images.geometry import Array
from lassl.learning import losses

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@contextmanager
def dropping(networks: Mapping[str, nn.Module], seed: int) -> Iterator[None]:
    """Let dropout drop, as in training, the same in every call of a network; all else stays in evaluation mode.

    Afterwards modules and generators of chance are as before.
    """
    modules = [m for network in networks.values() for m in network.modules() if isinstance(m, DROPOUT)]
    before = [module.training for module in modules]

    def draw_again(*_: object) -> None:
        torch.manual_seed(seed)

    hooks = [network.register_forward_pre_hook(draw_again) for network in networks.values()]
    try:
        for module in modules:
            module.train()
        with torch.random.fork_rng():
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in zip(modules, before, strict=True):
            module.train(training)


def entropy(foreground: Array) -> Array:
    """Entropy in nats, in [0, ln 2], of two classes, from the probability of one (X, Y, Z)."""
    probability = torch.from_numpy(np.ascontiguousarray(foreground))
    result: Array = losses.entropy(torch.stack([1 - probability, probability]).unsqueeze(0))[0].numpy()
    return result
