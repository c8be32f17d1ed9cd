"""A trained model, ready to segment: networks on their device, and what is known of the labels they learned from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lassl.images.components import largest_component
from lassl.images.geometry import Array, Triple, Volume
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import find_model, read_exported
from lassl.predict.scan_files import MASK
from lassl.predict.segment import segment
from lassl.predict.task import PROBABILITY, Task, placement_for


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
        raise LasslError(f"{scan}: the memory does not suffice; lower --memory, or use --device cpu") from None
    mask = maps[PROBABILITY] > 0.5
    return {**maps, MASK: (largest_component(mask) if largest else mask).astype(np.uint8)}
