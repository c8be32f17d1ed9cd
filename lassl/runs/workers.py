"""How many runs this machine can make at the same time, and on which GPUs."""

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lassl.plumbing.processor import memory_bytes

if TYPE_CHECKING:
    from lassl.settings.config import Config

# memory that a training on the CPU needs: proportional to the number of values in the network's first stage per patch
PAPER_VALUES, PAPER_GIB = 16 * 112 * 112 * 80, 8  # channels times voxels of a patch in the paper profile
LEAST_GIB = 2  # even for the smallest patch
CARDS = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float:
    """The memory of the machine in GiB."""
    return memory_bytes() / 2**30


def training_gib(config: "Config") -> float:
    """An upper bound in GiB for the memory of a training on a CPU."""
    return max(LEAST_GIB, PAPER_GIB * config.network.width * math.prod(config.patches.size) / PAPER_VALUES)


def cards(config: "Config") -> list[str]:
    """The GPUs that trainings may use, as named in CUDA_VISIBLE_DEVICES; empty if they run on the CPU."""
    if config.compute.device == "cpu":
        return []
    import torch  # here, because it is not needed with device=cpu

    count = torch.cuda.device_count()
    named = os.environ.get(CARDS)
    return named.split(",")[:count] if named else [str(card) for card in range(count)]


def workers(config: "Config", count: int | None = None) -> list[Mapping[str, str]]:
    """The environment variables of each worker, in addition to those of this process.

    By default there is one worker per GPU or, without a GPU, one per `compute.threads` cores as long as the memory
    suffices. If there are more workers than GPUs, they share them in turn.
    """
    if found := cards(config):
        return [{CARDS: found[worker % len(found)]} for worker in range(count or len(found))]
    fitting = min(cores() // config.compute.threads, int(memory_gib() // training_gib(config)))
    return [{}] * (count or max(1, fitting))
