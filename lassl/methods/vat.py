"""Virtual adversarial training (Miyato et al. 2018), as a regularizer of a segmentation.

The prediction p(x) should not change if x moves by `epsilon` in the direction that changes it most:

    d = g / |g|,  g = gradient of KL(p(x) || p(x + xi r)) by r at a random unit r     (one power iteration)
    L = supervised loss + weight x mean KL(p(x) || p(x + epsilon d))

over all patches, labeled or not; no gradient passes through p(x) or d. Norms are Euclidean, over all voxels of one
patch, in units of the image. `xi`, `epsilon` and the weight, 1.0, are those of SS-Net (Wu et al. 2022), which applied
this method to the left atrium. The weight climbs by a sigmoid ramp until the fraction `ramp` of training, 0.4 in
SS-Net. SS-Net's distance is a soft Dice loss, which also rewards certainty; KL is that of the original method. As in
the code of Miyato et al. and unlike in SS-Net's, all passes drop the same features, and passes over x + r do not update
the batch-norm statistics, so that only the input differs. SS-Net's rate falls tenfold every 2500 of 15000 steps; here
it follows `poly`.
"""

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, MakeNetwork, Positive, Progress, Ramp, Step, Weight
from lassl.learning.margins import kl
from lassl.learning.passes import frozen_statistics, same_dropout


class VAT(Algorithm):
    """One network, whose predictions resist the small change of the image that would change them most."""

    def __init__(
        self,
        make_network: MakeNetwork,
        *,
        weight: Weight,
        xi: Positive = 10.0,
        epsilon: Positive = 10.0,
        ramp: Ramp = 1.0,
    ):
        super().__init__()
        self.network = make_network()
        self.weight, self.xi, self.epsilon = ramps.ClimbingWeight(weight, ramp), xi, epsilon

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and the divergence of all patches from their adversarial neighbors."""
        image = batch.image
        with same_dropout(image.device):
            logits = self.network(image)  # (N, K, X, Y, Z)
        target = logits.detach()
        with frozen_statistics(self.network):
            moved = self.network(image + self.epsilon * self.direction(image, target, progress))
        divergence = kl(target, moved).mean()
        weight = self.weight.at(progress.fraction)
        step = self.supervised(logits, batch)
        step.terms["adversarial"] = weight * divergence
        agreement = losses.hard_dice(moved, target.argmax(1))
        step.logs.update(weight=weight, divergence=divergence, agreement=agreement)
        return step

    def direction(self, image: Tensor, target: Tensor, progress: Progress) -> Tensor:
        """Unit vectors (N, 1, X, Y, Z), one a patch, along which predictions leave the target logits fastest."""
        chance = progress.generator("adversary", image.device)
        r = unit(torch.randn(image.shape, generator=chance, device=image.device)).requires_grad_()
        with same_dropout(image.device):
            moved = self.network(image + self.xi * r)
        divergence = kl(target, moved).sum()  # the gradient of the mean is too small for fp16
        (gradient,) = torch.autograd.grad(divergence, r)
        return unit(gradient)


def unit(vectors: Tensor) -> Tensor:
    """Divide each patch (N, 1, X, Y, Z) by its Euclidean norm; a patch of zeros stays zero."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=(1, 2, 3, 4), keepdim=True)
    return vectors / norms.clamp_min(1e-12)
