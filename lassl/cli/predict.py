"""`lassl predict`: masks of anybody's scans by a trained model."""

import argparse
import hashlib
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from lassl.cli.predict_plan import Files, Plan, error_line, plan_of
from lassl.cli.predict_record import DONE, DOUBTFUL, FAILED, UNFINISHED, Record
from lassl.images.geometry import Volume, volume_ml
from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError, Stopped, note
from lassl.plumbing.progress import InnerBar
from lassl.plumbing.tables import significant
from lassl.predict.model import Ready, doubts_of, maps_of, ready, spoiling, volumes_in
from lassl.predict.scan_files import MASK, PREVIEW, make_folder, read_scan, write_output, write_picture
from lassl.predict.task import Progress


@dataclass(frozen=True)
class Work:
    """What all scans share: the model, whether only the largest part of a mask counts, the list, and the bar."""

    model: Ready
    largest: bool
    record: Record
    progress: InnerBar


def run(arguments: argparse.Namespace) -> int:
    """Segment the scans one after the other; gives 1 if any failed. Raises LasslError where none can be done."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters of it is checked and told in one line
    model = model_of(arguments)
    record = Record(arguments.output, settings_of(arguments, model))
    plan = plan_of(arguments, record, model.task.probabilities, model.task.settings.channels or ())
    if plan.done:
        note(f"note: {many(plan.done)} done already, see {record.path}; --overwrite makes their masks again")
    make_folder(arguments.output)
    with InnerBar("predict", "scan", len(plan.files)) as progress:
        work = Work(model, arguments.largest_component, record, progress)
        doubtful = segment_all(plan, work, "begin again" if arguments.overwrite else "continue")
    if doubtful and len(plan.files) > 1:
        note(f"note: look at {len(doubtful)} of {len(plan.files)} masks before you use them: {', '.join(doubtful)}")
    return int(plan.failed > 0)


def model_of(arguments: argparse.Namespace) -> Ready:
    """Read the models, and bring the networks that were asked for to their device. Raises LasslError."""
    names = models_of(arguments.model)
    model = ready(names, arguments.network, arguments.device, arguments.precision, arguments.stride)
    passes = arguments.passes if arguments.uncertainty else 0
    task = replace(model.task, normalized=arguments.normalized, passes=passes, memory_gib=arguments.memory)
    return replace(model, task=task)


def models_of(text: str) -> list[str]:
    """Names of models, separated by commas; a file whose name has one is a single model."""
    return [text] if Path(text).is_file() else text.split(",")


def settings_of(arguments: argparse.Namespace, model: Ready) -> str:
    """Name the models and the options that decide what a mask is: 12 digits of their hash."""
    task = model.task
    first, *others = (hashlib.sha256(find_model(name).read_bytes()).hexdigest() for name in models_of(arguments.model))
    parts = {
        "weights": [first, *others] if others else first,
        "networks": list(task.networks),
        "settings": task.settings.model_dump(mode="json"),
        "precision": task.placement.name,
        "normalized": task.normalized,
        "passes": task.passes,
        "largest": arguments.largest_component,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def many(scans: int) -> str:
    """Begin a sentence about a number of scans."""
    return "1 scan is" if scans == 1 else f"{scans} scans are"


def segment_all(plan: Plan, work: Work, again: str) -> list[str]:
    """Segment the scans of a plan and count them there; gives the doubtful masks.

    Raises Stopped, which says what the same command will do `again`.
    """
    doubtful = []
    slow = told_once(work)
    try:
        for scan, files in plan.files.items():
            task = replace(work.model.task, progress=Progress(work.progress.within, slow))
            try:
                mask, doubts = segment_one(scan, files, replace(work, model=replace(work.model, task=task)))
            except LasslError as error:
                work.progress.write(error_line(error, scan), file=sys.stderr)  # on a line of its own, above the bar
                plan.failed += 1
            else:
                plan.done += 1
                if doubts:
                    doubtful.append(f"{files[MASK].name} ({significant(mask)} mL)")
            work.progress.next()
    except KeyboardInterrupt as error:
        by = signal.Signals(next(iter(error.args), signal.SIGINT))
        left = len(plan.files) - work.progress.items
        raise Stopped(
            f"stopped by {by.name}: {many(plan.done)} done, {left} left; run the same command to {again}",
            by,
        ) from None
    return doubtful


def told_once(work: Work) -> Callable[[float], None]:
    """Give a function that tells, the first time, how many seconds the uncertainty of a scan takes."""
    told: list[float] = []

    def tell(seconds: float) -> None:
        if not told:
            told.append(seconds)
            passes = work.model.task.passes
            time = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
            work.progress.write(f"note: uncertainty: {passes} passes, about {time} a scan", file=sys.stderr)

    return tell


def segment_one(scan: Path, files: Files, work: Work) -> tuple[float, list[str]]:
    """Segment a scan, write its files and its row of the list; gives the volume (mL) and doubts. Raises LasslError.

    The mask is written last.
    """
    writing = False
    try:
        volume = read_scan(scan)
        maps = maps_of(scan, volume, work.model.task, work.largest)
        mask = Volume(maps[MASK], volume.geometry)
        structures, ml = work.model.structures, volume_ml(mask)
        each = volumes_in(mask, structures)
        told = ", ".join(f"{name} {significant(part)} mL" for name, part in each.items()) or f"{significant(ml)} mL"
        doubts = [*doubts_of(mask, work.model), *spoiling(volume, work.model.task)]
        work.record.add(scan, files[MASK], UNFINISHED)
        writing = True
        for kind, path in files.items():
            if kind == PREVIEW:
                write_picture(path, volume, mask.array, [*(structures or {"": 1}).values()])
            else:
                write_output(path, Volume(maps[kind], volume.geometry))
            work.progress.write(f"{path}\t{told}" if kind == MASK else str(path))
    except LasslError as error:
        work.record.add(scan, files[MASK], UNFINISHED if writing else FAILED, notes=[str(error)])
        raise
    work.record.add(scan, files[MASK], DOUBTFUL if doubts else DONE, {"": ml, **each}, doubts)
    if doubts:
        work.progress.write("\n".join(f"note: {files[MASK]}: {d}" for d in doubts), file=sys.stderr)
    return ml, doubts
