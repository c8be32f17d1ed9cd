"""The interface of all training algorithms."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.seeds import stream_seed

MakeNetwork = Callable[[], nn.Module]

# types of options in constructors of algorithms; params.yaml is checked against them
Weight = Annotated[float, Field(ge=0)]  # of a term of the loss
Ramp = Annotated[float, Field(ge=0, le=1)]  # fraction of training at which a weight is full; 0: from the first step
Decay = Annotated[float, Field(ge=0, le=1)]  # share of its own weights that a teacher keeps
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Confidence = Annotated[float, Field(ge=0.5, lt=1)]  # of the most probable class
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Progress:
    """The progress of a training: step (from 0) of `steps`, passes over the labeled cases, and the run's seed."""

    step: int
    steps: int
    epoch: int
    seed: int

    @property
    def fraction(self) -> float:
        """Share of the training that is done, in [0, 1)."""
        return self.step / self.steps

    def generator(self, purpose: str, device: torch.device) -> torch.Generator:
        """A random generator for one purpose in this step, independent of all others."""
        return torch.Generator(device).manual_seed(stream_seed(self.seed, purpose, self.step))


@dataclass(frozen=True)
class Step:
    """Weighted scalars whose sum is the loss, and values to log. Every method logs "dice" of its labeled patches."""

    terms: dict[str, Tensor]
    logs: dict[str, Tensor | float]


class Algorithm(nn.Module, ABC):
    """A way to train. One loop runs them all (`fit` in lassl/training/loop.py, `State.advance`), in short.

        algorithm = Mine(make_network, **options)      # weights drawn from the run's seed
        optimizer = SGD(a group for each network that has trainable weights)
        for each step:
            batch = patches of labeled cases, then of unlabeled ones
            learning rate of each group = lr x schedule
            step = algorithm.losses(batch, progress)   # hook 1: what to minimize
            sum of step.terms -> backward -> optimizer; a sum that is not finite ends the run
            algorithm.after_step(progress)             # hook 2: what follows, such as updating a teacher
            curves += step.terms, step.logs
        model = algorithm.networks

    The constructor takes a function that makes a network, then the options of the method as keyword-only arguments.
    Most `losses` begin with self.supervised(logits, batch) and add their own terms, each times a weight
    (ramps.ClimbingWeight); batch.unlabeled_image has the other patches. Everything that changes in training has to be a
    parameter or a buffer, because a checkpoint keeps state_dict() and the optimizer's state, but no other attribute.
    Random numbers come from progress.generator, or from torch's generator (dropout), which is seeded at each step.

    `network_parts` names the parts of a network that it uses besides a forward pass. A network needs them all.
    """

    network_parts: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """The networks that evaluation can use, by name; the first is the default."""

    @abstractmethod
    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the loss terms of a batch, whose gradients train the networks."""

    @staticmethod
    def supervised(logits: Tensor, batch: Batch) -> Step:
        """Compute the field's supervised loss of a batch and log "dice"; a method adds its own terms and logs.

        Only the first L logits (N, K, X, Y, Z) count, those of the labeled patches; the others may be missing.
        """
        taught = logits[: batch.labeled]
        return Step(supervised_terms(taught, batch.label), {"dice": losses.hard_dice(taught, batch.label)})

    def after_step(self, progress: Progress) -> None:
        """Do what follows the optimizer's step; by default nothing."""


def supervised_terms(logits: Tensor, label: Tensor) -> dict[str, Tensor]:
    """The field's supervised loss, 0.5 (cross-entropy + Dice), from logits (L, K, X, Y, Z) and labels (L, X, Y, Z)."""
    return {
        "cross_entropy": 0.5 * losses.cross_entropy(logits, label),
        "dice_loss": 0.5 * losses.dice_loss(logits, label),
    }
