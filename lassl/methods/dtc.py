"""DTC: dual-task consistency (Luo et al. 2021): the segmentation and a signed distance map must agree.

A second head, a 1x1x1 convolution and tanh on the decoder's features, gives the distance z to the surface in [-1, 1],
negative inside. With p the foreground probability and D the distance map of a label (lassl/learning/distance.py):

    loss = supervised + distance x mean (z - D)^2 + w mean (sigmoid(-steepness z) - p)^2

The second term is over the labeled patches, the third over all. w climbs to `weight` by a sigmoid ramp until the
fraction `ramp` of training. At the published steepness, 1500, the sigmoid is a step except for |z| below some
thousandths.

Differences from the authors: the supervised loss is the baseline's (theirs: Dice alone). p comes from two logits
(theirs: one). The second head sees the features before the first head's dropout (theirs: after it). Inside, D is the
distance to the surface voxels (theirs: to the nearest background voxel, and 0 on the surface; the difference is 0.04 on
average). A patch without foreground has D = 1, one without background -1 (theirs: 0 and undefined). Profile `paper` has
their schedule, `step`. The model has only the V-Net, because the second head is only for training.
"""

from collections.abc import Callable

from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, Positive, Progress, Ramp, Step, Weight
from lassl.learning.distance import signed_distance
from lassl.learning.margins import margin
from lassl.model.vnet import VNet


class DTC(Algorithm):
    """A V-Net, and a head for the signed distance on its last features."""

    network_parts = ("encode", "decode", "head")

    def __init__(
        self, make_network: Callable[[], VNet], *, weight: Weight, distance: Weight, steepness: Positive, ramp: Ramp
    ):
        super().__init__()
        self.network = make_network()
        width = next(self.network.head.parameters()).shape[1]  # (2, width, 1, 1, 1)
        self.distance_head = nn.Conv3d(width, 1, kernel_size=1)
        self.weight, self.distance, self.steepness = ramps.ClimbingWeight(weight, ramp), distance, steepness

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The V-Net."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms, the distance term and the consistency; logs the Dice between both tasks."""
        features = self.network.decode(self.network.encode(batch.image))
        logits = self.network.head(features)  # (N, 2, X, Y, Z)
        z = self.distance_head(features)[:, 0].float().tanh()  # (N, X, Y, Z)
        weight = self.weight.at(progress.fraction)
        step = self.supervised(logits, batch)
        step.terms["distance"] = self.distance * (z[: batch.labeled] - signed_distance(batch.label)).square().mean()
        step.terms["dual_task"] = weight * self.disagreement(z, logits)
        step.logs.update(weight=weight, agreement=losses.hard_dice(logits, z < 0))
        return step

    def disagreement(self, z: Tensor, logits: Tensor) -> Tensor:
        """Mean squared difference of the foreground that distances (N, X, Y, Z) imply and that of the logits."""
        return ((-self.steepness * z).sigmoid() - margin(logits).sigmoid()).square().mean()
