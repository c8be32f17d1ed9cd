"""What is asked of trained networks: which of them, where they run, which maps they make."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from lassl.model.placement import Placement, multiplies_bf16, place
from lassl.plumbing.errors import LasslError
from lassl.predict.settings import PredictSettings
from lassl.settings.sections import Compute

PROBABILITY, UNCERTAINTY = "probability", "uncertainty"


@dataclass(frozen=True)
class Task:
    """Networks whose mean is wanted, in evaluation mode; how they predict and where they run; what is asked for.

    `normalized` scans are taken as they are. `passes` Monte-Carlo dropout passes make an uncertainty, 0 none.
    `memory_gib` bounds the arrays of one scan, see `needed_bytes`.
    """

    networks: Mapping[str, nn.Module]
    settings: PredictSettings
    placement: Placement
    normalized: bool = False
    passes: int = 0
    memory_gib: float = 4.0

    @property
    def maps(self) -> list[str]:
        """Names of the maps that are asked for."""
        return [PROBABILITY, UNCERTAINTY] if self.passes else [PROBABILITY]


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
