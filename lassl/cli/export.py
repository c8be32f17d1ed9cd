"""`lassl export`: one file with a trained model and all that predicting needs."""

import argparse

from lassl.plumbing.errors import LasslError
from lassl.predict import model_file as exported
from lassl.predict.scan_files import make_folder


def run(arguments: argparse.Namespace) -> int:
    """Read the model, gather what predicting needs, write the file. Raises LasslError."""
    source, target = exported.find(arguments.model), arguments.output
    if target.suffix != ".pt":
        raise LasslError(f"{target}: found the suffix '{target.suffix}', expected .pt: by it `lassl predict` knows it")
    if target.resolve() == source.resolve():
        raise LasslError(f"{target}: is the model itself and would be overwritten; give another file with -o")
    make_folder(target.parent)
    exported.write(target, exported.read(source))
    print(target)
    return 0
