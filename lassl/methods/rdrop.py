"""R-Drop (Wu et al. 2021): two passes with different dropout should agree.

    L = 1/2 [S(p) + S(q)] + weight / 4 x mean over the voxels of [KL(p || q) + KL(q || p)]

with p and q the predictions of the two passes and S the supervised loss. This is half of the paper's loss, so that S
counts as much as in the baseline. The mean is over the option `patches`, all or unlabeled; gradients pass through both
sides. The weight climbs by a sigmoid ramp until the fraction `ramp` of training. Both passes are one batch, with common
Dice and batch-norm statistics.

Weight 4.0 with a ramp is SSL4MIS's, whose code for volumes has two networks, a softmax along a spatial axis and only
unlabeled patches. Here, as in the paper, there is one network, and the divergence is over the classes. The authors have
no ramp and 5 (translation), 1 (language models), 0.7 (summaries) or 0.3 (images). At the same weight, this code matches
the formula of the paper; the authors' code has twice the divergence, and SSL4MIS's, with its axis fixed, half.
"""

from typing import Literal

import torch
from torch import nn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, MakeNetwork, Progress, Ramp, Step, Weight
from lassl.learning.margins import symmetric_kl


class RDrop(Algorithm):
    """One network with two passes of different dropout."""

    def __init__(
        self,
        make_network: MakeNetwork,
        *,
        weight: Weight,
        patches: Literal["all", "unlabeled"] = "all",
        ramp: Ramp = 1.0,
    ):
        super().__init__()
        self.network = make_network()
        self.weight, self.patches = ramps.ClimbingWeight(weight, ramp), patches

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms of both passes and the divergence between them."""
        labeled = batch.labeled
        both = self.network(torch.cat([batch.image] * 2))  # (2 N, K, X, Y, Z), pass by pass
        a, b = both.chunk(2)
        twice = Batch(batch.labeled_image.repeat(2, 1, 1, 1, 1), batch.label.repeat(2, 1, 1, 1))
        step = self.supervised(torch.cat([a[:labeled], b[:labeled]]), twice)
        step.logs["weight"] = weight = self.weight.at(progress.fraction)
        if self.patches == "unlabeled":
            a, b = a[labeled:], b[labeled:]
        if len(a):
            divergence = symmetric_kl(a, b).mean()
            step.terms["dropout"] = weight / 4 * divergence
            step.logs.update(divergence=divergence, agreement=losses.hard_dice(a, b.argmax(1)))
        return step
