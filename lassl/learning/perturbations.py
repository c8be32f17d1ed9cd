"""Perturbations of the intensity of patches, and of features (N, C, X, Y, Z) as in CCT (Ouali et al. 2020).

They act in every mode of the network.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SPACE = (2, 3, 4)  # the axes of one channel of a patch
NOISE = 0.3  # for features
DROPPED = 0.3
LEAST, MOST = 0.7, 0.9  # of the largest attention


def change_intensity(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Change contrast, brightness and noise of each patch (N, C, X, Y, Z) separately, after AD-MT (Zhao et al. 2024).

    Each channel of a patch is changed by itself, too. With probability 0.8, it is scaled to [0, 1], multiplied by 0.5
    to 1.5, shifted by -0.5 to 0.5 times its mean, clipped to [0, 1] and scaled back. Then, with probability 0.2, normal
    noise is added, with a deviation of 0.1 to 1 in units of the image and clipped at 2 deviations. The generator must
    be on the patches' device. The mean is that before the multiplication; AD-MT's code uses the one after it, so that
    its shift is 0.5 to 1.5 times as large.
    """
    device = patches.device
    chance = torch.rand(5, *patches.shape[:2], 1, 1, 1, generator=generator, device=device)
    contrast, brightness, deviation = 0.5 + chance[0], chance[1] - 0.5, 0.1 + 0.9 * chance[2]
    low, high = patches.amin(SPACE, keepdim=True), patches.amax(SPACE, keepdim=True)
    span = (high - low).clamp(min=1e-6)  # a patch may be constant
    unit = (patches - low) / span
    changed = (contrast * unit + brightness * unit.mean(SPACE, keepdim=True)).clamp(0, 1) * span + low
    changed = torch.where(chance[3] < 0.8, changed, patches)
    noise = torch.randn(patches.shape, generator=generator, device=device).clamp_(-2, 2)
    return torch.where(chance[4] < 0.2, changed + deviation * noise, changed)


def feature_noise(features: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply by 1 + noise, uniform in [-0.3, 0.3] and the same for all patches; the generator is on the device."""
    noise = torch.rand(features.shape[1:], generator=generator, device=features.device)
    return features * (1 + NOISE * (2 * noise - 1)).to(features.dtype)


def feature_dropout(features: Tensor, generator: torch.Generator) -> Tensor:
    """Set each value to 0 with probability 0.3 and scale up the others; uses torch's random numbers."""
    return F.dropout(features, DROPPED)


def attention_drop(features: Tensor, generator: torch.Generator) -> Tensor:
    """Set to 0 the voxels that a patch attends to most.

    These are the voxels whose mean over the channels is at least the patch's largest mean times a number, which is
    uniform in [0.7, 0.9] and the same for all patches.
    """
    attention = features.mean(1, keepdim=True)  # (N, 1, X, Y, Z)
    share = LEAST + (MOST - LEAST) * torch.rand((), generator=generator, device=features.device)
    return features * (attention < share * attention.amax((2, 3, 4), keepdim=True))
