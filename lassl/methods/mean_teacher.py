"""Mean teacher (Tarvainen and Valpola 2017) in five variants, including UA-MT (Yu et al. 2019) and Lovasz-Softmax.

The student follows the teacher on unlabeled cases, by the mean squared difference (or KL) over the voxels of a mask:

    certain    the entropy of the mean of `passes` additional passes of the teacher, with dropout, is below a threshold
               that rises from 0.75 ln K to ln K with K classes (UA-MT)
    ambiguous  the entropy of the student is above a threshold that rises from 0.75 ln K to 0.95 ln K (AC-MT, Xu et al.
               2023): uncertain voxels, which UA-MT leaves out
    all        every voxel: the plain mean teacher

or, with `weighting: uncertainty`, by UnCL (Assefa et al. 2025) over all voxels. The weight climbs by a sigmoid ramp, in
stairs of 1/40 of training, until the fraction `ramp`; thresholds climb during all of it. With `patches: all`, the
student also follows on labeled patches. Here the teacher's batch-norm statistics average those of the student; in
public code the teacher's own passes update them.

AC-MT's authors train for 8000 steps, and their weight is full at step 6000: `ramp` is 0.75 in profile `paper`. In other
profiles it is 1.0, so that the mean weight over training is 0.038 per 0.1 instead of 0.054.

UnCL is one of DyCON's three unsupervised terms: CE + Dice + w mse + 0.5 (FeCL + UnCL). As there, its weight is constant
from the first step, it is over all patches, and its target is one noisy pass. Its weight, 0.25, corresponds to theirs,
because our supervised loss is half as large. Not included from DyCON: FeCL, a contrastive loss (its code reads labels
of unlabeled cases); the plain mse, with a weight of 0.1 at the end of a ramp; gradient clipping to norm 1; 4 + 4
patches per step and 20000 steps. The row therefore shows UnCL alone, not DyCON.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, Count, MakeNetwork, Progress, Ramp, Step, Weight
from lassl.learning.teacher import follow, teacher_of

NOISE = 0.1  # standard deviation of the teacher's input noise, in units of the image's
NOISE_LIMIT = 0.2


class MeanTeacher(Algorithm):
    """A student, and a teacher whose weights are the running average of the student's.

    `weight` is the final weight of the consistency, `lovasz` the constant one of Lovasz-Softmax on labeled cases.
    """

    def __init__(
        self,
        make_network: MakeNetwork,
        *,
        weight: Weight,
        passes: Count,
        consistency: Literal["mse", "kl"],
        lovasz: Weight,
        mask: Literal["certain", "ambiguous", "all"] = "certain",
        weighting: Literal["none", "uncertainty"] = "none",
        patches: Literal["unlabeled", "all"] = "unlabeled",
        ramp: Ramp = 1.0,
    ):
        super().__init__()
        if (mask == "certain") != (passes > 0):
            raise ValueError(
                f"passes is {passes} and mask is '{mask}'; expected passes above 0 with mask certain, else 0"
            )
        if weighting == "uncertainty" and (mask, consistency) != ("all", "mse"):
            raise ValueError("weighting is 'uncertainty', which requires mask all and consistency mse")
        self.student = make_network()
        self.teacher = teacher_of(self.student)
        self.weight, self.lovasz = ramps.ClimbingWeight(weight, ramp), lovasz
        self.passes, self.consistency, self.mask = passes, consistency, mask
        self.weighting, self.patches = weighting, patches

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Student and teacher; the student is evaluated by default."""
        return {"student": self.student, "teacher": self.teacher}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and the consistency on the unlabeled cases."""
        first = 0 if self.patches == "all" else batch.labeled  # of the patches on which the student follows
        logits = self.student(batch.image)  # (N, K, X, Y, Z)
        step = self.supervised(logits, batch)
        if self.lovasz:
            step.terms["lovasz"] = self.lovasz * losses.lovasz_softmax(logits[: batch.labeled], batch.label)
        if len(batch.image) > first:
            weight = self.weight.at(ramps.staircase(progress.step, progress.steps))
            target, uncertainty = self.teach(batch.image[first:], progress)
            term, share = self.follow_teacher(logits[first:], target, uncertainty, progress)
            step.terms["consistency"] = weight * term
            step.logs.update(weight=weight, mask_share=share)
        return step

    def follow_teacher(
        self, student: Tensor, target: Tensor, uncertainty: Tensor, progress: Progress
    ) -> tuple[Tensor, Tensor | float]:
        """The consistency of logits (U, K, X, Y, Z) with the teacher's, and the share of voxels that count."""
        if self.weighting == "uncertainty":
            return losses.uncertainty_weighted(student, target, ramps.falling_exponent(progress.fraction)), 1.0
        if self.mask == "certain":
            mask = uncertainty < ramps.uncertainty_threshold(progress.fraction, student.shape[1])
        elif self.mask == "ambiguous":
            entropy = losses.entropy(student.detach().float().softmax(1))
            mask = entropy >= ramps.ambiguity_threshold(progress.fraction, student.shape[1])
        else:
            mask = torch.ones_like(uncertainty, dtype=torch.bool)
        return losses.consistency(student, target, mask, self.consistency), mask.float().mean()

    @torch.no_grad()
    def teach(self, image: Tensor, progress: Progress) -> tuple[Tensor, Tensor]:
        """Logits (U, K, X, Y, Z) of a noisy pass over images (U, 1, X, Y, Z), and the entropy (U, X, Y, Z) of others.

        All passes are one batch, so batch norm sees them together. Without other passes, the entropy is that of the
        single pass.
        """
        many = image.repeat(self.passes + 1, 1, 1, 1, 1)  # (U (T + 1), 1, X, Y, Z), pass by pass
        generator = progress.generator("noise", image.device)
        noise = torch.randn(many.shape, generator=generator, device=image.device)
        noisy = many + (NOISE * noise).clamp_(-NOISE_LIMIT, NOISE_LIMIT)
        logits = self.teacher(noisy.contiguous(memory_format=layout(image))).float()
        target, others = logits[: len(image)], logits[len(image) :]
        if not self.passes:
            return target, losses.entropy(target.softmax(1))
        mean = others.softmax(1).unflatten(0, (self.passes, len(image))).mean(0)  # (U, K, X, Y, Z)
        return target, losses.entropy(mean)

    def after_step(self, progress: Progress) -> None:
        """Update the teacher, including batch-norm statistics, towards the student."""
        follow(self.teacher, self.student, ramps.ema_decay(progress.step))


def layout(x: Tensor) -> torch.memory_format:
    """The memory format that a 5-D tensor already has."""
    plain = x.is_contiguous() and not x.is_contiguous(memory_format=torch.channels_last_3d)
    return torch.contiguous_format if plain else torch.channels_last_3d
