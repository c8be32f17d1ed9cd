"""Trained networks on anybody's volume: brought to the grid of the training, segmented, and brought back."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from lassl.data.prepare import normalize
from lassl.evaluation.inference import foregrounds
from lassl.images.geometry import Array, Box, Triple, Volume, orientation
from lassl.images.grids import ALIKE, Grid, covering, fits, resampled, shifted, turned
from lassl.learning import losses
from lassl.model.placement import Placement, choose, multiplies_bf16
from lassl.plumbing.errors import LasslError
from lassl.predict.settings import Needs
from lassl.sections import Compute
from lassl.seeds import stream_seed

PROBABILITY, UNCERTAINTY = "probability", "uncertainty"
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@dataclass(frozen=True)
class Task:
    """Networks whose mean is wanted, in evaluation mode; what they need, where they run; what is asked for.

    `normalized` scans are taken as they are. `passes` Monte-Carlo dropout passes make an uncertainty, 0 none.
    `memory_gib` bounds the arrays of one scan, see `needed_bytes`.
    """

    networks: Mapping[str, nn.Module]
    needs: Needs
    where: Placement
    normalized: bool = False
    passes: int = 0
    memory_gib: float = 4.0

    @property
    def maps(self) -> list[str]:
        """Names of the maps that are asked for."""
        return [PROBABILITY, UNCERTAINTY] if self.passes else [PROBABILITY]


def precision_for(needs: Needs, device: str = "auto", precision: str | None = None) -> Placement:
    """Choose device (auto, cpu or cuda) and number format: that asked for, else that of the training.

    On a CPU that does not multiply the training's format, fp32 takes its place. Raises LasslError for a device or
    format that the machine lacks.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise LasslError("--device: found no CUDA device, asked for cuda; use auto or cpu")
    on_cpu = device == "cpu" or not cuda
    spared = on_cpu and (needs.precision == "fp16" or (needs.precision == "bf16" and not multiplies_bf16()))
    own = "fp32" if spared else needs.precision
    how = {"device": device, "precision": precision or own, "channels_last": needs.channels_last}
    return choose(Compute.model_validate({**how, "deterministic": False}))


@dataclass(frozen=True)
class Slab:
    """A piece along an axis, in voxels: what the networks see of it, and what is kept."""

    seen: slice
    kept: slice


def segment(volume: Volume, task: Task) -> dict[str, Array]:
    """Foreground probability on the volume's own grid, float32 (X, Y, Z); with task.passes also the uncertainty.

    The volume is turned to the orientation of the training, normalized, resampled linearly to its spacing, pooled and
    windowed as in evaluation; probabilities are resampled linearly onto the volume's grid. Where orientation and
    spacing are right already nothing is resampled, and the probability is that of `inference.foregrounds`, bit for
    bit. The uncertainty is the entropy in nats, in [0, ln 2], of the mean softmax of the passes; the chance in them is
    the same each time. A pass drops the same channels in all windows, so that it asks one network; what
    seams remain are the network's own, which sees less at a window's border.

    What does not fit into the memory in one piece is done in slabs along the longest axis that overlap by one window;
    each is windowed alone, and the cut lies in the middle of the overlap. Less than a window from a cut, a voxel lacks
    some of the windows that it would see in one piece; further away it sees the same ones. Where voxels are resampled,
    each slab has a grid of its own, so windows lie elsewhere by a part of a voxel. Raises LasslError when not even one
    window fits, and for a scan that is thinner than a voxel of the training.
    """
    scan = turned(volume, task.needs.orientation)
    check_extent(scan, task.needs)
    axis, slabs = plan(scan, task)
    found = {name: np.empty(scan.array.shape, np.float32) for name in task.maps}
    for slab in slabs:
        offset = slab.seen.start
        inner = _along(axis, slice(slab.kept.start - offset, slab.kept.stop - offset))
        for name, part in _piece(scan, _box(scan, axis, slab.seen), task).items():
            found[name][_along(axis, slab.kept)] = part[inner]
    own = orientation(volume.geometry)
    return {name: turned(Volume(array, scan.geometry), own).array for name, array in found.items()}


def check_extent(scan: Volume, needs: Needs) -> None:
    """Raise LasslError where a scan, axes as in the training, is thinner than a voxel of the training."""
    spans = np.multiply(scan.array.shape, scan.geometry.spacing_mm)
    if (spans < np.multiply(needs.spacing_mm, 1 - ALIKE)).any():
        found, voxel = (" x ".join(f"{side:.3g}" for side in sides) for sides in (spans, needs.spacing_mm))
        raise LasslError(
            f"a scan of {found} mm, less than one voxel of the training ({voxel} mm) along an axis; check the spacing "
            "in the scan's header, or give the whole scan"
        )


