"""A trained model, ready to segment: networks on their device, and what is known of the labels they learned from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lassl.images.components import largest_component
from lassl.images.geometry import Array, Triple, Volume, volume_ml
from lassl.images.intensities import standing_apart
from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported
from lassl.predict.scan_files import MASK
from lassl.predict.segment import segment
from lassl.predict.task import PROBABILITY, Task, placement_for

FAR = 2  # times smaller or larger than any label of the training: hardly the same structure


@dataclass(frozen=True)
class Ready:
    """A task that can be done, and the smallest and largest volume (mL) of the labels that the model learned from.

    `volumes_ml` is None where the volumes are not known.
    """

    task: Task
    volumes_ml: tuple[float, float] | None


def ready(
    name: str,
    network: str = "default",
    device: str = "auto",
    precision: str | None = None,
    stride: Triple | None = None,
) -> Ready:
    """Find a model, read it, and bring the networks that were asked for to their device.

    `name` is as in `find_model`, `network` as in `TrainedModel.named`, `device` and `precision` as in `placement_for`;
    `stride` is the window's in pooled voxels, by default that of the model's evaluation. Raises LasslError.
    """
    exported = read_exported(find_model(name))
    model, settings = exported.model, exported.settings
    if stride:
        if any(s > w for s, w in zip(stride, settings.window, strict=True)):
            raise LasslError(f"--stride: found {stride}, the window is {settings.window}; give no more than that")
        settings = settings.model_copy(update={"stride": stride})
    networks = model.members(model.named(network, "--network"))
    placement = placement_for(settings, device, precision)
    placed = {key: placement.module(member).eval() for key, member in networks.items()}
    return Ready(Task(placed, settings, placement), exported.volumes_ml)


def maps_of(scan: str | Path, volume: Volume, task: Task, largest: bool) -> dict[str, Array]:
    """Segment a scan; `scan` is its path or another name for messages. Raises LasslError.

    Gives the maps of `segment` and the mask of 0 and 1, uint8 (X, Y, Z): the voxels whose probability is above one
    half, or the `largest` part of them alone.
    """
    try:
        maps = segment(volume, task)
    except (MemoryError, torch.OutOfMemoryError):
        advice = "lower --memory (memory_gib), or use --device cpu"
        raise LasslError(f"{scan}: the memory does not suffice; {advice}") from None
    mask = maps[PROBABILITY] > 0.5
    return {**maps, MASK: (largest_component(mask) if largest else mask).astype(np.uint8)}


def doubts_of(mask: Volume, known_ml: tuple[float, float] | None) -> Iterator[str]:
    """Say why a mask can hardly be right: it is empty, or far smaller or larger than labels of the training.

    `known_ml` is the range of their volumes.
    """
    ml = volume_ml(mask)
    low, high = known_ml or (0, math.inf)
    known = f"; labels that the model learned from have {low:.3g} to {high:.3g} mL" if known_ml else ""
    if not mask.array.any():
        yield f"the mask is empty, 0 mL{known}: check the scan's spacing and what it shows"
    elif not low / FAR <= ml <= high * FAR:
        yield f"the mask has {ml:.3g} mL{known}: check the mask, the scan's spacing and what it shows"


def spoiling(scan: Volume, task: Task) -> Iterator[str]:
    """Say which intensities of a scan spoil its normalization, if it is normalized and not clipped before."""
    if not task.normalized and not task.settings.clip and (apart := standing_apart(scan.array)):
        yield f"made of a scan whose intensities stand far apart: {apart}; replace padding by the value of air, or clip"
