"""Which scans `lassl predict` segments, and into which files."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lassl.cli.predict_record import DONE, DOUBTFUL, UNFINISHED, Record
from lassl.cli.predict_scans import passed_over, scans_in
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import check_free
from lassl.predict.scan_files import (
    MASK,
    PREVIEW,
    check_inputs_stay,
    check_outputs,
    files_of,
    output_files,
)
from lassl.predict.task import UNCERTAINTY

Files = Mapping[str, Path]  # of a scan, by what they hold: MASK, PREVIEW or a map


@dataclass
class Plan:
    """The files of each scan that is to be segmented, and how many scans are done already or cannot be done."""

    files: dict[Path, Files] = field(default_factory=dict)
    done: int = 0
    failed: int = 0


def scans_of(paths: Iterable[Path], output: Path, channels: Sequence[str]) -> tuple[dict[Path, Path], int]:
    """Find the scans that are asked for, each with the folder for its files; and how many folders have none.

    Such folders are told, and so are files in a folder that are not scans.
    """
    found: dict[Path, Path] = {}
    empty = 0
    for path in dict.fromkeys(paths):
        if not path.is_dir():
            found[path] = output
            continue
        try:
            within = scans_in(path, output, channels)
        except LasslError as error:
            note(error_line(error, path))
            empty += 1
            continue
        if within.others:
            note(passed_over(path, within.others))
        found |= {scan: output / folder for scan, folder in within.scans.items()}
    return found, empty


def plan_of(
    arguments: argparse.Namespace, record: Record, probabilities: Iterable[str], channels: Sequence[str] = ()
) -> Plan:
    """Choose the scans to segment: not those that are done, and not those that cannot be, which are told.

    `probabilities` are the names of these maps, one for each structure; `channels` those of the files of a scan, if the
    model's training set them. What an earlier command with the same settings
    left unfinished is replaced; any other file only with --overwrite. Raises LasslError where two scans would have one
    file, and for a list that lassl did not write.
    """
    folders, empty = scans_of(arguments.scans, arguments.output, channels)
    kinds = [*(probabilities if arguments.probability else ())]
    kinds += [kind for kind in (UNCERTAINTY, PREVIEW) if getattr(arguments, kind)]
    plan, rows, named = Plan(failed=empty), record.rows(), {}
    for scan, folder in folders.items():
        try:
            files = named[scan] = output_files(scan, folder, kinds, channels)
            check_inputs_stay(files, folders)
            status = record.status(rows, scan, files[MASK], files.values())
            if status in (DONE, DOUBTFUL) and not arguments.overwrite:
                plan.done += 1
                continue
            check_free(files.values(), arguments.overwrite or status == UNFINISHED)
            plan.files[scan] = files
        except LasslError as error:
            note(error_line(error, scan))
            plan.failed += 1
    check_outputs(named)
    return plan


def error_line(error: LasslError, scan: Path) -> str:
    """Which scan failed and why, in words."""
    text = str(error)
    return f"error: {text}" if any(str(path) in text for path in files_of(scan)) else f"error: {scan}: {text}"
