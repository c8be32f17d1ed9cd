"""The arguments of each subcommand of `lassl`.

Only the standard library is imported, so that help and errors in a command line appear at once.
"""

import argparse
import math
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands; parsed arguments have the subcommand's name as `command`."""
    lassl = argparse.ArgumentParser(prog="lassl", description="Left-atrium segmentation by semi-supervised learning.")
    subparsers = lassl.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (predict, export, adopt, evaluate, runs, gather, power, doctor):
        add(subparsers)
    return lassl


def predict(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.predict."""
    parser = subparsers.add_parser(
        "predict",
        help="segment scans with a trained model",
        description="Writes FOLDER/<scan's name> for each scan: a mask of 0 and 1 on the scan's own grid, in its "
        "format (.nrrd for DICOM). CASE/image.* and CASE/lgemri.* are named after the folder CASE. Any spacing and "
        "orientation will do. Give whole scans: where a model learned from crops, it first looks for the structure. A "
        "scan that fails, or whose mask is there already, is reported, and the others are done. So is a mask that can "
        "hardly be right: empty, or far from the volumes of the training. A map is NaN where nobody looked, outside of "
        "what the first look found.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="atrium, which comes with lassl; a run as profile/method-d0-s0; a model file; an exported file",
    )
    parser.add_argument(
        "scans", metavar="SCAN", nargs="+", type=Path, help="an image file: NRRD, NIfTI or MetaImage; or a DICOM folder"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="where masks are written")
    parser.add_argument(
        "--network", choices=("default", "teacher", "second", "ensemble"), default="default", help="of the model"
    )
    parser.add_argument("--largest-component", action="store_true", help="keep the largest part of a mask alone")
    parser.add_argument("--probability", action="store_true", help="also write <name>-probability; NaN: not looked at")
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


def overwrite(parser: argparse.ArgumentParser) -> None:
    """The one way to let a command replace what is there."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")


def count(text: str) -> int:
    """Read a whole number from 1. Raises argparse.ArgumentTypeError for other texts."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number from 1")
    return int(text)


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
        help="write a trained model as one file that predicts elsewhere",
        description="Writes weights, window, spacing, training record and scores into one file for `lassl predict`, or "
        "the default network as ONNX for other tools, with window and spacing in the file's metadata. Run it in the "
        "project's folder, where the record of the run's evaluation is.",
    )
    parser.add_argument("model", metavar="MODEL", help="a run as profile/method-d0-s0, a model file, atrium")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="the file to write: .pt, .onnx"
    )
    parser.add_argument(
        "--format", choices=("lassl", "onnx"), default="lassl", help="onnx: takes sizes that are multiples of 16 alone"
    )
    parser.add_argument("--half", action="store_true", help="store weights of the lassl format in half precision")
    overwrite(parser)


def adopt(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.adopt."""
    parser = subparsers.add_parser(
        "adopt",
        help="make a model of a published checkpoint of the field's V-Net",
        description="Reads a PyTorch file with the V-Net of UA-MT's code or its descendants (SASSNet, DTC, MC-Net, "
        "SS-Net, BCP), runs no code from it, and writes a model for `lassl predict`, `export` and `evaluate`.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="the file as its authors published it")
    parser.add_argument("--name", required=True, help="of the model, and of its row's files")
    parser.add_argument("--title", help="of its row in the table (default: the name)")
    parser.add_argument(
        "-o", "--output", metavar="FILE.pt", type=Path, help="the file to write (default: models/adopted/NAME.pt)"
    )
    overwrite(parser)


def evaluate(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.evaluate."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a folder of masks, whoever made them, or a model that was adopted",
        description="Scores masks against references, matched by file name without suffix, and writes FOLDER/NAME.json "
        "and .csv and FOLDER/records/NAME.yaml. In metrics/external, masks of all test cases of a profile become a row "
        "of its table. In place of masks, a model that `lassl adopt` wrote segments the test cases of a prepared "
        "cohort first; run it in the project's folder, whose params.yaml says on which device.",
    )
    parser.add_argument(
        "predictions", type=Path, help="folder of masks: NRRD, NIfTI or MetaImage; or a model, models/adopted/NAME.pt"
    )
    parser.add_argument(
        "references", type=Path, help="folder of masks, or of raw scans with their labels; for a model data/prepared/*"
    )
    parser.add_argument("--name", help="of the files that are written (default: that of the folder or the model)")
    parser.add_argument("--title", help="of the table's row (default: the model's, or the name)")
    parser.add_argument("--split", type=Path, help="score the test cases of this split file alone")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", default=Path("metrics/external"))
    overwrite(parser)


def runs(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.runs."""
    parser = subparsers.add_parser(
        "runs",
        help="list the runs that are not made yet",
        description="Lists the runs that params.yaml asks for and that are not made: missing, trained or evaluated, "
        "with the minutes that like runs took. The exit code is 1 if there are any.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--names", action="store_true", help="their names alone, one a line; the exit code is 0")
    what.add_argument("--stages", metavar="RUN", help="the DVC stages of one, as profile/method-d0-s0, in order")


def gather(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.gather."""
    parser = subparsers.add_parser(
        "gather",
        help="bring runs together that were made in other clones",
        description="Takes the finished runs of params.yaml that other clones have: their entries of dvc.lock and "
        "their files in metrics/; `dvc pull` then brings their models. A run that was made from other data, code or "
        "settings is refused, as is one whose scores here are others. Where several clones have a run, the first "
        "counts, and other bits are named.",
    )
    parser.add_argument("sources", metavar="PATH_OR_BRANCH", nargs="+", help="a clone's folder, or a branch here")
    overwrite(parser)


def power(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.power."""
    parser = subparsers.add_parser(
        "power",
        help="say what a number of trainings can show",
        description="From the runs in metrics/: how much a training moves a row's mean Dice, the differences to the "
        "baseline with trainings and patients both random, and for numbers of pairs (a training of each row with the "
        "same draw and seed) the width of an interval, the smallest difference that is found with 80 %% power, by one "
        "test and in the family, and the hours that the pairs take.",
    )
    parser.add_argument("profile", metavar="PROFILE", nargs="?", help="one that has a table (default: params.yaml's)")


def doctor(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """lassl.cli.doctor has no arguments."""
    subparsers.add_parser(
        "doctor",
        help="say what is there and what is missing to run the pipeline",
        description="Run it in the project's folder. Marks: ok, warning, missing; the exit code is 1 if anything is "
        "missing that `dvc repro` needs for the present params.yaml.",
    )