def plan(scan: Volume, task: Task) -> tuple[int, list[Slab]]:
    """Choose the axis (the longest in mm) to cut a scan along, and its slabs: as few as the memory allows.

    Slabs begin a multiple of the window's stride apart. Raises LasslError when not even one window fits.
    """
    spacing, needs = scan.geometry.spacing_mm, task.needs
    axis = int(np.argmax(np.multiply(scan.array.shape, spacing)))
    n, voxel = scan.array.shape[axis], needs.pool * needs.spacing_mm[axis] / spacing[axis]  # pooled voxel in the scan's
    overlap, step = math.ceil(needs.window[axis] * voxel), max(round(needs.stride[axis] * voxel), 1)
    bound = task.memory_gib * 2**30
    lengths = [n, *range(overlap + (n - overlap) // step * step, overlap, -step)]
    length = next((length for length in lengths if needed_bytes(scan, axis, length, task) <= bound), None)
    if length is None:
        least = needed_bytes(scan, axis, min(lengths), task) / 2**30
        raise LasslError(
            f"a scan of {scan.array.shape} voxels takes at least {least:.2g} GiB, with one window at a time; found a "
            f"bound of {task.memory_gib:g} GiB: raise --memory"
        )
    advance = max(length - overlap, 1)
    starts = range(0, n - length + advance, advance)
    cuts = [0, *(start + overlap // 2 for start in starts[1:]), n]
    seen = [slice(start, min(start + length, n)) for start in starts]
    return axis, [Slab(s, slice(a, b)) for s, (a, b) in zip(seen, pairwise(cuts), strict=True)]


def needed_bytes(scan: Volume, axis: int, length: int, task: Task) -> int:
    """Estimate, from above, what the arrays of a scan take at most when slabs are `length` voxels long along an axis.

    What is held throughout, for each voxel of the scan: twice its number format (as read, and turned), and 4 bytes for
    each map. To this comes the hungriest of the stages below, in bytes for each voxel of the whole scan, of a slab, and
    of the slab in the grid of the training (`native`, which is as large as the window at least). What networks use
    inside is not counted: it depends on window and batch alone.
    """
    x, y, z = (length if a == axis else n for a, n in enumerate(scan.array.shape))
    needs, networks, maps = task.needs, len(task.networks), len(task.maps)
    grid = covering((x, y, z), scan.geometry, needs.orientation, needs.spacing_mm)
    whole, slab = scan.array.size, x * y * z
    native = math.prod(max(n, needs.pool * w) for n, w in zip(grid.size, needs.window, strict=True))
    found = networks + (networks > 1)
    stages = (
        12 * whole,  # the standard deviation, in float64; in the end a map that is turned back, as often copied
        (24 + 4 * maps) * slab,  # normalization, in float64; entropy
        12 * (slab + native),  # resampling
        4 * slab + (4 * found + 8 * maps - 4) * native + (16 + 8 * networks) * native // needs.pool**3,  # windows
        (8 + 4 * maps) * (slab + native),  # the way back
    )
    return whole * (2 * scan.array.itemsize + 4 * maps) + max(stages)


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    """Index a part along an axis, and all of those before it."""
    return (*(slice(None) for _ in range(axis)), part)


def _box(scan: Volume, axis: int, part: slice) -> Box:
    x, y, z = (part if a == axis else slice(0, n) for a, n in enumerate(scan.array.shape))
    return x, y, z


def _piece(scan: Volume, box: Box, task: Task) -> dict[str, Array]:
    """Compute the maps of a box of a scan, seen alone, on the scan's grid."""
    start: Triple = (box[0].start, box[1].start, box[2].start)
    image = scan.array[box].astype(np.float32) if task.normalized else normalize(scan.array, box)
    own = Grid(image.shape, shifted(scan.geometry, start))
    if fits(own.geometry, task.needs.orientation, task.needs.spacing_mm):
        found = _native(np.ascontiguousarray(image), task)
    else:
        grid = covering(own.size, own.geometry, task.needs.orientation, task.needs.spacing_mm)
        native = _native(np.ascontiguousarray(resampled(Volume(image, own.geometry), grid)), task)
        found = {name: resampled(Volume(array, grid.geometry), own) for name, array in native.items()}
    if task.passes:
        found[UNCERTAINTY] = entropy(found[UNCERTAINTY])
    return found


def _native(image: Array, task: Task) -> dict[str, Array]:
    """Foreground probability in the grid of the training; under `uncertainty` the mean of the Monte-Carlo passes."""
    found = {PROBABILITY: _mean(image, task)}
    if task.passes:
        total = np.zeros(image.shape, np.float32)
        one_by_one = replace(task, needs=task.needs.model_copy(update={"batch": 1}))  # all windows draw the same chance
        for n in range(task.passes):
            with torch.random.fork_rng(), dropping(task.networks, stream_seed(0, "uncertainty", n)):
                total += _mean(image, one_by_one)
        found[UNCERTAINTY] = total / np.float32(task.passes)
    return found


def _mean(image: Array, task: Task) -> Array:
    """Foreground probability of the only network, or the mean of several."""
    return list(foregrounds(task.networks, image, task.needs.config, task.where).values())[-1]  # the ensemble is last


@contextmanager
def dropping(networks: Mapping[str, nn.Module], seed: int) -> Iterator[None]:
    """Let dropout drop, as in training, the same in every call; all else stays, batch norm in evaluation mode."""
    modules = [m for network in networks.values() for m in network.modules() if isinstance(m, DROPOUT)]
    before = [module.training for module in modules]

    def draw_again(*_: object) -> None:
        torch.manual_seed(seed)

    hooks = [network.register_forward_pre_hook(draw_again) for network in networks.values()]
    try:
        for module in modules:
            module.train()
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in zip(modules, before, strict=True):
            module.train(training)


def entropy(foreground: Array) -> Array:
    """Entropy in nats of two classes, from the probability of one (X, Y, Z)."""
    probability = torch.from_numpy(np.ascontiguousarray(foreground))
    result: Array = losses.entropy(torch.stack([1 - probability, probability]).unsqueeze(0))[0].numpy()
    return result
