"""CCT: cross-consistency training (Ouali et al. 2020): decoders of perturbed features follow the undisturbed one.

Three more decoders on the V-Net's encoder see the features of all its scales with noise, with dropout, or without the
voxels of most attention (lassl/learning/perturbations.py). With p the foreground probability of the V-Net, without
gradient, and p_k that of decoder k, means over the voxels of the unlabeled patches:

    loss = supervised + w mean over k of mean (p_k - p)^2

Gradients reach the three decoders and the encoder, as in the paper; the field's public code also lets them reach p and
trains the three on labels. w climbs to `weight` by a sigmoid ramp until the fraction `ramp` of training; weight and
ramp are that code's, as are features of all scales (paper: of the last). Different from the paper, too: 3-D, one
decoder for each of three of its seven perturbations, and the baseline's supervised loss.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, Progress, Step, supervised_terms
from lassl.learning.decoders import Decoder
from lassl.learning.margins import margin
from lassl.learning.perturbations import attention_drop, feature_dropout, feature_noise
from lassl.model.vnet import VNet

PERTURBATIONS = (feature_noise, feature_dropout, attention_drop)


class CrossConsistency(Algorithm):
    """A V-Net, and three decoders on its encoder that see perturbed features."""

    def __init__(self, make_network: Callable[[], VNet], *, weight: float, ramp: float):
        super().__init__()
        if ramp <= 0:
            raise ValueError(f"ramp is {ramp}; expected above 0")
        self.network = make_network()
        self.others = nn.ModuleList(Decoder(self.network) for _ in PERTURBATIONS)
        self.weight, self.ramp = weight, ramp

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The V-Net."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms, and the consistency on the unlabeled cases; logs the decoders' Dice with it."""
        labeled = len(batch.label)
        features = self.network.encode(batch.image)
        logits = self.network.head(self.network.decode(features))  # (N, 2, X, Y, Z)
        terms = supervised_terms(logits[:labeled], batch.label)
        logs: dict[str, Tensor | float] = {"dice": losses.hard_dice(logits[:labeled], batch.label)}
        if len(batch.image) > labeled:
            weight = self.weight * ramps.sigmoid_ramp(progress.fraction / self.ramp)
            target = logits[labeled:].detach()
            perturbed = self.perturbed([scale[labeled:] for scale in features], progress)
            terms["cross_consistency"] = weight * torch.stack([difference(each, target) for each in perturbed]).mean()
            agreement = torch.stack([losses.hard_dice(each, target.argmax(1)) for each in perturbed]).mean()
            logs |= {"weight": weight, "agreement": agreement}
        return Step(terms, logs)

    def perturbed(self, features: list[Tensor], progress: Progress) -> list[Tensor]:
        """Logits of the three decoders, each of which sees the features of all scales perturbed in its own way."""
        generator = progress.generator("perturbation", features[0].device)
        pairs = zip(self.others, PERTURBATIONS, strict=True)
        return [decoder([perturb(scale, generator) for scale in features]) for decoder, perturb in pairs]


def difference(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of two foreground probabilities, from logits (U, 2, X, Y, Z)."""
    a, b = margin(logits).sigmoid(), margin(target).sigmoid()
    return (a - b).square().mean()
