"""Stage `prepare`: checks, normalizes and crops raw scans of any layout into a prepared cohort."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from scipy import ndimage

from lassl.data.case import REFERENCE, Case, Placed, Raw, Subset, changes_of_h5, cohort_hash, regridded
from lassl.data.compare import Outcome, fingerprint, label_sha256, remarks, scans_twice
from lassl.data.label_split import Split
from lassl.data.prepared import MANIFEST, Manifest
from lassl.data.raw import RawLayout, channel_problems, find_layout, linked, read_image, read_scan
from lassl.data.split_file import check_split
from lassl.images.geometry import Array, Box, Triple, Volume
from lassl.images.intensities import normalize, standing_apart
from lassl.images.structures import classes_of, label_problems
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import holds, unreadable, whole_folder
from lassl.plumbing.plugins import plugin
from lassl.plumbing.pool import process_pool
from lassl.plumbing.progress import bar
from lassl.seeds import stream
from lassl.settings.sections import Data

CROP = {"crop", "crop_z", "margin", "margins", "min_size", "seed"}  # settings of scans that are cropped here
T = TypeVar("T")
PLACE = {"spacing_mm", "origin_mm", "direction", "crop_start", "full_size"}  # attributes of a case's h5


def prepare(data: Data) -> None:
    """Make `data.prepared` from the scans in `data.folder`: one h5 file per case of the split, and a manifest.

    An h5 file has the dataset `image`, float32 (X, Y, Z), of several channels (C, X, Y, Z); `label`, uint8 (X, Y, Z) of
    classes, if the case has one; and its place as attributes. Uses all cores; the result does not depend on their
    number. Raises LasslError with a line for each problem of the whole cohort; an earlier prepared folder then stays
    unchanged. A foreign folder is never replaced. Notes on stderr what may be unintended, see `remarks`.
    """
    split, problems = check_split(data.split)
    problems += linked(data.folder, split.train + split.test)
    problems += unreadable([data.folder, *(data.folder / case for case in split.train + split.test)])
    try:
        layout = find_layout(data.folder, data.channels)
        problems += changes_of_h5(data, layout)
    except LasslError as error:
        raise LasslError("\n".join([*problems, str(error)])) from None
    with whole_folder(data.prepared, holds(MANIFEST)) as out:
        outcomes = _prepare_all(data, layout, split, out)
        problems += [problem for outcome in outcomes.values() for problem in outcome.problems]
        problems += scans_twice(data.folder, outcomes, split.patients)
        if problems:
            raise LasslError("\n".join(problems))
        cases = tuple(made.case.with_patient(split.patients) for made in outcomes.values() if made.case)
        manifest = Manifest(
            door=layout.name,
            options=_options(data, layout),
            hash=cohort_hash(cases),
            cases=cases,
        )
        (out / MANIFEST).write_text(manifest.text(), "utf-8")
    for line in remarks(data, split, outcomes):
        note(f"note: {data.folder}: {line}")


def _prepare_all(data: Data, layout: RawLayout, split: Split, out: Path) -> dict[str, Outcome]:
    names = split.train + split.test
    work = partial(_prepare_case, data, layout, out)
    tests, used = [name in split.test for name in names], [name not in split.withheld for name in names]
    with process_pool(__name__) as pool:
        outcomes = bar(pool.map(work, names, tests, used), f"prepare {data.cohort}", "case", len(names))
        return dict(zip(names, outcomes, strict=True))


def _prepare_case(data: Data, layout: RawLayout, out: Path, name: str, test: bool, used: bool) -> Outcome:
    """Check one case and, if it is valid, write its h5; the worker returns only its description.

    A label that is not `used` is never read.
    """
    folder = data.folder / name
    if next(unreadable([folder]), None):
        return Outcome(())  # this has been reported already
    if not folder.is_dir():
        return Outcome((f"{folder}: case folder not found; add it or delete the case from {data.split}",))
    image, image_unreadable = _tried(lambda: read_image(layout, folder))
    label, label_unreadable = _tried(lambda: read_label(data, layout, folder, test)) if used else (None, [])
    unfit = list(channel_problems(layout, folder, image.array, data.clip)) if image else []
    problems = image_unreadable + label_unreadable + unfit
    if label:
        problems += label_problems(layout.file(folder, "label"), label, image, data.structures)
    scan = fingerprint(image) if image and not unfit else None
    if problems or image is None:
        return Outcome(tuple(dict.fromkeys(problems)), scan=scan)  # report an h5 on which both reads fail only once
    mask = as_classes(data, label.array) if label else None
    placed, misplaced = _tried(lambda: regridded(data, image, mask))
    if misplaced:
        path = layout.file(folder, layout.channels[0])
        return Outcome(tuple(f"{path}: {problem}" for problem in misplaced), scan=scan)
    return Outcome(
        (),
        _write_case(data, layout, out / f"{name}.h5", "test" if test else "train", image, mask, placed),
        scan,
        None if mask is None else label_sha256(Volume(mask, image.geometry)),
        standing_apart(image.array) if layout.raw and data.clip is None else "",
    )


def _tried(read: Callable[[], T]) -> tuple[T | None, list[str]]:
    """Call a function, or give the text of its LasslError: others may follow."""
    try:
        return read(), []
    except LasslError as error:
        return None, [str(error)]


def read_label(data: Data, layout: RawLayout, folder: Path, needed: bool) -> Volume | None:
    """Read a case's label from its folder, the classes of `data.structures` where that is set; None if there is none.

    Raises LasslError if it is needed and not there, cannot be read, or has none of the structures' values.
    """
    label = read_scan(layout, folder, "label", needed)
    return label and classes_of(layout.file(folder, "label"), label, data.structures)


def as_classes(data: Data, label: Array) -> Array:
    """The classes of a label as `read_label` gives it, uint8 (X, Y, Z): without `data.structures` 0 and 1."""
    classes: Array = (label if data.structures else label > 0).astype(np.uint8)
    return classes


def _options(data: Data, layout: RawLayout) -> dict[str, Any]:
    """The settings that the prepared folder depends on."""
    options = data.model_dump(mode="json", include=CROP) if layout.raw else {"crop": "none"}
    return options | data.model_dump(mode="json", include={"structures", *Data.later}, exclude_none=True)


def seeded(seed: int, case: str) -> np.random.Generator:
    """A random generator that always gives a case the same margins, independent of the other cases."""
    return stream(seed, "crop", case)


# (seed, case) -> the generator that draws the margins of a case
MARGINS: dict[str, Callable[[int, str], np.random.Generator]] = {"seeded": seeded}


def crop_box(label: Array, data: Data, case: str) -> Box:
    """Find the crop of a label (X, Y, Z): the box of all that is not 0, widened to `data.min_size`, plus margins.

    For an axis of n voxels on which the label extends from a to b, half = max(min_size - (b - a), 0) // 2 and the crop
    runs from max(a - m1 - half, 0) up to, but not including, min(b + m2 + half, n). `data.margins` draws m1 and m2 from
    `data.margin` (voxels, both ends included) for each case and side. z is kept whole unless `data.crop_z` is set. With
    margins of 10 to 19 and a min_size of 112 x 112 x 80 this matches, to the voxel, the preprocessing behind the
    field's h5 files (Yu et al. 2019, UA-MT), which drew its margins without a seed. Margins never cut the label.
    Raises LasslError if `data.margins` names a function that does not exist.
    """
    rng = plugin("data.margins", data.margins, MARGINS)(data.seed, case)
    margins = rng.integers(*data.margin, size=(3, 2), endpoint=True)  # (axis, side)
    sides = zip(
        ndimage.find_objects((label > 0).view(np.uint8))[0], margins.tolist(), data.min_size, label.shape, strict=True
    )
    x, y, z = (_side(*side) for side in sides)
    return x, y, z if data.crop_z else slice(0, label.shape[2])


def _side(label: slice, margin: tuple[int, int], least: int, size: int) -> slice:
    """One axis of crop_box: the extent of the label, its two margins, the least size and that of the volume."""
    first, last = label.start, label.stop - 1
    half = max(least - (last - first), 0) // 2
    return slice(max(first - margin[0] - half, 0), min(max(last + margin[1] + half, label.stop), size))


def _box(data: Data, layout: RawLayout, name: str, size: Triple, mask: Array | None) -> Box:
    """The voxels of a case to keep: all of them if there is no label or nothing is to be cropped."""
    if mask is not None and data.crop == "label" and layout.raw:  # the field's h5 files are cropped already
        return crop_box(mask, data, name)
    x, y, z = (slice(0, n) for n in size)
    return x, y, z


def _write_case(
    data: Data, layout: RawLayout, path: Path, subset: Subset, scan: Volume, mask: Array | None, placed: Placed | None
) -> Case:
    """Write the h5 of a case: the prepared image and, if there is a mask, its box; return the description.

    A scan that was `placed` on another grid has its own mask as REFERENCE.
    """
    reference = mask if placed else None
    image, mask = placed or (scan, mask)
    box = _box(data, layout, path.stem, image.size, mask)
    if placed:
        array = image.array[..., *box]
    else:
        array = normalize(scan.array, box, data.clip) if layout.raw else scan.array
    label = None if mask is None else mask[box]
    raw = Raw(size=scan.size, **vars(scan.geometry), label_sha256=_sha256(reference)) if placed else None
    case = Case(
        case=path.stem,
        split=subset,
        shape=array.shape[-3:],
        full_size=image.size,
        crop_start=(box[0].start, box[1].start, box[2].start),
        labeled=label is not None,
        image_sha256=_sha256(array) or "",
        label_sha256=_sha256(label),
        raw=raw,
        **vars(image.geometry),
    )
    with h5py.File(path, "w") as file:
        for key, values in {"image": array, "label": label, REFERENCE: reference}.items():
            if values is not None:  # lzf: a third of the size for 30 ms per case; gzip-1 is smaller but slower
                file.create_dataset(key, data=values, compression="lzf", track_times=False)  # a time would change bytes
        file.attrs.update(case.model_dump(include=PLACE))
    return case


def _sha256(array: Array | None) -> str | None:
    return None if array is None else hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
