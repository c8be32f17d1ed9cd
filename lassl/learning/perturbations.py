"""Perturbations of features (N, C, X, Y, Z), as CCT (Ouali et al. 2020) has them: on whatever the network's mode is."""

import torch
import torch.nn.functional as F
from torch import Tensor

NOISE = 0.3
DROPPED = 0.3
LEAST, MOST = 0.7, 0.9  # of the largest attention


def feature_noise(features: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply by 1 + a noise uniform in [-0.3, 0.3], the same for all patches; the generator is the device's."""
    noise = torch.rand(features.shape[1:], generator=generator, device=features.device)
    return features * (1 + NOISE * (2 * noise - 1)).to(features.dtype)


def feature_dropout(features: Tensor, generator: torch.Generator) -> Tensor:
    """Set each value to 0 with probability 0.3 and scale up the others; the chance is torch's own."""
    return F.dropout(features, DROPPED)


def attention_drop(features: Tensor, generator: torch.Generator) -> Tensor:
    """Set to 0 the voxels that a patch attends to most.

    Those are the ones whose mean over the channels is not under the patch's largest mean times a number uniform in
    [0.7, 0.9], one for all patches.
    """
    attention = features.mean(1, keepdim=True)  # (N, 1, X, Y, Z)
    share = LEAST + (MOST - LEAST) * torch.rand((), generator=generator, device=features.device)
    return features * (attention < share * attention.amax((2, 3, 4), keepdim=True))
