"""Cross Pseudo Supervision (Chen et al. 2021), with an adaptive weight, or with CutMix (French et al. 2020).

Each of two networks learns from the labels and from the other's arg-max (Equations 1 to 3 of the adaptive weight's
paper). The cross terms are weighted by `weight` times a sigmoid ramp that ends at the fraction `ramp` of training.

    adaptive       the unlabeled term is also multiplied by the mean foreground Dice of both networks on the labeled
                   batches of the previous epoch, 0 in the first (Equation 4; their ReadMe: of the same epoch);
                   `measure` names another function of logits and labels to use instead of the Dice
    mix: cutmix    both networks see unlabeled patches that have exchanged a box, and learn from the arg-max of the
                   other network on the unmixed patches, mixed in the same way
    lovasz         weight of Lovasz-Softmax (Berman et al. 2018), added to the cross-entropy of the labeled cases

The supervised loss is only the cross-entropy, as in the code of Chen et al. and of Gupta and Guo. Chen et al. compute
the cross term as one mean over labeled and unlabeled patches; here each has its own mean, so that a weight counts twice
as much as theirs. SSL4MIS has only the unlabeled term. Gupta and Guo alternate optimizer steps on labeled and unlabeled
patches; here each step has both. CPS+CutMix of Chen et al. has three smaller boxes and no cross term of labeled
patches.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, margins, ramps
from lassl.learning.base import Algorithm, MakeNetwork, Progress, Ramp, Step, Weight
from lassl.learning.mixing import cutmix, half_box
from lassl.plumbing.plugins import plugin


class CPS(Algorithm):
    """Two networks that teach each other."""

    epoch: Tensor  # the current epoch
    dice_sum: Tensor
    dice_count: Tensor
    dice_before: Tensor  # mean Dice of the previous epoch

    def __init__(
        self,
        make_network: MakeNetwork,
        *,
        weight: Weight,
        adaptive: bool,
        measure: str = "dice",
        mix: Literal["none", "cutmix"] = "none",
        lovasz: Weight = 0.0,
        ramp: Ramp = 1.0,
    ):
        super().__init__()
        self.measure = plugin("options.measure", measure, {"dice": losses.hard_dice})
        self.first = make_network()
        self.second = make_network()
        self.weight, self.lovasz = ramps.ClimbingWeight(weight, ramp), lovasz
        self.adaptive, self.mix = adaptive, mix
        for name in ("epoch", "dice_sum", "dice_count", "dice_before"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Both networks; the first is evaluated by default."""
        return {"first": self.first, "second": self.second}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms of both networks and the cross terms of labeled and unlabeled cases."""
        labeled = batch.labeled
        image, taught = batch.image, None
        if self.mix == "cutmix" and len(image) > labeled:
            image, taught = self._mixed(batch, progress)
        a, b = self.first(image), self.second(image)  # (N, K, X, Y, Z) each
        dice = (self.measure(a[:labeled], batch.label) + self.measure(b[:labeled], batch.label)) / 2
        self._follow_dice(dice, progress.epoch)
        weight = self.weight.at(ramps.staircase(progress.step, progress.steps))
        own = weight * self.dice_before if self.adaptive else weight  # of the unlabeled term
        terms = {
            "supervised_first": losses.cross_entropy(a[:labeled], batch.label),
            "supervised_second": losses.cross_entropy(b[:labeled], batch.label),
            "cross_labeled": weight * cross_terms(a[:labeled], b[:labeled]),
        }
        if self.lovasz:
            both = [losses.lovasz_softmax(logits[:labeled], batch.label) for logits in (a, b)]
            terms["lovasz"] = self.lovasz * (both[0] + both[1])
        logs: dict[str, Tensor | float] = {"dice": dice, "weight": weight}
        if len(image) > labeled:
            a, b = a[labeled:], b[labeled:]
            cross = cross_terms(a, b) if taught is None else taught_terms(a, b, *taught)
            terms["cross_unlabeled"] = (own.float() if isinstance(own, Tensor) else own) * cross
            logs["weight_unlabeled"] = own
            logs["agreement"] = agreement(a, b)
        return Step(terms, logs)

    @torch.no_grad()
    def _mixed(self, batch: Batch, progress: Progress) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The batch with mixed unlabeled patches, and both networks' labels for them, mixed in the same way."""
        unlabeled = batch.unlabeled_image
        inside = half_box(unlabeled.shape[2:], progress.generator("cutmix", torch.device("cpu")))
        labels = [cutmix(margins.labels(network(unlabeled)), inside) for network in (self.first, self.second)]
        image = torch.cat([batch.labeled_image, cutmix(unlabeled, inside)])
        return image, (labels[0], labels[1])

    @torch.no_grad()
    def _follow_dice(self, dice: Tensor, epoch: int) -> None:
        """Add to the epoch's mean; when a new epoch begins, the old mean becomes `dice_before`.

        Does not read the numbers, which would require waiting for a GPU.
        """
        begins = self.epoch != epoch
        self.dice_before.copy_(torch.where(begins, self.dice_sum / self.dice_count, self.dice_before))
        for running in (self.dice_sum, self.dice_count):
            running.masked_fill_(begins, 0)
        self.epoch.fill_(epoch)
        self.dice_sum += dice
        self.dice_count += 1


def cross_terms(a: Tensor, b: Tensor) -> Tensor:
    """Cross-entropy of each network against the other's pseudo-label, summed (Equation 2)."""
    return taught_terms(a, b, margins.labels(a), margins.labels(b))


def taught_terms(a: Tensor, b: Tensor, label_a: Tensor, label_b: Tensor) -> Tensor:
    """Cross-entropy of each network against the other's label, summed."""
    return losses.cross_entropy(a, label_b) + losses.cross_entropy(b, label_a)


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Foreground Dice between the two networks' predictions."""
    return losses.hard_dice(a, margins.labels(b))
