"""All that changes while a run trains, and the step that changes it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lassl.data.patches import Batch
from lassl.learning.base import Algorithm, Progress
from lassl.model.placement import Placement
from lassl.seeds import stream_seed

PLAIN = ("step", "seconds", "resumed", "curves", "snapshots")
PARTS = ("algorithm", "optimizer", "scaler")
READ_EVERY = 25  # steps whose values a GPU hands over together, since it would stand still for each one alone

Weights = dict[str, Tensor]
Values = dict[str, Tensor | float]


class NotFinite(Exception):
    """A loss became infinite or no number, at `step`, whose values are told."""

    def __init__(self, values: Mapping[str, float], step: int):
        told = ", ".join(f"{name} {value:g}" for name, value in values.items() if name != "loss")
        super().__init__(f"step {step}: the loss is not finite ({told})")
        self.step = step


@dataclass
class State:
    """All that changes while a run trains."""

    algorithm: Algorithm
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0  # steps done
    seconds: float = 0.0  # spent on them
    resumed: int = 0  # times that the training went on from a checkpoint
    curves: list[dict[str, float]] = field(default_factory=list)  # every step's values, as far as they are read
    unread: list[Values] = field(default_factory=list)  # those of the steps after these, still on the GPU
    snapshots: dict[int, Weights] = field(default_factory=dict)  # of the default network, by steps done

    def advance(self, batch: Batch, progress: Progress, rates: Sequence[float], placement: Placement) -> None:
        """Make one step at a learning rate for each group of weights: forward, backward, update.

        Raises NotFinite before the update, so that a CPU keeps the state that gave the loss. A GPU, which is not waited
        for, has made up to READ_EVERY - 1 more steps by then.
        """
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        loss, values = forward(self.algorithm, batch, progress, placement)
        self.unread.append(values | {"learning_rate": rates[0]})
        if placement.device.type == "cpu" or len(self.unread) == READ_EVERY or self.step + 1 == progress.steps:
            self.read()
        self.update(loss)
        self.algorithm.after_step(progress)
        self.step += 1

    def update(self, loss: Tensor) -> None:
        """Move the weights along the gradient of a loss."""
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def read(self) -> None:
        """Bring the values of all steps so far to `curves`, up to one whose loss is not finite. Raises NotFinite."""
        unread, self.unread = as_floats(self.unread), []
        for values in unread:
            if not math.isfinite(values["loss"]):
                raise NotFinite(values, len(self.curves))
            self.curves.append(values)

    def take_snapshot(self) -> None:
        """Keep a copy of the default network's weights as they are now."""
        network = next(iter(self.algorithm.networks.values()))
        self.snapshots[self.step] = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Give tensors and plain values, as a checkpoint stores them. Raises NotFinite."""
        self.read()
        plain = {name: getattr(self, name) for name in PLAIN}
        return plain | {name: getattr(self, name).state_dict() for name in PARTS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what `state` was taken from."""
        for name in PLAIN:
            setattr(self, name, state[name])
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])


def sgd(algorithm: Algorithm, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Make the one optimizer of all trainable weights: working weight by weight, it equals one for each network.

    Every trainable network but the first has a group of its own; what else there is goes with the first.
    """
    groups = [[p for p in network.parameters() if p.requires_grad] for network in algorithm.networks.values()]
    later = [group for group in groups[1:] if group]
    apart = {id(p) for group in later for p in group}
    first = [p for p in algorithm.parameters() if p.requires_grad and id(p) not in apart]
    named = [{"params": group} for group in (first, *later)]
    optimizer = torch.optim.SGD(named, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    for p in (p for group in named for p in group["params"]):
        # torch leaves it unwritten where loss scaling skips the first step, and reads it in the next (seen with 2.11)
        optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    return optimizer


def forward(algorithm: Algorithm, batch: Batch, progress: Progress, placement: Placement) -> tuple[Tensor, Values]:
    """Compute the loss of a batch; gives it, and as values to read its terms, their sum and what is logged."""
    torch.manual_seed(stream_seed(progress.seed, "dropout", progress.step))
    with placement.autocast():
        step = algorithm.losses(Batch(placement.tensor(batch.image), placement.tensor(batch.label)), progress)
    loss = torch.stack(list(step.terms.values())).sum()
    terms = {name: term.detach() for name, term in step.terms.items()}
    return loss, {**terms, "loss": loss.detach(), **step.logs}


def as_floats(steps: Sequence[Values]) -> list[dict[str, float]]:
    """Bring the values of steps to Python, all that are on a device in one transfer."""
    tensors = [v.detach().double() for values in steps for v in values.values() if isinstance(v, Tensor)]
    numbers = iter(torch.stack(tensors).tolist() if tensors else [])
    return [{name: next(numbers) if isinstance(v, Tensor) else v for name, v in values.items()} for values in steps]
