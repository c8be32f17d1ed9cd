"""How many runs this machine makes side by side, and on which of its cards."""

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lassl.settings.config import Config

# memory that a training on the CPU takes: in proportion to the values of the network's first stage for one patch
PAPER_VALUES, PAPER_GIB = 16 * 112 * 112 * 80, 8  # channels times voxels of a patch in the paper profile
LEAST_GIB = 2  # however small the patch
CARDS = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float:
    """The memory of the machine."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)


def training_gib(config: "Config") -> float:
    """The memory that a training takes on a CPU, from above."""
    return max(LEAST_GIB, PAPER_GIB * config.network.width * math.prod(config.patches.size) / PAPER_VALUES)


def cards(config: "Config") -> list[str]:
    """The cards that trainings may use, as CUDA_VISIBLE_DEVICES calls them; none where they run on the CPU."""
    if config.compute.device == "cpu":
        return []
    import torch  # here: who asks for a CPU needs no torch

    count = torch.cuda.device_count()
    named = os.environ.get(CARDS)
    return named.split(",")[:count] if named else [str(card) for card in range(count)]


def workers(config: "Config", count: int | None = None) -> list[Mapping[str, str]]:
    """What each worker has in its environment beside that of this process.

    By default there is one for each card; without a card one for every `compute.threads` cores, as far as the memory
    goes. More workers than cards share them in turn.
    """
    if found := cards(config):
        return [{CARDS: found[worker % len(found)]} for worker in range(count or len(found))]
    fitting = min(cores() // config.compute.threads, int(memory_gib() // training_gib(config)))
    return [{}] * (count or max(1, fitting))
