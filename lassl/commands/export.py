"""`lassl export`: one file with a trained model and all that predicting needs."""

import argparse
from pathlib import Path

from lassl import exported
from lassl.errors import LasslError
from lassl.scanfiles import make_folder


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "export",
        help="write a trained model as one file that predicts elsewhere",
        description="Writes weights, window, spacing, training record and scores into one file for `lassl predict`. "
        "Run it in the project's folder, where the run's record and its prepared cohort are.",
    )
    parser.add_argument("model", metavar="RUN_OR_MODEL", help="a run as profile/method-d0-s0, or a model file")
    parser.add_argument("-o", "--output", metavar="FILE.pt", type=Path, required=True, help="the file to write")
    parser.set_defaults(run=run)


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
