"""Further passes of a network through one batch that are to differ from the first by their input alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def same_dropout(device: torch.device) -> Iterator[None]:
    """Take the random numbers of torch back at the end: the next pass has the same dropout as the one inside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Let the passes inside leave the running mean and variance of batch norm alone; they normalize as ever."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
