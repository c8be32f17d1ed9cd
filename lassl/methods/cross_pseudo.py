"""Cross Pseudo Supervision (Chen et al. 2021) and the adaptive loss weight for its unlabeled term."""

import torch
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, MakeNetwork, Progress, Step
from lassl.plumbing.plugins import plugin


class CrossPseudo(Algorithm):
    """Two networks, each learning from the labels and from the other's arg-max (Equations 1 to 3 of the paper).

    The cross terms are weighted by `weight` times the sigmoid ramp. With `adaptive` (Equation 4) the unlabeled one
    is also multiplied by the mean foreground Dice of both networks on the labeled batches of the epoch before,
    0 in the first epoch; `measure` names another function of logits and labels to take instead of the Dice.
    """

    epoch: Tensor  # the epoch that is being summed up
    dice_sum: Tensor
    dice_count: Tensor
    dice_before: Tensor  # mean Dice of the epoch before

    def __init__(self, make_network: MakeNetwork, *, weight: float, adaptive: bool, measure: str = "dice"):
        super().__init__()
        self.measure = plugin("options.measure", measure, {"dice": losses.hard_dice})
        self.first = make_network()
        self.second = make_network()
        self.weight = weight
        self.adaptive = adaptive
        for name in ("epoch", "dice_sum", "dice_count", "dice_before"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Both networks; the first is evaluated by default."""
        return {"first": self.first, "second": self.second}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms of both networks and the cross terms of labeled and unlabeled cases."""
        labeled = len(batch.label)
        a, b = self.first(batch.image), self.second(batch.image)  # (N, 2, X, Y, Z) each
        dice = (self.measure(a[:labeled], batch.label) + self.measure(b[:labeled], batch.label)) / 2
        self._follow_dice(dice, progress.epoch)
        weight = self.weight * ramps.sigmoid_ramp(ramps.staircase(progress.step, progress.steps))
        adaptive = float(self.dice_before) if self.adaptive else 1.0
        terms = {
            "supervised_first": losses.cross_entropy(a[:labeled], batch.label),
            "supervised_second": losses.cross_entropy(b[:labeled], batch.label),
            "cross_labeled": weight * cross_terms(a[:labeled], b[:labeled]),
        }
        logs: dict[str, Tensor | float] = {"dice": dice, "weight": weight}
        if len(batch.image) > labeled:
            terms["cross_unlabeled"] = weight * adaptive * cross_terms(a[labeled:], b[labeled:])
            logs["weight_unlabeled"] = weight * adaptive
            logs["agreement"] = agreement(a[labeled:], b[labeled:])
        return Step(terms, logs)

    @torch.no_grad()
    def _follow_dice(self, dice: Tensor, epoch: int) -> None:
        """Add to the epoch's mean; when a new epoch begins, the old one's mean becomes `dice_before`."""
        if epoch != int(self.epoch):
            self.dice_before.copy_(self.dice_sum / self.dice_count)
            self.dice_sum.zero_()
            self.dice_count.zero_()
            self.epoch.fill_(epoch)
        self.dice_sum += dice
        self.dice_count += 1


def pseudo_label(logits: Tensor) -> Tensor:
    """Arg-max of logits (N, 2, X, Y, Z) as labels (N, X, Y, Z); no gradient passes."""
    return (logits[:, 1] > logits[:, 0]).to(torch.uint8)


def cross_terms(a: Tensor, b: Tensor) -> Tensor:
    """Cross-entropy of each network against the other's pseudo-label, summed (Equation 2)."""
    return losses.cross_entropy(a, pseudo_label(b)) + losses.cross_entropy(b, pseudo_label(a))


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Foreground Dice between the two networks' predictions."""
    return losses.hard_dice(a, pseudo_label(b))
