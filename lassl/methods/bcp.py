"""BCP, bidirectional copy-paste (Bai et al. 2023): labeled and unlabeled patches are pasted into each other.

M is 0 in a box of `box` times the patch's sides at a random place, the same for all patches of a step, and 1 around it.
A step's patches are split into halves a and b; x is a labeled patch with label y, u an unlabeled one with pseudo-label
q.

    pre-training   before the fraction `pretrain` of training: x_a M + x_b (1 - M), same for labels, supervised loss S
    self-training  x_a M + u_a (1 - M), labels y_a M + q_a (1 - M), and u_b M + x_b (1 - M), labels q_b M + y_b (1 - M):
                   S over the voxels of y plus `weight` (alpha) times S over those of q, summed over the two mixtures
    q              arg-max of the teacher; with `largest_component`, the largest component of each patch and structure
    teacher        a copy of the student until the switch, then its running average (`decay`)

As in the authors' code, there is no ramp, and the teacher's passes have dropout on.

Differences from the authors: S is the baseline's loss, with the Dice of the foreground, a squared denominator, over all
patches of a mixture (theirs: the mean of both classes, linear denominator, patch by patch). Both mixtures pass through
the student as one batch, and all unlabeled patches through the teacher. The teacher's average begins as a plain mean,
including batch-norm statistics, so that it forgets pre-training within a few steps (theirs keeps 0.37 of it after 100).
The switch uses the last weights, not those best on test cases, and keeps the optimizer's momentum. The rate falls along
`poly` from the first step to the last; theirs is constant for 2000 steps of pre-training and 2500 of 15000 after that,
then falls tenfold every 2500, and its mean factor in self-training is 0.19 (here 0.47).
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, Decay, MakeNetwork, Progress, Share, Step, Weight
from lassl.learning.mixing import box_of, cutmix
from lassl.learning.regions import largest_components, terms_within, within
from lassl.learning.teacher import follow, teacher_of

Pretrain = Annotated[float, Field(ge=0, lt=1)]  # fraction of training


class BCP(Algorithm):
    """A student that learns from mixtures, and the teacher that labels their unlabeled voxels."""

    def __init__(
        self, make_network: MakeNetwork, *,
        weight: Weight, box: Share, pretrain: Pretrain, largest_component: bool, decay: Decay,
    ):  # fmt: skip
        super().__init__()
        self.student = make_network()
        self.teacher = teacher_of(self.student)
        self.weight, self.box, self.pretrain, self.decay = weight, box, pretrain, decay
        self.largest_component = largest_component

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Student and teacher; the student is evaluated by default."""
        return {"student": self.student, "teacher": self.teacher}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms over labeled voxels and the weighted one over others, 0 in pre-training."""
        size = batch.image.shape[2:]
        sides = [max(int(self.box * n), 1) for n in size]
        inside = box_of(size, sides, progress.generator("copy_paste", torch.device("cpu"))).to(batch.image.device)
        image, label = batch.labeled_image, batch.label
        unlabeled = batch.unlabeled_image[: batch.labeled]
        pairs = len(unlabeled)
        if self.since_switch(progress) < 0 or not pairs:
            weight, half = 0.0, (len(label) + 1) // 2
            image, label = cutmix(image, inside)[:half], cutmix(label, inside)[:half]
            known = torch.ones_like(label, dtype=torch.bool)
        else:
            weight, half = self.weight, (pairs + 1) // 2
            known = torch.stack([~inside] * half + [inside] * (pairs - half))
            image = torch.where(known.unsqueeze(1), image[:pairs], unlabeled)
            label = torch.where(known, label[:pairs], self.pseudo_label(unlabeled))
        logits = self.student(image)  # (N, K, X, Y, Z)
        terms = terms_within(logits, label, known, half)
        terms["copy_paste"] = weight * torch.stack([*terms_within(logits, label, ~known, half).values()]).sum()
        dice, agreement = (losses.hard_dice(*within(logits, label, region)) for region in (known, ~known))
        return Step(terms, {"dice": dice, "weight": weight, "agreement": agreement})

    @torch.no_grad()
    def pseudo_label(self, image: Tensor) -> Tensor:
        """The teacher's arg-max on images (U, 1, X, Y, Z), or its largest components: uint8 (U, X, Y, Z)."""
        label = margins.labels(self.teacher(image))
        return largest_components(label) if self.largest_component else label

    def since_switch(self, progress: Progress) -> int:
        """Steps of self-training before this one; below 0 in pre-training."""
        return progress.step - math.ceil(self.pretrain * progress.steps)

    def after_step(self, progress: Progress) -> None:
        """Update the teacher, including batch-norm statistics; until the switch it equals the student."""
        follow(self.teacher, self.student, ramps.ema_decay(max(self.since_switch(progress), 0), self.decay))
