"""Entropy minimization (ADVENT's direct form, Vu et al. 2019): predictions without labels should be certain.

Loss: the supervised loss plus w(t) mean H(p) / ln K, where H is the entropy over the K classes, and the mean is over
the voxels of the unlabeled patches or, with `patches: all`, of all patches. w(t) climbs to `weight` by a sigmoid ramp
that ends at the fraction `ramp` of training. ADVENT uses only unlabeled images and a constant weight of 0.001; SSL4MIS
uses all patches and climbs to 0.1 at the last of 30000 steps; the row climbs to its weight until its last step, too.
"""

import math
from typing import Literal

from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import margins, ramps
from lassl.learning.base import Algorithm, MakeNetwork, Progress, Ramp, Step, Weight


class EntropyMinimization(Algorithm):
    """One network that learns to be certain."""

    def __init__(self, make_network: MakeNetwork, *, weight: Weight, patches: Literal["all", "unlabeled"], ramp: Ramp):
        super().__init__()
        self.network = make_network()
        self.weight, self.patches = ramps.ClimbingWeight(weight, ramp), patches

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and the entropy; logs it without its weight."""
        logits = self.network(batch.image)  # (N, K, X, Y, Z)
        step = self.supervised(logits, batch)
        step.logs["weight"] = weight = self.weight.at(progress.fraction)
        minimised = logits if self.patches == "all" else logits[batch.labeled :]
        if len(minimised):
            entropy = mean_entropy(minimised)
            step.terms["entropy"], step.logs["mean_entropy"] = weight * entropy, entropy
        return step


def mean_entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the softmax over the classes, as a share of ln K, in [0, 1]: logits (N, K, X, Y, Z) to a scalar.

    It is the cross-entropy of p with itself, whose gradient in the logits stays finite if p is 0 or 1.
    """
    z = margins.reduced(logits)
    return margins.soft_cross_entropy(z, margins.softmax(z), "mean") / math.log(logits.shape[1])
