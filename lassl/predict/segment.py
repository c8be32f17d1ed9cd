"""Trained networks on anybody's volume: brought to the grid of the training, segmented, and brought back."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lassl.evaluation.inference import Windows, foregrounds
from lassl.images.geometry import Array, Box, Geometry, Triple, Volume, orientation
from lassl.images.grids import ALIKE, Grid, covering, fits, resampled, shifted, turned
from lassl.images.intensities import clipped_away, normalize
from lassl.model.trained import ENSEMBLE
from lassl.plumbing.errors import LasslError
from lassl.predict.locate import box_around, expected_box, in_the_middle
from lassl.predict.settings import Crop, PredictSettings
from lassl.predict.slabs import held_bytes, plan, windows_to_see
from lassl.predict.task import PROBABILITY, UNCERTAINTY, Task
from lassl.predict.uncertainty import dropping, entropy
from lassl.seeds import stream_seed

# chosen on training cases, see docs/segment.md
CERTAIN = 0.9  # the probability above which a voxel counts in finding the structure
SMALLER = 0.5  # the share of a scan that a second pass sees at most: a scan that is a crop already is seen as a whole


def segment(volume: Volume, task: Task) -> dict[str, Array]:
    """Maps on the volume's own grid, float32: the probability of each structure (S, X, Y, Z), and the uncertainty.

    The latter, (1, X, Y, Z), is there with task.passes. A volume of several channels is (C, X, Y, Z).
    The volume is turned to the orientation of the training, normalized, resampled linearly to its spacing, pooled and
    windowed as in evaluation; probabilities are resampled linearly onto the volume's grid. Where orientation and
    spacing are right already nothing is resampled, and the probability is that of `inference.foregrounds`, bit for
    bit. The uncertainty is the entropy in nats, in [0, ln (1 + S)], of the mean softmax of the passes; the chance in
    them is the same each time. A pass drops the same channels in all windows, so that it asks one network; what
    seams remain are the network's own, which sees less at a window's border.

    Networks that learned from crops around the structure (`settings.crop`) see a crop of a larger scan, too, and the
    maps are NaN outside of it: see `_in_two_passes`. Raises LasslError when not even one window fits into the memory,
    and for a scan that is thinner than a voxel of the training.
    """
    scan = turned(volume, task.settings.orientation)
    check_extent(scan, task.settings)
    if not task.normalized and (text := clipped_away(scan.array, task.settings.clip)):
        raise LasslError(text)
    with task.progress.counting(task.networks):
        maps = _in_two_passes(scan, task, task.settings.crop) if task.settings.crop else _in_slabs(scan, task)
    code = orientation(volume.geometry)
    return {name: _each(array, scan.geometry, lambda part: turned(part, code).array) for name, array in maps.items()}


def _each(maps: Array, geometry: Geometry, change: Callable[[Volume], Array]) -> Array:
    """Change each of several maps (N, X, Y, Z), which have one geometry."""
    return np.stack([change(Volume(part, geometry)) for part in maps])


def _in_two_passes(scan: Volume, task: Task, crop: Crop) -> dict[str, Array]:
    """Compute the maps of a scan: a first pass finds the structure, a second one sees it cropped.

    The windows of the first pass do not overlap. What is found is the union of all structures. Outside of the second
    pass's box all maps are NaN: nobody looked there, and 0 would read as sure. Where nothing is found, or the box is
    more than SMALLER of the scan, the scan is seen as a whole. Intensities are normalized over the whole scan in any
    case.
    """
    first = replace(task, settings=task.settings.model_copy(update={"stride": task.settings.window}), passes=0)
    later = windows_to_see(expected_box(scan, crop), scan.geometry, task)
    found = _in_slabs(scan, first, later)[PROBABILITY]
    parts = crop.parts or [1] * len(found)
    masks = [in_the_middle(p > CERTAIN, scan.geometry, most) for p, most in zip(found, parts, strict=True)]
    box = box_around(np.logical_or.reduce(masks), scan.geometry, crop)
    if box is None or math.prod(side.stop - side.start for side in box) > SMALLER * math.prod(scan.size):
        return _in_slabs(scan, task)
    image = scan.array[..., *box] if task.normalized else normalize(scan.array, box, task.settings.clip)
    part = Volume(image, shifted(scan.geometry, (box[0].start, box[1].start, box[2].start)))
    maps = _nowhere(scan, task)
    left_gib = task.memory_gib - held_bytes(scan, task) / 2**30
    for name, array in _in_slabs(part, replace(task, normalized=True, memory_gib=left_gib)).items():
        maps[name][:, *box] = array
    return maps


def _in_slabs(scan: Volume, task: Task, later: int = 0) -> dict[str, Array]:
    """Compute the maps of a scan, axes as in the training, on its own grid.

    What does not fit into the memory in one piece is done in slabs along the longest axis that overlap by one window;
    each is windowed alone, and the cut lies in the middle of the overlap. Less than a window from a cut, a voxel lacks
    some of the windows that it would see in one piece; further away it sees the same ones. Where voxels are resampled,
    each slab has a grid of its own, so windows lie elsewhere by a part of a voxel. `later` windows follow these. Raises
    LasslError when not even one window fits.
    """
    axis, slabs = plan(scan, task)
    boxes = [_box(scan, axis, slab.seen) for slab in slabs]
    sizes: list[Triple] = [scan.array[..., *box].shape[-3:] for box in boxes]
    task.progress.expect(later + sum(windows_to_see(size, scan.geometry, task) for size in sizes))
    maps = _nowhere(scan, task)
    for slab, box in zip(slabs, boxes, strict=True):
        offset = slab.seen.start
        inner = _along(axis, slice(slab.kept.start - offset, slab.kept.stop - offset))
        for name, part in _piece(scan, box, task).items():
            maps[name][:, *_along(axis, slab.kept)] = part[:, *inner]
    return maps


def _nowhere(scan: Volume, task: Task) -> dict[str, Array]:
    """Maps of a scan at which nobody looked yet: NaN everywhere."""
    shapes: dict[str, tuple[int, ...]] = {name: (count, *scan.size) for name, count in task.maps.items()}
    return {name: np.full(shape, np.nan, np.float32) for name, shape in shapes.items()}


def check_extent(scan: Volume, settings: PredictSettings) -> None:
    """Raise LasslError where a scan, axes as in the training, is thinner than a voxel of the training."""
    spans = np.multiply(scan.size, scan.geometry.spacing_mm)
    if (spans < np.multiply(settings.spacing_mm, 1 - ALIKE)).any():
        extent, voxel = (" x ".join(f"{side:.3g}" for side in sides) for sides in (spans, settings.spacing_mm))
        raise LasslError(
            f"a scan of {extent} mm, less than one voxel of the training ({voxel} mm) along an axis; check the spacing "
            "in the scan's header, or give the whole scan"
        )


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    """Index a part along an axis, and all of those before it."""
    return (*(slice(None) for _ in range(axis)), part)


def _box(scan: Volume, axis: int, part: slice) -> Box:
    """The box of a scan that is a part along one axis and all of the others."""
    x, y, z = (part if a == axis else slice(0, n) for a, n in enumerate(scan.size))
    return x, y, z


def _piece(scan: Volume, box: Box, task: Task) -> dict[str, Array]:
    """Compute the maps of a box of a scan, seen alone, on the scan's grid."""
    start: Triple = (box[0].start, box[1].start, box[2].start)
    part = scan.array[..., *box]
    image = part.astype(np.float32) if task.normalized else normalize(scan.array, box, task.settings.clip)
    grid = Grid(image.shape[-3:], shifted(scan.geometry, start))
    code, spacing_mm = task.settings.orientation, task.settings.spacing_mm
    if fits(grid.geometry, code, spacing_mm):
        maps = _native(np.ascontiguousarray(image), task)
    else:
        native = covering(grid.size, grid.geometry, code, spacing_mm)
        arrays = _native(np.ascontiguousarray(resampled(Volume(image, grid.geometry), native)), task)
        maps = {name: _each(a, native.geometry, lambda part: resampled(part, grid)) for name, a in arrays.items()}
    if task.passes:
        maps[UNCERTAINTY] = entropy(maps[UNCERTAINTY])[np.newaxis]
    return maps


def _native(image: Array, task: Task) -> dict[str, Array]:
    """Probabilities (S, X, Y, Z) in the grid of the training; under `uncertainty` the mean of the passes' ones."""
    windows = task.settings.windows
    maps = {PROBABILITY: _mean(image, task, windows)}
    if task.passes:
        task.progress.tell_slow()
        total = np.zeros_like(maps[PROBABILITY])
        for n in range(task.passes):
            with dropping(task.networks, stream_seed(0, "uncertainty", n)):
                total += _mean(image, task, replace(windows, batch=1))  # so that all windows draw the same chance
        maps[UNCERTAINTY] = total / np.float32(task.passes)
    return maps


def _mean(image: Array, task: Task, windows: Windows) -> Array:
    """Probability of each structure (S, X, Y, Z) by the only network, or the mean of several."""
    probabilities = foregrounds(task.networks, image, windows, task.placement)
    name, *others = task.networks
    return probabilities[ENSEMBLE if others else name]
