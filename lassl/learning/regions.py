"""Losses and labels of regions: the supervised loss over some voxels, and the largest component of a mask."""

import numpy as np
import torch
from torch import Tensor

from lassl.images.components import largest_component
from lassl.learning.base import supervised_terms

CERTAIN = 50.0  # logits of this value and its negative have the softmax 1 and 0


def within(logits: Tensor, label: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Make the voxels outside a region (N, X, Y, Z), True inside, certain background in logits and label.

    Their cross-entropy is then 0, without gradient, and they add nothing to the sums of a Dice. Returns logits
    (N, 2, X, Y, Z) in float32, and labels (N, X, Y, Z) in their own type.
    """
    outside = ~region
    background, foreground = logits.float().unbind(1)
    certain = background.masked_fill(outside, CERTAIN), foreground.masked_fill(outside, -CERTAIN)
    return torch.stack(certain, 1), label * region


def terms_within(logits: Tensor, label: Tensor, region: Tensor, patches: int) -> dict[str, Tensor]:
    """The supervised terms over the voxels of a region (N, X, Y, Z), for each group of `patches` patches, then summed.

    The cross-entropy is a mean over the region's voxels. The terms of an empty region are 0.
    """
    halves = []
    for first in range(0, len(label), patches):
        part = slice(first, first + patches)
        terms = supervised_terms(*within(logits[part], label[part], region[part]))
        share = region[part].sum().clamp(min=1) / region[part].numel()
        halves.append(torch.stack([terms["cross_entropy"] / share, terms["dice_loss"]]))
    cross_entropy, dice_loss = torch.stack(halves).sum(0)
    return {"cross_entropy": cross_entropy, "dice_loss": dice_loss}


def largest_components(masks: Tensor) -> Tensor:
    """Keep only the largest component (connected by faces, edges or corners) of each mask (N, X, Y, Z) of 0 and 1.

    Computed on the host, which waits for the device. An empty mask stays empty.
    """
    kept = [largest_component(mask) for mask in masks.cpu().numpy()]
    return torch.from_numpy(np.stack(kept)).to(masks)
