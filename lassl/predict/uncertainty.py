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


def entropy(foregrounds: Array) -> Array:
    """Entropy of each voxel in nats, float32 (X, Y, Z), from the probabilities of S structures (S, X, Y, Z).

    It lies in [0, ln (1 + S)]: the background is a class, too.
    """
    structures = torch.from_numpy(np.ascontiguousarray(foregrounds))
    background = (1 - structures.sum(0, keepdim=True)).clamp(min=0)  # interpolated ones may add up to a little over 1
    result: Array = losses.entropy(torch.cat([background, structures]).unsqueeze(0))[0].numpy()
    return result
