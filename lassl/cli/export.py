"""`lassl export`: one file with a trained model and all that predicting needs."""

import argparse

from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import find_model, read_exported, write_exported
from lassl.predict.scan_files import make_folder


def run(arguments: argparse.Namespace) -> int:
    """Read the model, gather what predicting needs, write the file; gives the exit code, 0. Raises LasslError."""
    source, target = find_model(arguments.model), arguments.output
    if target.suffix != ".pt":
        raise LasslError(f"{target}: found the suffix '{target.suffix}', expected .pt: by it `lassl predict` knows it")
    if target.resolve() == source.resolve():
        raise LasslError(f"{target}: is the model itself and would be overwritten; give another file with -o")
    make_folder(target.parent)
    write_exported(target, read_exported(source))
    print(target)
    return 0
