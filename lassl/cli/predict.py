"""`lassl predict`: masks of anybody's scans by a trained model."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from lassl.images.geometry import Volume, volume_ml
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import check_free
from lassl.plumbing.progress import bar
from lassl.predict.model import doubts_of, maps_of, ready, spoiling
from lassl.predict.scan_files import (
    MASK,
    check_inputs_stay,
    check_outputs,
    make_folder,
    output_files,
    read_scan,
    write_output,
)
from lassl.predict.task import PROBABILITY, UNCERTAINTY, Task


def run(arguments: argparse.Namespace) -> int:
    """Segment the scans one after the other; gives 1 if any failed. Raises LasslError where none can be done."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters of it is checked and told in one line
    scans = list(dict.fromkeys(arguments.scans))
    planned = planned_files(scans, arguments)
    failed = len(scans) - len(planned)
    task, known_ml = task_of(arguments)
    make_folder(arguments.output)
    doubtful = []
    progress = bar(planned, "predict", "scan", len(planned))
    for scan in progress:
        try:
            volume = read_scan(scan)
            maps = maps_of(scan, volume, task, arguments.largest_component)
            for kind, path in planned[scan].items():
                write_output(path, Volume(maps[kind], volume.geometry))
                progress.write(str(path))
        except LasslError as error:
            progress.write(error_line(error, scan), file=sys.stderr)  # on a line of its own, above the bar
            failed += 1
            continue
        mask = Volume(maps[MASK], volume.geometry)
        if doubts := [*doubts_of(mask, known_ml), *([] if task.normalized else spoiling(volume))]:
            progress.write("\n".join(f"note: {planned[scan][MASK]}: {d}" for d in doubts), file=sys.stderr)
            doubtful.append(f"{planned[scan][MASK].name} ({volume_ml(mask):.3g} mL)")
    if doubtful and len(planned) > 1:
        note(f"note: look at {len(doubtful)} of {len(planned)} masks before you use them: {', '.join(doubtful)}")
    return int(failed > 0)


def planned_files(scans: Iterable[Path], arguments: argparse.Namespace) -> dict[Path, dict[str, Path]]:
    """Name the files of each scan; tells of scans that cannot have any, which are left out. Raises LasslError."""
    maps = [name for name in (PROBABILITY, UNCERTAINTY) if getattr(arguments, name)]
    planned: dict[Path, dict[str, Path]] = {}
    for scan in scans:
        try:
            files = output_files(scan, arguments.output, maps)
            check_inputs_stay(files, scans)
            check_free(files.values(), arguments.overwrite)
            planned[scan] = files
        except LasslError as error:
            note(error_line(error, scan))
    check_outputs(planned)
    return planned


def error_line(error: LasslError, scan: Path) -> str:
    """Which scan failed and why, in words."""
    text = str(error)
    return f"error: {text}" if str(scan) in text else f"error: {scan}: {text}"


def task_of(arguments: argparse.Namespace) -> tuple[Task, tuple[float, float] | None]:
    """Read the model and bring the networks that were asked for to their device. Raises LasslError.

    Gives also the range of the volumes (mL) that the model knows.
    """
    model = ready(arguments.model, arguments.network, arguments.device, arguments.precision, arguments.stride)
    task = replace(
        model.task,
        normalized=arguments.normalized,
        passes=arguments.passes if arguments.uncertainty else 0,
        memory_gib=arguments.memory,
    )
    return task, model.volumes_ml
