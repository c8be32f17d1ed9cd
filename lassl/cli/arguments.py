"""The arguments of the subcommands of `lassl` for scans, masks and models; the others are in project_arguments.py.

Only the standard library is imported, so that help and errors in a command line appear at once.
"""

import argparse
import math
import re
from pathlib import Path

from lassl.cli import project_arguments
from lassl.cli.project_arguments import count, overwrite


def parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands; parsed arguments have the subcommand's name as `command`."""
    lassl = argparse.ArgumentParser(prog="lassl", description="Left-atrium segmentation by semi-supervised learning.")
    subparsers = lassl.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (predict, evaluate, export, import_weights, *project_arguments.COMMANDS):
        add(subparsers)
    return lassl


def predict(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.predict."""
    parser = subparsers.add_parser(
        "predict",
        help="segment scans with a trained model",
        description="Writes FOLDER/<scan's name> for each scan: a mask of 0 and 1, or of the values of several "
        "structures, on the scan's own grid, in its format (.nrrd for DICOM). FOLDER/volumes.csv lists all scans with "
        "their volumes in mL. A folder stands for all scans in it; their masks keep its sub-folders. CASE/image.* and "
        "CASE/lgemri.* are named after the folder CASE. Any spacing and orientation works. Give whole scans: a model "
        "that learned from crops first looks for the structure. If a scan fails, the command reports it and goes on; "
        "it also reports masks that are empty or far from the volumes of the training. The same command continues "
        "after an interruption.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="atrium, which comes with lassl; a run as profile/method-d0-s0; a model file; or A,B,C: their mean",
    )
    parser.add_argument(
        "scans",
        metavar="SCAN",
        nargs="+",
        type=Path,
        help="a file (NRRD, NIfTI, MetaImage), DICOM folder, or folder of those; of two channels: t1.nrrd,flair.nrrd",
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="where masks are written")
    parser.add_argument(
        "--network", choices=("default", "teacher", "second", "ensemble"), default="default", help="of the model"
    )
    parser.add_argument(
        "--largest-component", action="store_true", help="keep the largest part of each structure alone"
    )
    parser.add_argument("--probability", action="store_true", help="also write <name>-probability; NaN: not looked at")
    parser.add_argument("--preview", action="store_true", help="also write <name>.png: three planes with the outlines")
    parser.add_argument(
        "--uncertainty", action="store_true", help="also write <name>-uncertainty: entropy in nats; NaN: not looked at"
    )
    parser.add_argument("--passes", type=count, default=8, help="with dropout, for the uncertainty (default: 8)")
    overwrite(parser)
    parser.add_argument("--normalized", action="store_true", help="the scans are normalized already, as the field's h5")
    parser.add_argument("--memory", metavar="GIB", type=gibibytes, default=4.0, help="for a scan's arrays (default: 4)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--precision", choices=("bf16", "fp32"), help="default: that of the training, or fp32 on a CPU without bf16"
    )
    parser.add_argument("--stride", metavar="X,Y,Z", type=stride, help="of the window, in pooled voxels")


def gibibytes(text: str) -> float:
    """Read a number above 0. Raises argparse.ArgumentTypeError for other texts."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a number above 0")
    return value


def stride(text: str) -> tuple[int, int, int]:
    """Read three whole numbers from 1, as in 32,32,24. Raises argparse.ArgumentTypeError for other texts."""
    try:
        x, y, z = map(count, text.split(","))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"found '{text}', expected x,y,z as in 32,32,24") from None
    return x, y, z


def export(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.export."""
    parser = subparsers.add_parser(
        "export",
        help="save a trained model as one file for use elsewhere",
        description="Writes weights, window, spacing, training record and scores into one file for `lassl predict`, or "
        "the default network as ONNX for other tools, with window and spacing in the file's metadata. Run it in the "
        "project's folder, because it needs the record of the run's evaluation.",
    )
    parser.add_argument("model", metavar="MODEL", help="a run (profile/method-d0-s0), a model file, or atrium")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="the file to write, .pt or .onnx"
    )
    parser.add_argument(
        "--format", choices=("lassl", "onnx"), default="lassl", help="onnx takes only sizes that the network can halve"
    )
    parser.add_argument(
        "--half", action="store_true", help="store the weights in half precision; only for the lassl format"
    )
    overwrite(parser)


def import_weights(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.import_weights."""
    parser = subparsers.add_parser(
        "import-weights",
        help="convert a published V-Net checkpoint to a model",
        description="Reads a PyTorch file with the V-Net of UA-MT or of code derived from it (SASSNet, DTC, MC-Net, "
        "SS-Net, BCP) and writes a model for `lassl predict`, `export` and `evaluate`. It does not run code from the "
        "file.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="the file as published by its authors")
    parser.add_argument("--name", required=True, help="name of the model and of the files of its row")
    parser.add_argument("--title", help="title of its row in the table (default: the name)")
    parser.add_argument(
        "-o", "--output", metavar="FILE.pt", type=Path, help="the file to write (default: models/imported/NAME.pt)"
    )
    overwrite(parser)


def values(text: str) -> tuple[str, tuple[int, ...]]:
    """Read a structure's name, which may be left out, and its values, whole numbers from 1: 47,48 or NAME=47,48.

    Raises argparse.ArgumentTypeError for other texts.
    """
    name, equals, numbers = text.rpartition("=")
    try:
        if equals and not re.fullmatch(r"\w[\w-]*", name):
            raise ValueError
        return name, tuple(map(count, numbers.split(",")))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"found '{text}', expected whole numbers as in 47,48 or NAME=47,48") from None


def evaluate(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.evaluate."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a folder of masks from any software, or a model with imported weights",
        description="Scores masks against references, matched by file name without suffix, and writes FOLDER/NAME.json "
        "and .csv and FOLDER/records/NAME.yaml. In metrics/external, masks of all test cases of a profile become a row "
        "of its table. Instead of masks you can give a model from `lassl import-weights`, which then segments the test "
        "cases of a prepared cohort; run this in the project's folder, because its params.yaml sets the device.",
    )
    parser.add_argument(
        "predictions",
        type=Path,
        help="folder of masks (NRRD, NIfTI or MetaImage), or a model (models/imported/NAME.pt)",
    )
    parser.add_argument(
        "references", type=Path, help="folder of masks, or of raw scans with labels; for a model, data/prepared/COHORT"
    )
    parser.add_argument("--name", help="name of the written files (default: the folder's or the model's)")
    parser.add_argument("--title", help="title of the row in the table (default: the model's, or the name)")
    parser.add_argument("--split", type=Path, help="score only the test cases of this split file")
    parser.add_argument(
        "--values",
        metavar="[NAME=]N,N",
        type=values,
        action="append",
        default=[],
        help="values of a structure, where masks and references have several; once for each structure to score, with "
        "its name: --values hippocampus=47,48 --values thalamus=59,60",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", default=Path("metrics/external"))
    overwrite(parser)
