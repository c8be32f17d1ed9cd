"""`lassl import-weights`: converts a checkpoint from the field's code to a model."""

import argparse

from lassl.cli.evaluate import checked_name, checked_title
from lassl.paths import IMPORTED
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import check_free
from lassl.predict.import_weights import import_weights
from lassl.predict.scan_files import make_folder


def run(arguments: argparse.Namespace) -> int:
    """Read the checkpoint, write the model; returns the exit code, 0. Raises LasslError without writing anything."""
    name = checked_name(arguments.name)
    title = checked_title(arguments.title or name)
    target = arguments.output or IMPORTED / f"{name}.pt"
    if target.suffix != ".pt":
        raise LasslError(
            f"{target}: found the suffix '{target.suffix}', expected .pt, by which `lassl predict` recognizes it"
        )
    check_free([target], arguments.overwrite)
    make_folder(target.parent)
    record = import_weights(arguments.checkpoint, name, title, target)
    if record.left_aside:
        ignored = ", ".join(record.left_aside)
        note(f"note: {arguments.checkpoint}: ignored entries that are not part of the network: {ignored}")
    print(target)
    return 0
