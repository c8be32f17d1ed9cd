"""MC-Net (Wu et al. 2021) and MC-Net+ (Wu et al. 2022): decoders on one encoder learn from each other.

The V-Net's own decoder has transposed convolutions, the second trilinear and the third (MC-Net+) nearest interpolation.
With z_k the logits of decoder k and p_k its softmax, and the mean over classes and voxels of all patches, including
labeled ones:

    loss = 1/2 sum over k of supervised_k + w sum over i != j of mean (p_i - softmax(z_j / temperature))^2

For two classes the second softmax equals the authors' sharpening; with more, theirs would sharpen each class alone. As
in their code, the terms of decoders and of pairs are summed: 2 pairs for two decoders, 6 for three. `detach` stops the
gradient that reaches decoder j through its sharpened probability; their code, released with MC-Net+, does not stop it.
Gradients of all decoders reach the encoder. w climbs to `weight` by a sigmoid ramp until the fraction `ramp` of
training, like theirs at 6000 of 15000 steps.

Differences from the authors: the supervised loss is the baseline's (theirs: Dice alone, with a linear denominator).
Near the end its gradient is a fifth of theirs, so that at the same weight consistency counts about five times as much.
The rate falls along `poly` (theirs: constant). The last weights are scored (theirs: the best on the test cases). The
model has only the V-Net, because only its decoder is evaluated.
"""

from collections.abc import Callable
from itertools import permutations
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Positive, Progress, Ramp, Step, Weight
from lassl.learning.decoders import Decoder, Upsampling, supervised_heads
from lassl.model.vnet import VNet

Decoders = Annotated[int, Field(ge=2, le=3)]
OTHERS: tuple[Upsampling, ...] = ("trilinear", "nearest")


class MCNet(Algorithm):
    """A V-Net, and one or two more decoders on its encoder."""

    network_parts = ("encode", "decode", "head", "ups", "decoder")

    def __init__(
        self,
        make_network: Callable[[], VNet],
        *,
        decoders: Decoders,
        weight: Weight,
        temperature: Positive,
        detach: bool,
        ramp: Ramp,
    ):
        super().__init__()
        self.network = make_network()
        self.others = nn.ModuleList(Decoder(self.network, upsampling) for upsampling in OTHERS[: decoders - 1])
        self.weight, self.temperature, self.detach = ramps.ClimbingWeight(weight, ramp), temperature, detach

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The V-Net: the encoder and the first decoder."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms of all decoders and their consistency; logs the Dice between the first two."""
        features = self.network.encode(batch.image)
        first = self.network.head(self.network.decode(features))  # (N, K, X, Y, Z), as of the others
        logits = [first, *(decoder(features) for decoder in self.others)]
        step = supervised_heads(logits, batch, lambda each: 0.5 * each.sum())
        weight = self.weight.at(progress.fraction)
        step.terms["mutual"] = weight * self.mutual(logits)
        step.logs.update(weight=weight, agreement=losses.hard_dice(first, margins.labels(logits[1])))
        return step

    def mutual(self, logits: list[Tensor]) -> Tensor:
        """Mean squared differences between each decoder's softmax and every other's sharpened one, summed."""
        reduced = [margins.reduced(each) for each in logits]
        soft = [margins.softmax(z) for z in reduced]
        sharp = [margins.softmax((z.detach() if self.detach else z) / self.temperature) for z in reduced]
        pairs = permutations(range(len(logits)), 2)
        return torch.stack([(soft[i] - sharp[j]).square().mean() for i, j in pairs]).sum()
