"""All that changes while a run trains, and the step that changes it."""

from collections.abc import Sequence
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


Weights = dict[str, Tensor]


class NotFinite(Exception):
    """A loss became infinite or no number."""


@dataclass
class State:
    """All that changes while a run trains."""

    algorithm: Algorithm
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0  # steps done
    seconds: float = 0.0  # spent on them
    resumed: int = 0  # times that the training went on from a checkpoint
    curves: list[dict[str, float]] = field(default_factory=list)  # every step's values
    snapshots: dict[int, Weights] = field(default_factory=dict)  # of the default network, by steps done

    def advance(self, batch: Batch, progress: Progress, rates: Sequence[float], placement: Placement) -> None:
        """Make one step at a learning rate for each group of weights. Raises NotFinite."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        values = one_step(self.algorithm, batch, progress, placement, self.optimizer, self.scaler)
        self.curves.append(values | {"learning_rate": rates[0]})
        self.step += 1

    def take_snapshot(self) -> None:
        """Keep a copy of the default network's weights as they are now."""
        network = next(iter(self.algorithm.networks.values()))
        self.snapshots[self.step] = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}

    def content(self) -> dict[str, Any]:
        """Give tensors and plain values, as a checkpoint stores them."""
        plain = {name: getattr(self, name) for name in PLAIN}
        return plain | {name: getattr(self, name).state_dict() for name in PARTS}

    def restore(self, content: dict[str, Any]) -> None:
        """Become what `content` was taken from."""
        for name in PLAIN:
            setattr(self, name, content[name])
        for name in PARTS:
            getattr(self, name).load_state_dict(content[name])


def sgd(algorithm: Algorithm, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Make the one optimizer of all trainable weights: working weight by weight, it equals one for each network.

    Every trainable network but the first has a group of its own; what else there is goes with the first.
    """
    groups = [[p for p in network.parameters() if p.requires_grad] for network in algorithm.networks.values()]
    later = [group for group in groups[1:] if group]
    apart = {id(p) for group in later for p in group}
    first = [p for p in algorithm.parameters() if p.requires_grad and id(p) not in apart]
    named = [{"params": group} for group in (first, *later)]
    return torch.optim.SGD(named, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)


def one_step(
    algorithm: Algorithm,
    batch: Batch,
    progress: Progress,
    placement: Placement,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> dict[str, float]:
    """Forward, backward, update; gives the terms, their sum, the logged values. Raises NotFinite before the update."""
    torch.manual_seed(stream_seed(progress.seed, "dropout", progress.step))
    with placement.autocast():
        step = algorithm.losses(Batch(placement.tensor(batch.image), placement.tensor(batch.label)), progress)
    loss = torch.stack(list(step.terms.values())).sum()
    values = as_floats({**step.terms, "loss": loss, **step.logs})
    if not torch.isfinite(loss):
        terms = ", ".join(f"{name} {values[name]:g}" for name in step.terms)
        raise NotFinite(f"step {progress.step}: the loss is not finite ({terms})")
    optimizer.zero_grad()
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    scaler.step(optimizer)
    scaler.update()
    algorithm.after_step(progress)
    return values


def as_floats(values: dict[str, Tensor | float]) -> dict[str, float]:
    """Bring scalars to Python, those on a device in one transfer."""
    tensors = {name: v.detach().float() for name, v in values.items() if isinstance(v, Tensor)}
    numbers = torch.stack(list(tensors.values())).tolist()
    return {**values, **dict(zip(tensors, numbers, strict=True))}
