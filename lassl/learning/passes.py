"""Additional passes of a network over one batch that should differ from the first only in their input."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def same_dropout(device: torch.device) -> Iterator[None]:
    """Restore torch's random state at the end, so that the next pass has the same dropout as the one inside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Prevent passes inside from updating the running mean and variance of batch norm; they normalize as usual."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
