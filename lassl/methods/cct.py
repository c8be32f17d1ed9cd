"""CCT: cross-consistency training (Ouali et al. 2020), as in SSL4MIS for medical images, or as by its authors.

Three additional decoders on the V-Net's encoder see the features of all scales with noise, with dropout, or without the
voxels of highest attention (lassl/learning/perturbations.py). With p the softmax of the V-Net and p_k that of
decoder k, and the mean over classes and voxels:

    loss = supervised + w mean over k of mean (p_k - p)^2       over the voxels of the unlabeled patches

    form: ssl4mis   the supervised loss is the mean of those of all four decoders, and gradients reach p, too
    form: authors   labels train only the V-Net, the three decoders learn from the consistency, and p has no gradient

w climbs to `weight` by a sigmoid ramp until the fraction `ramp` of training. Weight 0.1 and ramp 1.0 are those of
SSL4MIS, and belong to its form: with this weight, decoders without labels do not learn to segment. The authors use 30
and 0.1 with their form. The row uses SSL4MIS's form because that was written for medical images.

Differences from SSL4MIS: three dimensions, a V-Net (theirs: a 2-D U-Net), and the baseline's Dice (theirs: the mean
over the classes). Differences from the authors in either form: three of their seven perturbations, with one decoder
each; features of all scales (theirs: of the last); labeled and unlabeled patches in one pass of the encoder (theirs:
two).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Progress, Ramp, Step, Weight
from lassl.learning.decoders import Decoder, supervised_heads
from lassl.learning.perturbations import attention_drop, feature_dropout, feature_noise
from lassl.model.vnet import VNet

PERTURBATIONS = (feature_noise, feature_dropout, attention_drop)


class CCT(Algorithm):
    """A V-Net, and three decoders on its encoder that see perturbed features."""

    network_parts = ("encode", "decode", "head", "ups", "decoder")

    def __init__(
        self,
        make_network: Callable[[], VNet],
        *,
        weight: Weight,
        ramp: Ramp,
        form: Literal["ssl4mis", "authors"] = "ssl4mis",
    ):
        super().__init__()
        self.network = make_network()
        self.others = nn.ModuleList(Decoder(self.network) for _ in PERTURBATIONS)
        self.weight, self.form = ramps.ClimbingWeight(weight, ramp), form

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The V-Net."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms, and the consistency on the unlabeled cases; logs the decoders' Dice with it."""
        labeled, together = batch.labeled, self.form == "ssl4mis"
        features = self.network.encode(batch.image)
        logits = self.network.head(self.network.decode(features))  # (N, K, X, Y, Z)
        first = 0 if together else labeled  # of the patches that the three decoders see
        others = self.perturbed([scale[first:] for scale in features], progress) if len(logits) > first else []
        step = supervised_heads([logits, *others] if together else [logits], batch, torch.mean)
        if len(logits) > labeled:
            weight = self.weight.at(progress.fraction)
            target = logits[labeled:] if together else logits[labeled:].detach()
            others = [each[labeled - first :] for each in others]
            step.terms["cross_consistency"] = weight * torch.stack([difference(each, target) for each in others]).mean()
            agreement = torch.stack([losses.hard_dice(each, target.argmax(1)) for each in others]).mean()
            step.logs.update(weight=weight, agreement=agreement)
        return step

    def perturbed(self, features: list[Tensor], progress: Progress) -> list[Tensor]:
        """Logits of the three decoders, each of which sees the features of all scales perturbed in its own way."""
        generator = progress.generator("perturbation", features[0].device)
        pairs = zip(self.others, PERTURBATIONS, strict=True)
        return [decoder([perturb(scale, generator) for scale in features]) for decoder, perturb in pairs]


def difference(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of two softmaxes over voxels and classes, from logits (U, K, X, Y, Z)."""
    a, b = (margins.softmax(margins.reduced(each)) for each in (logits, target))
    return (a - b).square().mean()
