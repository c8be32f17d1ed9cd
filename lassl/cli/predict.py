"""`lassl predict`: masks of anybody's scans by a trained model."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from lassl.images.components import largest_component
from lassl.images.geometry import Volume
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import check_free
from lassl.plumbing.progress import bar
from lassl.predict.model_file import find_model, read_exported
from lassl.predict.scan_files import (
    MASK,
    check_inputs_stay,
    check_outputs,
    make_folder,
    output_files,
    read_scan,
    write_output,
)
from lassl.predict.segment import segment
from lassl.predict.task import PROBABILITY, UNCERTAINTY, Task, placement_for


def run(arguments: argparse.Namespace) -> int:
    """Segment the scans one after the other; gives 1 if any failed. Raises LasslError where none can be done."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters of it is checked and told in one line
    scans = list(dict.fromkeys(arguments.scans))
    planned = planned_files(scans, arguments)
    failed = len(scans) - len(planned)
    task = task_of(arguments)
    make_folder(arguments.output)
    progress = bar(planned, "predict", "scan", len(planned))
    for scan in progress:
        try:
            for path in predict(scan, planned[scan], task, arguments.largest_component):
                progress.write(str(path))
        except LasslError as error:
            progress.write(error_line(error, scan), file=sys.stderr)  # on a line of its own, above the bar
            failed += 1
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


def task_of(arguments: argparse.Namespace) -> Task:
    """Read the model and bring the networks that were asked for to their device. Raises LasslError."""
    exported = read_exported(find_model(arguments.model))
    model, settings = exported.model, exported.settings
    if arguments.stride:
        if any(s > w for s, w in zip(arguments.stride, settings.window, strict=True)):
            raise LasslError(
                f"--stride: found {arguments.stride}, the window is {settings.window}; give no more than that"
            )
        settings = settings.model_copy(update={"stride": arguments.stride})
    networks = model.members(model.named(arguments.network, "--network"))
    placement = placement_for(settings, arguments.device, arguments.precision)
    return Task(
        {name: placement.module(network).eval() for name, network in networks.items()},
        settings,
        placement,
        normalized=arguments.normalized,
        passes=arguments.passes if arguments.uncertainty else 0,
        memory_gib=arguments.memory,
    )


def predict(scan: Path, files: dict[str, Path], task: Task, largest: bool) -> Iterator[Path]:
    """Segment a scan and write its files, giving the path of each once it is there. Raises LasslError.

    The mask is of 0 and 1, uint8 (X, Y, Z): the voxels whose probability is above one half, or the `largest` part of
    them alone.
    """
    volume = read_scan(scan)
    try:
        maps = segment(volume, task)
    except (MemoryError, torch.OutOfMemoryError):
        raise LasslError(f"{scan}: the memory does not suffice; lower --memory, or use --device cpu") from None
    mask = maps[PROBABILITY] > 0.5
    maps[MASK] = (largest_component(mask) if largest else mask).astype(np.uint8)
    for kind, path in files.items():
        write_output(path, Volume(maps[kind], volume.geometry))
        yield path
