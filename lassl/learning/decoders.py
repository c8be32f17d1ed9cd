"""Additional decoders on the encoder of a V-Net."""

import copy
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.learning.base import Step, supervised_terms
from lassl.model.batch_norm import BatchNorm3d
from lassl.model.vnet import VNet

Upsampling = Literal["transposed", "trilinear", "nearest"]


class Decoder(nn.Module):
    """A copy of the decoder half of a V-Net with its own weights: from features of five scales to logits.

    `upsampling` uses transposed convolutions as in the network, or interpolation (trilinear with aligned corners, or
    nearest) and a 3x3x3 convolution, as in MC-Net's decoders (Wu et al. 2021).
    """

    def __init__(self, network: VNet, upsampling: Upsampling = "transposed"):
        super().__init__()
        self.ups = copy.deepcopy(network.ups)
        self.decoder = copy.deepcopy(network.decoder)
        self.head = copy.deepcopy(network.head)
        if upsampling != "transposed":
            replaced = [module for module in self.ups.modules() if isinstance(module, nn.ConvTranspose3d)]
            self.ups = nn.ModuleList(
                interpolating_up(c.in_channels, c.out_channels, upsampling, c.stride) for c in replaced
            )
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d | nn.BatchNorm3d):
                module.reset_parameters()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Compute the logits (N, K, X, Y, Z) from the features of VNet.encode."""
        logits: Tensor = self.head(stages(self, features)[-1])
        return logits


def interpolating_up(
    inputs: int, outputs: int, upsampling: Literal["trilinear", "nearest"], factors: tuple[int, ...] = (2, 2, 2)
) -> nn.Sequential:
    """Multiply the axes by factors by interpolation, then map the channels by a 3x3x3 convolution."""
    return nn.Sequential(
        nn.Upsample(scale_factor=factors, mode=upsampling, align_corners=True if upsampling == "trilinear" else None),
        nn.Conv3d(inputs, outputs, kernel_size=3, padding=1),
        BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


def stages(half: VNet | Decoder, features: Sequence[Tensor]) -> list[Tensor]:
    """Outputs of a decoder's stages: (N, 8w, X/8, Y/8, Z/8), ..., (N, w, X, Y, Z); the last is that of VNet.decode."""
    *skips, h = features
    outputs = []
    for stage, double in zip(half.decoder, half.ups, strict=True):
        h = stage(double(h) + skips.pop())
        outputs.append(h)
    return outputs


def supervised_heads(logits: Sequence[Tensor], batch: Batch, combine: Callable[[Tensor], Tensor]) -> Step:
    """Algorithm.supervised for several heads, each with logits (N, K, X, Y, Z) or only those of labeled patches.

    `combine` reduces a term's values, one per head, to a scalar. The log "dice" is that of the first head.
    """
    each = [supervised_terms(head[: batch.labeled], batch.label) for head in logits]
    terms = {name: combine(torch.stack([values[name] for values in each])) for name in each[0]}
    return Step(terms, {"dice": losses.hard_dice(logits[0][: batch.labeled], batch.label)})
