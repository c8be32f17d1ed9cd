"""`lassl predict`: masks of anybody's scans by a trained model."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from lassl.evaluation.inference import largest_component
from lassl.images.geometry import Volume
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.progress import bar
from lassl.predict import model_file as exported
from lassl.predict import scan_files as scanfiles
from lassl.predict.segment import PROBABILITY, UNCERTAINTY, Task, precision_for, segment


def run(arguments: argparse.Namespace) -> int:
    """Segment the scans one after the other; 1 if any failed. Raises LasslError where none can be done."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters of it is checked and told in one line
    scans = list(dict.fromkeys(arguments.scans))
    planned = outputs(scans, arguments)
    failed = len(scans) - len(planned)
    task = task_of(arguments)
    scanfiles.make_folder(arguments.output)
    progress = bar(planned, "predict", "scan", len(planned))
    for scan in progress:
        try:
            for path in predict(scan, planned[scan], task, arguments.largest_component):
                progress.write(str(path))
        except LasslError as error:
            progress.write(told(error, scan), file=sys.stderr)  # on a line of its own, above the bar
            failed += 1
    return int(failed > 0)


def outputs(scans: Iterable[Path], arguments: argparse.Namespace) -> dict[Path, dict[str, Path]]:
    """Name the files of each scan; tells of scans that cannot have any, which are left out. Raises LasslError."""
    maps = [name for name in (PROBABILITY, UNCERTAINTY) if getattr(arguments, name)]
    planned: dict[Path, dict[str, Path]] = {}
    for scan in scans:
        try:
            files = scanfiles.outputs(scan, arguments.output, maps)
            scanfiles.check_inputs_stay(files, scans)
            if not arguments.overwrite:
                scanfiles.check_free(files)
            planned[scan] = files
        except LasslError as error:
            note(told(error, scan))
    scanfiles.check_outputs(planned)
    return planned


def told(error: LasslError, scan: Path) -> str:
    """Which scan failed and why, in words."""
    text = str(error)
    return f"error: {text}" if str(scan) in text else f"error: {scan}: {text}"


def task_of(arguments: argparse.Namespace) -> Task:
    """Read the model and bring the networks that were asked for to their device. Raises LasslError."""
    model = exported.read(exported.find(arguments.model))
    needs = model.needs
    if arguments.stride:
        if any(s > w for s, w in zip(arguments.stride, needs.window, strict=True)):
            raise LasslError(
                f"--stride: found {arguments.stride}, the window is {needs.window}; give no more than that"
            )
        needs = needs.model_copy(update={"stride": arguments.stride})
    networks, where = model.networks(arguments.network), precision_for(needs, arguments.device, arguments.precision)
    networks = {name: where.module(network).eval() for name, network in networks.items()}
    passes = arguments.passes if arguments.uncertainty else 0
    return Task(networks, needs, where, arguments.normalized, passes, arguments.memory)


def predict(scan: Path, files: dict[str, Path], task: Task, largest: bool) -> Iterator[Path]:
    """Segment a scan and write its files, giving the path of each once it is there. Raises LasslError."""
    volume = scanfiles.read(scan)
    try:
        found = segment(volume, task)
    except (MemoryError, torch.OutOfMemoryError):
        raise LasslError(f"{scan}: the memory does not suffice; lower --memory, or use --device cpu") from None
    mask = found[PROBABILITY] > 0.5
    found[scanfiles.MASK] = (largest_component(mask) if largest else mask).astype(np.uint8)
    for kind, path in files.items():
        scanfiles.write(path, Volume(found[kind], volume.geometry))
        yield path
