"""DTC: dual-task consistency (Luo et al. 2021): the segmentation and a signed distance map must agree.

A second head, a 1x1x1 convolution and tanh on the decoder's features, gives the distance z to the surface in [-1, 1],
negative inside. With p the foreground probability and D the distance map of a label (lassl/learning/distance.py), each
for every structure, and means over voxels and structures:

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
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Positive, Progress, Ramp, Step, Weight
from lassl.learning.distance import signed_distance
from lassl.model.vnet import VNet


class DTC(Algorithm):
    """A V-Net, and a head for the signed distance on its last features."""

    network_parts = ("encode", "decode", "head")

    def __init__(
        self, make_network: Callable[[], VNet], *, weight: Weight, distance: Weight, steepness: Positive, ramp: Ramp
    ):
        super().__init__()
        self.network = make_network()
        classes, width = next(self.network.head.parameters()).shape[:2]  # (K, width, 1, 1, 1)
        self.distance_head = nn.Conv3d(width, classes - 1, kernel_size=1)
        self.weight, self.distance, self.steepness = ramps.ClimbingWeight(weight, ramp), distance, steepness

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The V-Net."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms, the distance term and the consistency; logs the Dice between both tasks."""
        features = self.network.decode(self.network.encode(batch.image))
        logits = self.network.head(features)  # (N, K, X, Y, Z)
        z = self.distance_head(features).float().tanh()  # (N, S, X, Y, Z)
        weight = self.weight.at(progress.fraction)
        step = self.supervised(logits, batch)
        step.terms["distance"] = (
            self.distance * (z[: batch.labeled] - distances(batch.label, z.shape[1])).square().mean()
        )
        step.terms["dual_task"] = weight * self.disagreement(z, logits)
        step.logs.update(weight=weight, agreement=losses.hard_dice(logits, labels(z)))
        return step

    def disagreement(self, z: Tensor, logits: Tensor) -> Tensor:
        """Mean squared difference of the foreground that distances (N, S, X, Y, Z) imply and that of the logits."""
        return ((-self.steepness * z).sigmoid() - margins.foregrounds(logits)).square().mean()


def distances(label: Tensor, structures: int) -> Tensor:
    """Signed distance to the surface of each structure: labels (L, X, Y, Z) -> (L, S, X, Y, Z)."""
    masks = margins.masks(label, structures)
    return signed_distance(masks.flatten(0, 1)).view(masks.shape)


def labels(z: Tensor) -> Tensor:
    """The structure that each voxel is deepest in, 0 outside of all: distances (N, S, X, Y, Z) -> (N, X, Y, Z)."""
    least, structure = z.min(1)
    return (structure + 1) * (least < 0)
