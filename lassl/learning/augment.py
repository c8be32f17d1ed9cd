"""Strong changes of intensity, for methods that compare a patch with a changed version of it."""

import torch
from torch import Tensor

SPACE = (1, 2, 3, 4)  # the axes of one patch


def change_intensity(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Change contrast, brightness and noise of each patch (N, 1, X, Y, Z) by itself, as AD-MT does (Zhao et al. 2024).

    With probability 0.8 the patch, brought to [0, 1], is multiplied by 0.5 to 1.5, shifted by -0.5 to 0.5 of its mean,
    clipped to [0, 1] and brought back. Then, with 0.2, noise is added: normal, clipped at 2 deviations, the deviation
    0.1 to 1 in units of the image. The generator is of the patches' device.
    """
    device = patches.device
    chance = torch.rand(5, len(patches), 1, 1, 1, 1, generator=generator, device=device)
    contrast, brightness, deviation = 0.5 + chance[0], chance[1] - 0.5, 0.1 + 0.9 * chance[2]
    low, high = patches.amin(SPACE, keepdim=True), patches.amax(SPACE, keepdim=True)
    span = (high - low).clamp(min=1e-6)  # a patch may be of one value
    unit = (patches - low) / span
    changed = (contrast * unit + brightness * unit.mean(SPACE, keepdim=True)).clamp(0, 1) * span + low
    changed = torch.where(chance[3] < 0.8, changed, patches)
    noise = torch.randn(patches.shape, generator=generator, device=device).clamp_(-2, 2)
    return torch.where(chance[4] < 0.2, changed + deviation * noise, changed)
