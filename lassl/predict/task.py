"""What is asked of trained networks: which of them, where they run, which maps they make; and how far they are."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from lassl.model.placement import Placement, multiplies_bf16, place
from lassl.plumbing.errors import LasslError
from lassl.predict.settings import PredictSettings
from lassl.settings.sections import Compute

PROBABILITY, UNCERTAINTY = "probability", "uncertainty"


@dataclass
class Progress:
    """How far a scan is, in windows that a network sees: `done` of `total`, which is an estimate at first.

    `moved` is called after each forward pass, `slow` once before the passes of an uncertainty, with the seconds that
    they will take.
    """

    moved: Callable[[int, int], None] = lambda done, total: None
    slow: Callable[[float], None] = lambda seconds: None
    done: int = 0
    total: int = 0
    told: bool = False
    started: float = field(default_factory=time.perf_counter)

    @contextmanager
    def counting(self, networks: Mapping[str, nn.Module]) -> Iterator[None]:
        """Count the windows that the networks see in this block, and measure the time from its beginning."""
        self.started = time.perf_counter()
        hooks = [network.register_forward_hook(self._count) for network in networks.values()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self, network: nn.Module, images: tuple[Any, ...], logits: Any) -> None:
        self.done += len(images[0])
        self.total = max(self.total, self.done)
        self.moved(self.done, self.total)

    def expect(self, windows: int) -> None:
        """Take it that so many windows are still to come."""
        self.total = self.done + windows

    def tell_slow(self) -> None:
        """Call `slow` if that was not done yet: nearly all of what is left is the passes of an uncertainty."""
        if not self.told and self.done:
            self.told = True
            self.slow((time.perf_counter() - self.started) / self.done * (self.total - self.done))


@dataclass(frozen=True)
class Task:
    """Networks whose mean is wanted, in evaluation mode; how they predict and where they run; what is asked for.

    `normalized` scans are taken as they are. `passes` Monte-Carlo dropout passes make an uncertainty, 0 none.
    `memory_gib` bounds the arrays of one scan, see `needed_bytes`. `progress` is of one scan.
    """

    networks: Mapping[str, nn.Module]
    settings: PredictSettings
    placement: Placement
    normalized: bool = False
    passes: int = 0
    memory_gib: float = 4.0
    progress: Progress = field(default_factory=Progress)

    @property
    def structures(self) -> int:
        """The number of structures that the networks find."""
        return len(self.settings.structures or [None])

    @property
    def channels(self) -> int:
        """The number of channels of a scan that the networks see."""
        return len(self.settings.channels or [None])

    @property
    def maps(self) -> dict[str, int]:
        """The maps that are asked for: name -> number of volumes, one probability for each structure."""
        return {PROBABILITY: self.structures, **({UNCERTAINTY: 1} if self.passes else {})}

    @property
    def probabilities(self) -> list[str]:
        """A name for the probability of each structure, in their order; with one structure PROBABILITY."""
        return [f"{PROBABILITY}-{name}" for name in self.settings.structures or ()] or [PROBABILITY]


def placement_for(settings: PredictSettings, device: str = "auto", precision: str | None = None) -> Placement:
    """Choose device (auto, cpu or cuda) and number format: that asked for, else that of the training.

    On a CPU that does not multiply the training's format, fp32 takes its place. Notes a format that will be slow.
    Raises LasslError for a device or format that the machine lacks.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise LasslError("--device: found no CUDA device, asked for cuda; use auto or cpu")
    on_cpu = device == "cpu" or not cuda
    slow = on_cpu and (settings.precision == "fp16" or (settings.precision == "bf16" and not multiplies_bf16()))
    default = "fp32" if slow else settings.precision
    layout = {"channels_last": settings.channels_last, "deterministic": False, "threads": torch.get_num_threads()}
    return place(Compute.model_validate({"device": device, "precision": precision or default, **layout}))
