"""URPC: uncertainty rectified pyramid consistency (Luo et al. 2021, 2022): heads at several scales must agree.

Each of the last stages of the decoder has a head: the network's own, and 1x1x1 convolutions whose logits are
interpolated trilinearly to full size. With p_s the softmax at scale s, q its mean over the scales, and means over
voxels:

    loss = mean over s of supervised_s + w mean over s of [mean (u_s |q - p_s|^2 / K) / mean u_s + mean D_s]
    D_s = sum over the classes of q log(q / p_s),    u_s = exp(-D_s),    K classes

The second part is over unlabeled patches; gradients pass through q and u_s, as in SSL4MIS. `rectify: false` leaves out
u_s and D_s. w climbs to `weight` by a sigmoid ramp until the fraction `ramp` of training.

Weight and ramp are those of SSL4MIS, which uses URPC for tumors, with 30000 or 60000 steps at a rate of 0.1.
Differences: a V-Net (theirs: a 3-D U-Net), with dropout of 0.5 before its head and none between the stages of its
decoder (theirs: 0.5, 0.3, 0.2 and 0.1 before the heads); 3 scales in the row (theirs: 4); the baseline's supervised
loss at each scale (theirs: cross-entropy and the Dice of both classes). The network's own head is evaluated.
"""

import math
from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, Progress, Ramp, Step, Weight
from lassl.learning.decoders import stages, supervised_heads
from lassl.model.vnet import VNet

Scales = Annotated[int, Field(ge=2, le=4)]  # the network's own included


class URPC(Algorithm):
    """A V-Net, and heads on the coarser stages of its decoder."""

    network_parts = ("encode", "ups", "decoder", "head")

    def __init__(self, make_network: Callable[[], VNet], *, weight: Weight, scales: Scales, rectify: bool, ramp: Ramp):
        super().__init__()
        self.network = make_network()
        classes, width = next(self.network.head.parameters()).shape[:2]  # (K, width, 1, 1, 1)
        self.heads = nn.ModuleList(nn.Conv3d(width * 2**i, classes, kernel_size=1) for i in range(1, scales))
        self.weight, self.rectify = ramps.ClimbingWeight(weight, ramp), rectify

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The V-Net."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms of all heads, and their consistency on the unlabeled cases."""
        logits = self.pyramid(batch.image)
        step = supervised_heads(logits, batch, torch.mean)
        if len(batch.unlabeled_image):
            weight = self.weight.at(progress.fraction)
            unlabeled = [each[batch.labeled :] for each in logits]
            term, certainty = self.consistency(unlabeled)
            step.terms["pyramid"] = weight * term
            agreement = losses.hard_dice(unlabeled[0], unlabeled[-1].argmax(1))
            step.logs.update(weight=weight, certainty=certainty, agreement=agreement)
        return step

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """Logits (N, K, X, Y, Z) of all heads, the network's own first, then from fine to coarse."""
        *coarse, fine = stages(self.network, self.network.encode(image))
        logits = [self.network.head(fine)]
        for i, head in enumerate(self.heads, start=1):
            small = head(coarse[-i]).float()
            factors = [n // m for n, m in zip(fine.shape[2:], small.shape[2:], strict=True)]  # 2**i, unless halve says
            logits.append(F.interpolate(small, scale_factor=factors, mode="trilinear"))
        return logits

    def consistency(self, logits: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Consistency of S heads' logits (U, K, X, Y, Z), and the mean of u_s over heads and voxels."""
        log_p = torch.stack([each.float() for each in logits]).log_softmax(2)  # (S, U, K, X, Y, Z)
        log_q = log_p.logsumexp(0) - math.log(len(logits))
        squared = (log_q.exp() - log_p.exp()).square().mean(2)  # (S, U, X, Y, Z), as the divergence
        divergence = (log_q.exp() * (log_q - log_p)).sum(2)
        certainty = (-divergence).exp()
        if not self.rectify:
            return squared.mean(), certainty.mean()
        voxels = (1, 2, 3, 4)
        rectified = (squared * certainty).mean(voxels) / (certainty.mean(voxels) + 1e-8)
        return (rectified + divergence.mean(voxels)).mean(), certainty.mean()
