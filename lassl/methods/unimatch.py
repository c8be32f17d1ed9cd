"""UniMatch (Yang et al. 2023): one weak view teaches two strong views and a view with perturbed features.

The network labels the unchanged unlabeled patches; voxels count if the greatest probability is `threshold` or more.
With D the soft Dice loss against these labels over these voxels:

    loss = supervised + weight (1/4 D(view 1) + 1/4 D(view 2) + 1/2 D(features))

    view 1, 2   random changes of contrast, brightness and noise of each patch (perturbations.py), then CutMix: a box
                of half the volume of another patch, also for labels and counted voxels
    features    the unchanged patch, with channels of the features of every scale dropped at the rate `feature_dropout`

No gradient passes through the labels. As in the authors' code for medical images, the network's own predictions with
dropout are the labels, and the decoder sees features with and without the perturbation as one batch. `ramp` is the
fraction of training at which the weight is full; theirs is full from the first step.

Differences from the authors: their code is for two dimensions. Our loss is twice theirs, with D for the foreground only
(theirs: the mean over the classes), so that the supervised part is the baseline's. Each step has a box of half the
volume (theirs: every second step, with a tenth of the area on average), from the same batch (theirs: another, labeled
by a pass without dropout). The strong view changes contrast, brightness and noise (theirs: color and blur). Features of
labeled patches are not dropped.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Confidence, Progress, Ramp, Share, Step, Weight
from lassl.learning.mixing import cutmix, half_box
from lassl.learning.perturbations import change_intensity
from lassl.learning.regions import kept_shares, within
from lassl.model.vnet import VNet


class UniMatch(Algorithm):
    """One network, whose confident predictions should not change if images or features are perturbed."""

    network_parts = ("encode", "decode", "head")

    def __init__(
        self,
        make_network: Callable[[], VNet],
        *,
        weight: Weight,
        threshold: Confidence,
        feature_dropout: Share,
        ramp: Ramp,
    ):
        super().__init__()
        self.network = make_network()
        self.weight = ramps.ClimbingWeight(weight, ramp)
        self.threshold, self.feature_dropout = threshold, feature_dropout

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and those of the views; logs the shares of voxels that count."""
        patches = len(batch.image)
        features = self.network.encode(batch.image)
        dropped = [F.dropout3d(scale[batch.labeled :], self.feature_dropout) for scale in features]
        pairs = [torch.cat(pair) for pair in zip(features, dropped, strict=True)]
        logits = self.network.head(self.network.decode(pairs))  # (N + U, K, X, Y, Z)
        step = self.supervised(logits, batch)
        step.logs["weight"] = weight = self.weight.at(progress.fraction)
        if len(batch.unlabeled_image):
            weak = margins.confident(logits[batch.labeled : patches].detach(), self.threshold)
            views = [self.view(batch.unlabeled_image, *weak, name, progress) for name in ("first", "second")]
            strong = self.network(torch.cat([image for image, *_ in views])).chunk(2)
            parts = [losses.dice_loss(*within(s, *mixed)) for s, (_, *mixed) in zip(strong, views, strict=True)]
            step.terms["views"] = weight / 4 * (parts[0] + parts[1])
            step.terms["features"] = weight / 2 * losses.dice_loss(*within(logits[patches:], *weak))
            step.logs.update(kept_shares(*weak))
        return step

    def view(
        self, patches: Tensor, label: Tensor, counts: Tensor, name: str, progress: Progress
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A strong view of patches (U, 1, X, Y, Z), its labels and the voxels that count, both (U, X, Y, Z)."""
        strong = change_intensity(patches, progress.generator(f"intensity, {name} view", patches.device))
        inside = half_box(patches.shape[2:], progress.generator(f"cutmix, {name} view", torch.device("cpu")))
        return cutmix(strong, inside), cutmix(label, inside), cutmix(counts, inside)
