"""Weak-to-strong consistency: FixMatch (Sohn et al. 2020) and CutMix with a mean teacher (French et al. 2020).

A teacher labels the unchanged unlabeled patches; the student learns these labels on a strongly changed version:

    loss       supervised + weight(t) sum over kept voxels of CE(student(strong), arg-max of the teacher) / all voxels
    kept       voxels where the teacher's greatest probability is `threshold` or more
    strong     intensity: changes contrast, brightness and noise (perturbations.py); mix: cutmix puts a box of half the
               volume of another patch into each, also for pseudo-labels and kept voxels
    teacher    student: the student itself, no gradient (FixMatch) | ema: its running average, up to `decay`
    ramp       fraction of training at which the weight is full; 0: from the first step, as by both groups of authors

FixMatch here uses changed intensity, with the student as its own teacher. The weak view is the rotated and flipped
patch of all methods. It is a separate batch and updates the running statistics of batch norm (theirs: one batch with
the rest). The authors, who classify images, use only the cross-entropy for labels and seven unlabeled images per
labeled one, and score a running average.

CutMix-MT here differs from FixMatch only in the change and the teacher. French et al. have another loss: the squared
difference to the teacher's softmax, weighted by the share of voxels over 0.97. At the same weight, 1.0, the gradient
here is 10 times as large early in training and 1.5 times late. Their average has a decay of 0.99 from the first step
(here: first a plain mean) and is scored; their boxes differ between images. Dropout is on in the teacher's passes, here
and there.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Confidence, Decay, MakeNetwork, Progress, Ramp, Step, Weight
from lassl.learning.mixing import cutmix, half_box
from lassl.learning.perturbations import change_intensity
from lassl.learning.regions import kept_shares, within
from lassl.learning.teacher import follow, teacher_of


class FixMatch(Algorithm):
    """A student that learns on changed patches what a teacher sees on the unchanged ones."""

    def __init__(
        self, make_network: MakeNetwork, *, weight: Weight, threshold: Confidence, mix: Literal["none", "cutmix"],
        intensity: bool, teacher: Literal["student", "ema"], decay: Decay, ramp: Ramp,
    ):  # fmt: skip
        super().__init__()
        if mix == "none" and not intensity:
            raise ValueError("mix is 'none' and intensity false; expected one change of the patches at least")
        self.student = make_network()
        self.average = teacher_of(self.student) if teacher == "ema" else None
        self.weight, self.threshold, self.decay = ramps.ClimbingWeight(weight, ramp), threshold, decay
        self.mix, self.intensity = mix, intensity

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The student, evaluated by default, and its average if that is the teacher."""
        return {"student": self.student, **({"teacher": self.average} if self.average else {})}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and that of the changed patches; logs the shares of what is kept."""
        image, unlabeled = batch.image, batch.unlabeled_image
        if len(unlabeled):
            strong, label, kept = self.changed(unlabeled, progress)
            image = torch.cat([batch.labeled_image, strong])
        logits = self.student(image)  # (N, K, X, Y, Z)
        step = self.supervised(logits, batch)
        step.logs["weight"] = weight = self.weight.at(progress.fraction)
        if len(unlabeled):
            step.terms["strong"] = weight * losses.cross_entropy(*within(logits[batch.labeled :], label, kept))
            step.logs.update(kept_shares(label, kept))
        return step

    @torch.no_grad()
    def changed(self, patches: Tensor, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """Strong versions of patches (U, 1, X, Y, Z), their pseudo-labels and kept voxels, both (U, X, Y, Z)."""
        label, kept = margins.confident((self.average or self.student)(patches), self.threshold)
        if self.intensity:
            patches = change_intensity(patches, progress.generator("intensity", patches.device))
        if self.mix == "none":
            return patches, label, kept
        inside = half_box(patches.shape[2:], progress.generator("cutmix", torch.device("cpu")))
        return cutmix(patches, inside), cutmix(label, inside), cutmix(kept, inside)

    def after_step(self, progress: Progress) -> None:
        """Move the average, batch-norm statistics included, towards the student."""
        if self.average:
            follow(self.average, self.student, ramps.ema_decay(progress.step, self.decay))
