"""Losses and labels of regions: the supervised loss over some voxels, and the largest component of a structure."""

import numpy as np
import torch
from torch import Tensor

from lassl.images.components import largest_component
from lassl.learning.base import supervised_terms

CERTAIN = 50.0  # the logit of a certain class; its negative is that of the others


def within(logits: Tensor, label: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Make the voxels outside a region (N, X, Y, Z), True inside, certain background in logits and label.

    Their cross-entropy is then 0, without gradient, and they add nothing to the sums of a Dice. Returns logits
    (N, K, X, Y, Z) in float32, and labels (N, X, Y, Z) in their own type.
    """
    outside = ~region
    background, *structures = logits.float().unbind(1)
    certain = [background.masked_fill(outside, CERTAIN), *(each.masked_fill(outside, -CERTAIN) for each in structures)]
    return torch.stack(certain, 1), label * region


def kept_shares(label: Tensor, kept: Tensor) -> dict[str, Tensor]:
    """What a threshold keeps, to log: the share of the voxels, and of those labeled as a structure, 0 without any.

    Both are (N, X, Y, Z), `kept` booleans.
    """
    structure = label.bool()
    return {
        "kept": kept.float().mean(),
        "kept_foreground": (kept & structure).sum() / structure.sum().clamp(min=1),
    }


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


def largest_components(labels: Tensor) -> Tensor:
    """Keep only the largest component (connected by faces, edges or corners) of each structure in each patch.

    Labels are (N, X, Y, Z), uint8. Computed on the host, which waits for the device. What is empty stays empty.
    """
    kept = np.zeros(labels.shape, np.uint8)
    for patch, label in zip(kept, labels.cpu().numpy(), strict=True):
        for structure in range(1, int(label.max()) + 1):
            patch[largest_component(label == structure)] = structure
    return torch.from_numpy(kept).to(labels)
