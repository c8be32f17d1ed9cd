"""Which kernels the steps of a training launch, at which level of the network and in which part of the step.

A kernel counts for the finest grid that the operation which launched it reads or writes. Names of modules would not do:
a kernel that is fused from several layers has a grid, but no module. On a CPU operations take the place of kernels.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import DeviceType, ProfilerActivity, profile

from benchmarks.gpu import wait

ACTIVITIES = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
DOUBLING = re.compile(r"conv\w*_transpose")
Key = tuple[str, str, str]  # level, part of the step, name of the kernel
Spent = dict[Key, tuple[float, float]]  # milliseconds and calls


def ancestors(event: Any) -> list[Any]:
    """An event of the profiler and those around it, from the inside out."""
    found = [event]
    while found[-1].cpu_parent is not None:
        found.append(found[-1].cpu_parent)
    return found


def part(around: Sequence[Any]) -> str:
    """The part of a step that an operation belongs to, by the events around it."""
    names = [event.name for event in around]
    if any(name.startswith("Optimizer.") for name in names):
        return "update"
    return "backward" if any(name.startswith("autograd::engine") for name in names) else "forward"


def level(around: Sequence[Any], size: Sequence[int]) -> str:
    """The level of the finest grid that an operation has, or else the next event around it; "other" if none has one.

    `size` (X, Y, Z) is that of a patch. A transposed convolution has only the coarser grid as input, forward.
    """
    levels = {tuple(n >> i for n in size): i for i in range(5)}
    kind = part(around)
    doubling = [event for event in around if kind == "forward" and DOUBLING.search(event.name)]
    for event in doubling or around:
        grids = (tuple(shape[-3:]) for shape in event.input_shapes or () if len(shape) in (4, 5))
        if found := [levels[voxels] for voxels in grids if voxels in levels]:
            return "other" if kind == "update" else str(min(found) - bool(doubling))
    return "other"


def profiled(step: Callable[[], object], device: torch.device, size: Sequence[int], steps: int) -> Spent:
    """Milliseconds and calls of each kernel in one of so many steps on patches of a size, the longest first."""
    cuda = device.type == "cuda"
    with profile(activities=ACTIVITIES[: 1 + cuda], record_shapes=True) as watched:
        for _ in range(steps):
            step()
        wait(device)
    spent: dict[Key, float] = defaultdict(float)
    calls: Counter[Key] = Counter()
    for event in watched.events() or ():
        if event.device_type != DeviceType.CPU or (cuda and event.is_user_annotation):  # a range, not a kernel
            continue
        around = ancestors(event)
        pieces = [(k.name, k.duration) for k in event.kernels] if cuda else [(event.name, event.self_cpu_time_total)]
        for name, microseconds in pieces:
            key = level(around, size), part(around), name
            spent[key] += microseconds / steps / 1e3
            calls[key] += 1
    return {key: (time, calls[key] / steps) for key, time in sorted(spent.items(), key=lambda item: -item[1])}
