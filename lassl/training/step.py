"""The state of a training, and the step that changes it."""

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
READ_EVERY = 25  # steps whose values a GPU transfers together, because each transfer makes it wait

Weights = dict[str, Tensor]
Values = dict[str, Tensor | float]


class NotFinite(Exception):
    """The loss at `step` is infinite or NaN; the message has the values of the step."""

    def __init__(self, values: Mapping[str, float], step: int):
        told = ", ".join(f"{name} {value:g}" for name, value in values.items() if name != "loss")
        super().__init__(f"step {step}: the loss is not finite ({told})")
        self.step = step


@dataclass
class State:
    """Everything that changes while a run trains."""

    algorithm: Algorithm
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0  # steps done
    seconds: float = 0.0  # spent on them
    resumed: int = 0  # how often the training resumed from a checkpoint
    curves: list[dict[str, float]] = field(default_factory=list)  # values of each step read so far
    unread: list[Values] = field(default_factory=list)  # values of the later steps, still on the GPU
    snapshots: dict[int, Weights] = field(default_factory=dict)  # of the default network, by steps done

    def advance(self, batch: Batch, progress: Progress, rates: Sequence[float], placement: Placement) -> None:
        """Make one step with a learning rate per group of weights: forward, backward, update.

        Raises NotFinite before the update, so that on a CPU the state that gave the loss is kept. A GPU is not waited
        for, and has made up to READ_EVERY - 1 more steps by then.
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
        """Update the weights along the gradient of a loss."""
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def read(self) -> None:
        """Read the values of all steps so far into `curves`, up to a non-finite loss. Raises NotFinite."""
        unread, self.unread = as_floats(self.unread), []
        for values in unread:
            if not math.isfinite(values["loss"]):
                raise NotFinite(values, len(self.curves))
            self.curves.append(values)

    def take_snapshot(self) -> None:
        """Keep a copy of the default network's present weights."""
        network = next(iter(self.algorithm.networks.values()))
        self.snapshots[self.step] = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """The state as tensors and plain values, for a checkpoint. Raises NotFinite."""
        self.read()
        plain = {name: getattr(self, name) for name in PLAIN}
        return plain | {name: getattr(self, name).state_dict() for name in PARTS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by `state_dict`."""
        for name in PLAIN:
            setattr(self, name, state[name])
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])


def sgd(algorithm: Algorithm, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Make one optimizer for all trainable weights; SGD works weight by weight, so this equals one per network.

    Every trainable network except the first has its own group; all other weights are in the group of the first.
    """
    groups = [[p for p in network.parameters() if p.requires_grad] for network in algorithm.networks.values()]
    later = [group for group in groups[1:] if group]
    apart = {id(p) for group in later for p in group}
    first = [p for p in algorithm.parameters() if p.requires_grad and id(p) not in apart]
    named = [{"params": group} for group in (first, *later)]
    optimizer = torch.optim.SGD(named, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    for p in (p for group in named for p in group["params"]):
        # torch does not write it if loss scaling skips the first step, but reads it in the next (seen with 2.11)
        optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    return optimizer


def forward(algorithm: Algorithm, batch: Batch, progress: Progress, placement: Placement) -> tuple[Tensor, Values]:
    """Compute the loss of a batch; returns it with the values to read: its terms, their sum, and logged values."""
    torch.manual_seed(stream_seed(progress.seed, "dropout", progress.step))
    with placement.autocast():
        step = algorithm.losses(Batch(placement.tensor(batch.image), placement.tensor(batch.label)), progress)
    loss = torch.stack(list(step.terms.values())).sum()
    terms = {name: term.detach() for name, term in step.terms.items()}
    return loss, {**terms, "loss": loss.detach(), **step.logs}


def as_floats(steps: Sequence[Values]) -> list[dict[str, float]]:
    """Convert the values of steps to Python numbers, with a single transfer from the device."""
    tensors = [v.detach().double() for values in steps for v in values.values() if isinstance(v, Tensor)]
    numbers = iter(torch.stack(tensors).tolist() if tensors else [])
    return [{name: next(numbers) if isinstance(v, Tensor) else v for name, v in values.items()} for values in steps]
