"""ICT, interpolation consistency training (Verma et al. 2019): the student should be linear between two patches.

Each unlabeled patch u is mixed with its partner v, from the unlabeled patches in reverse order, with its own share l
drawn from Beta(`alpha`, `alpha`):

    loss = supervised + w(t) mean (p(l u + (1 - l) v) - (l q(u) + (1 - l) q(v)))^2

p is the student's softmax, and q that of a teacher, the student's running average up to `decay`. w(t) climbs to
`weight` by a sigmoid ramp that ends at the fraction `ramp` of training. As in SSL4MIS, dropout is on in the teacher,
alpha is 0.2, and the final weight is 0.1, which SSL4MIS reaches at the last of 30000 steps. SSL4MIS makes one mixture
per two patches, this code one per patch; its teacher sees each patch separately, ours all as one batch. The authors,
who classify images, have a weight of 100, an alpha of 1.0 or 0.1, one share per batch and random partners, and blend
the teacher's logits although their formula blends q.
"""

import numpy as np
import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Decay, MakeNetwork, Positive, Progress, Ramp, Step, Weight
from lassl.learning.teacher import follow, teacher_of


class ICT(Algorithm):
    """A student that learns to predict, on blends of two patches, the blends of a teacher's predictions."""

    def __init__(self, make_network: MakeNetwork, *, weight: Weight, alpha: Positive, decay: Decay, ramp: Ramp):
        super().__init__()
        self.student = make_network()
        self.teacher = teacher_of(self.student)
        self.weight, self.alpha, self.decay = ramps.ClimbingWeight(weight, ramp), alpha, decay

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Student and teacher; the student is evaluated by default."""
        return {"student": self.student, "teacher": self.teacher}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and the consistency on blends; logs the Dice of student and teacher there."""
        image, unlabeled = batch.image, batch.unlabeled_image
        if len(unlabeled):
            blended, target = self.blends(unlabeled, progress)
            image = torch.cat([batch.labeled_image, blended])
        logits = self.student(image)  # (N, K, X, Y, Z)
        step = self.supervised(logits, batch)
        step.logs["weight"] = weight = self.weight.at(progress.fraction)
        if len(unlabeled):
            blended_logits = logits[batch.labeled :]
            predicted = margins.softmax(margins.reduced(blended_logits))
            step.terms["consistency"] = weight * (predicted - target).square().mean()
            step.logs["agreement"] = losses.hard_dice(blended_logits, margins.most_probable(target))
        return step

    @torch.no_grad()
    def blends(self, patches: Tensor, progress: Progress) -> tuple[Tensor, Tensor]:
        """Blends of patches (U, 1, X, Y, Z), and the same blends of the teacher's softmax, (U, 1 or K, X, Y, Z)."""
        seed = progress.generator("interpolation", torch.device("cpu")).initial_seed()
        drawn = np.random.default_rng(seed).beta(self.alpha, self.alpha, len(patches))
        share = torch.from_numpy(drawn).float().to(patches.device).view(-1, 1, 1, 1, 1)
        taught = margins.softmax(margins.reduced(self.teacher(patches)))  # (U, 1 or K, X, Y, Z)
        return torch.lerp(patches.flip(0), patches, share), torch.lerp(taught.flip(0), taught, share)

    def after_step(self, progress: Progress) -> None:
        """Update the teacher, including batch-norm statistics, towards the student."""
        follow(self.teacher, self.student, ramps.ema_decay(progress.step, self.decay))
