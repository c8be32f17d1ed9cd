"""AD-MT (Zhao et al. 2024): two teachers follow a student alternately, and label for it together.

The teachers take turns in random periods of 1 to `period` steps. In the first teacher's periods, the student sees
unlabeled patches with changed contrast, brightness and noise (perturbations.py); in the second's, patches with a box of
half the volume of another patch (CutMix, applied to labels and confidences as well). The teacher in turn is updated, as
the running average of the student, up to `decay`. With H the entropy in bits and t, u the teachers' softmax on the
unchanged patches:

    label   arg-max of e^-H(t) t + e^-H(u) u, normalized, whose greatest probability is the confidence; where teachers
            disagree, and the student's own label of the voxel differs and is more confident, the student's
    loss    supervised + weight x mean CE of the student over the voxels of confidence `threshold` or more

The weight climbs by a sigmoid ramp until the fraction `ramp` of training, like the authors' at 6000 of 15000 steps.

Differences from the authors: our teachers begin as copies of the student (theirs: with their own random weights). Both
have dropout on and average its batch-norm statistics (theirs: the resting one is in evaluation mode), and are updated
from the first step (theirs: copies of the student until step 80). The box has half the volume and is the same for all
patches (theirs: one each, with 22 % of the volume on average, cut off at the border). Brightness shifts by a share of
the patch's mean before the change of contrast (theirs: after it; the difference is at most 5 % of the patch's range).
CutMix moves the student's own labels with the patches, while their code leaves them in place.
"""

import math
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Confidence, Decay, MakeNetwork, Progress, Ramp, Step, Weight
from lassl.learning.mixing import cutmix, half_box
from lassl.learning.perturbations import change_intensity
from lassl.learning.regions import kept_shares, within
from lassl.learning.teacher import follow, teacher_of

CPU = torch.device("cpu")
Turn = Annotated[int, Field(ge=1)]  # steps


class ADMT(Algorithm):
    """A student, and two teachers that follow it alternately."""

    def __init__(
        self,
        make_network: MakeNetwork,
        *,
        weight: Weight,
        threshold: Confidence,
        period: Turn,
        decay: Decay,
        ramp: Ramp,
    ):
        super().__init__()
        self.student = make_network()
        self.first, self.second = teacher_of(self.student), teacher_of(self.student)
        self.weight = ramps.ClimbingWeight(weight, ramp)
        self.threshold, self.period, self.decay = threshold, period, decay

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The student, evaluated by default, and both teachers."""
        return {"student": self.student, "teacher": self.first, "second": self.second}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and that of changed patches; logs the kept share and the teachers' agreement."""
        patches, first_turn = len(batch.image), self.first_turn(progress)
        weak, inside = batch.unlabeled_image, half_box(batch.image.shape[2:], progress.generator("cutmix", CPU))
        chance = progress.generator("intensity", weak.device)
        strong = change_intensity(weak, chance) if first_turn else cutmix(weak, inside)
        logits = self.student(torch.cat([batch.image, strong]))  # (N + U, K, X, Y, Z)
        step = self.supervised(logits, batch)
        step.logs["weight"] = weight = self.weight.at(progress.fraction)
        if len(weak):
            with torch.no_grad():
                t, u = self.first(weak), self.second(weak)
                p = together(t, u, logits[batch.labeled : patches])
            p = p if first_turn else cutmix(p, inside)
            label, kept = margins.most_probable(p), above_half(p) >= self.threshold - 0.5
            step.logs.update(kept_shares(label, kept), agreement=losses.hard_dice(t, u.argmax(1)))
            share = kept.float().mean().clamp(min=1 / kept.numel())
            step.terms["strong"] = weight * (losses.cross_entropy(*within(logits[patches:], label, kept)) / share)
        return step

    def first_turn(self, progress: Progress) -> bool:
        """Whether a step is in a period of the first teacher: the first, third, ... for the run's seed."""
        generator = replace(progress, step=0).generator("periods", CPU)
        ends = torch.randint(1, self.period + 1, (progress.steps,), generator=generator).cumsum(0)
        return int(torch.searchsorted(ends, progress.step, right=True)) % 2 == 0

    def after_step(self, progress: Progress) -> None:
        """Update the teacher in turn, which was updated in about half of the steps so far."""
        teacher = self.first if self.first_turn(progress) else self.second
        follow(teacher, self.student, ramps.ema_decay(progress.step // 2, self.decay))


def together(first: Tensor, second: Tensor, student: Tensor) -> Tensor:
    """Probabilities for labels, from logits (U, K, X, Y, Z) of both teachers and the student.

    They are (U, K, X, Y, Z), of two classes the foreground's alone, (U, 1, X, Y, Z).
    """
    t, u, s = (logits.float().softmax(1) for logits in (first, second, student))
    share = ((losses.entropy(u) - losses.entropy(t)) / math.log(2)).sigmoid()  # e^-H(t) / (e^-H(t) + e^-H(u))
    if margins.reduced(first).shape[1] == 1:
        t, u, s = t[:, 1:], u[:, 1:], s[:, 1:]
    p = share.unsqueeze(1) * t + (1 - share.unsqueeze(1)) * u
    of_t, of_u, of_s, of_p = (margins.most_probable(each) for each in (t, u, s, p))
    overruled = (of_t != of_u) & (of_s != of_p) & (above_half(s) > above_half(p))
    return torch.where(overruled.unsqueeze(1), s, p)


def above_half(p: Tensor) -> Tensor:
    """By how much the greatest probability of each voxel exceeds 0.5: (U, 1 or K, X, Y, Z) -> (U, X, Y, Z)."""
    return (p.squeeze(1) - 0.5).abs() if p.shape[1] == 1 else p.amax(1) - 0.5
