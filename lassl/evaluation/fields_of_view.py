"""Stage `fields_of_view`: scores networks on larger fields than the crop around the label, which is unknown in use."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from lassl.data.prepare import as_classes, read_label
from lassl.data.prepared import Prepared, open_prepared
from lassl.data.raw import RawLayout, find_layout, read_image
from lassl.evaluation.inference import Windows, decided, foregrounds
from lassl.evaluation.structures import check_structures, rows_of
from lassl.images.geometry import Array, Box, Triple
from lassl.images.intensities import normalize
from lassl.model.placement import place
from lassl.model.trained import load_model
from lassl.paths import Run
from lassl.plumbing.files import write_text
from lassl.plumbing.progress import bar
from lassl.settings.config import Config
from lassl.settings.sections import Data, Field

PADDING = 32  # voxels


def whole(size: Triple, extent: Triple) -> Box:
    """The box of all `size` voxels of the raw volume."""
    x, y, z = (slice(0, n) for n in size)
    return x, y, z


def center(size: Triple, extent: Triple) -> Box:
    """A box of `extent` voxels in the middle of the raw volume, limited to the volume."""
    starts = [max((n - e) // 2, 0) for n, e in zip(size, extent, strict=True)]
    x, y, z = (slice(a, min(a + e, n)) for a, e, n in zip(starts, extent, size, strict=True))
    return x, y, z


def padded(size: Triple, extent: Triple) -> Box:
    """The raw volume and PADDING voxels around it in plane; meant for scans already cropped around the label."""
    x, y, z = size
    return slice(-PADDING, x + PADDING), slice(-PADDING, y + PADDING), slice(0, z)


# (size of the raw volume, extent) -> box in its voxels, which may begin before it and end after it
FIELDS: dict[Field, Callable[[Triple, Triple], Box]] = {"whole": whole, "center": center, "padded": padded}


def fields_of_view(config: Config, run: Run, field: Field) -> None:
    """Score a run's default network on the test cases in another field, against the raw volume's whole label.

    Writes the scores of each case to `run.field(field)`. The size of the field `center` follows from the labels of the
    run's own labeled cases, never from those of test cases. Raises LasslError.
    """
    prepared = open_prepared(config.data.prepared)
    model = load_model(run.model)
    check_structures(model.record, prepared)
    placement = place(config.compute, config.patches.size, config.network.halvings)
    networks = {model.default: placement.module(model.networks[model.default]).eval()}
    extent = largest_extent(prepared, model.record.labeled, config.data.margin[1])
    layout = find_layout(config.data.folder, config.data.channels)
    rows = []
    for case in bar(prepared.split.test, f"field {field}", "case", len(prepared.split.test)):
        image, label = whole_case(config.data, layout, case)
        box = FIELDS[field](prepared.full_size(case), extent)
        (probability,) = foregrounds(networks, view(image, box), Windows.of(config), placement).values()
        mask = np.zeros(label.shape, np.uint8)
        put(mask, decided(probability), box)
        spacing = prepared.geometry(case).spacing_mm
        rows += rows_of({"case": case, "field": field}, mask, label, spacing, prepared.structures)
    write_text(run.field(field), pd.DataFrame(rows).to_csv(index=False, float_format="%.6f"))


def largest_extent(prepared: Prepared, labeled: Sequence[str], margin: int) -> Triple:
    """The longest extent in voxels along each axis of the labels of these cases, plus a margin on both sides."""
    boxes = [ndimage.find_objects((prepared.read_label(case) > 0).view(np.uint8))[0] for case in labeled]
    x, y, z = (max(box[axis].stop - box[axis].start for box in boxes) + 2 * margin for axis in range(3))
    return x, y, z


def whole_case(data: Data, layout: RawLayout, case: str) -> tuple[Array, Array]:
    """Read a raw scan, normalized as in preparation but not cropped, float32 (X, Y, Z), and its classes, uint8.

    Of several channels it is (C, X, Y, Z). Raises LasslError if either is missing or cannot be read.
    """
    image = read_image(layout, data.folder / case)
    label = read_label(data, layout, data.folder / case, True)
    assert label is not None  # it was needed
    x, y, z = image.size
    everything = slice(0, x), slice(0, y), slice(0, z)
    return normalize(image.array, everything, data.clip) if layout.raw else image.array, as_classes(data, label.array)


def view(volume: Array, box: Box) -> Array:
    """Cut a box from a volume (..., X, Y, Z); voxels outside the volume are 0, the mean of a normalized scan."""
    before = [max(-side.start, 0) for side in box]
    after = [max(side.stop - n, 0) for side, n in zip(box, volume.shape[-3:], strict=True)]
    inside: tuple[Any, ...] = (..., *(slice(max(side.start, 0), side.stop) for side in box))
    whole_axes = [(0, 0)] * (volume.ndim - 3)
    return np.pad(volume[inside], [*whole_axes, *zip(before, after, strict=True)])


def put(mask: Array, predicted: Array, box: Box) -> None:
    """Write the prediction for a box into the classes of the whole volume, dropping voxels outside the volume."""
    before = [max(-side.start, 0) for side in box]
    inside = tuple(slice(max(side.start, 0), min(side.stop, n)) for side, n in zip(box, mask.shape, strict=True))
    mask[inside] = predicted[tuple(slice(b, b + i.stop - i.start) for b, i in zip(before, inside, strict=True))]
