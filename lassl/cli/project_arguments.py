"""The arguments of the subcommands of `lassl` that work in the project's folder; imports only the standard library."""

import argparse
from pathlib import Path


def overwrite(parser: argparse.ArgumentParser) -> None:
    """Add --overwrite, without which no command replaces a file."""
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")


def count(text: str) -> int:
    """Read a whole number of 1 or more. Raises argparse.ArgumentTypeError for other texts."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number of 1 or more")
    return int(text)


def runs(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.runs."""
    parser = subparsers.add_parser(
        "runs",
        help="list the unfinished runs",
        description="Lists the unfinished runs of params.yaml with their state (missing, trained or evaluated) and "
        "the minutes that similar runs took. The exit code is 1 if there are any.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--names", action="store_true", help="print only the names, one per line; the exit code is 0")
    what.add_argument("--stages", metavar="RUN", help="print the DVC stages of a run (profile/method-d0-s0), in order")


def collect(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.collect."""
    parser = subparsers.add_parser(
        "collect",
        help="collect runs from other clones",
        description="Copies the finished runs of params.yaml from other clones: their entries in dvc.lock and their "
        "files in metrics/. `dvc pull` then downloads their models. A run is refused if its data, code or settings "
        "differ, or if this clone has different scores for it. If several clones have a run, the first one counts, "
        "and different results are reported.",
    )
    parser.add_argument("sources", metavar="PATH_OR_BRANCH", nargs="+", help="the folder of a clone, or a local branch")
    overwrite(parser)


def power(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.power."""
    parser = subparsers.add_parser(
        "power",
        help="show which differences a number of trainings can detect",
        description="From the runs in metrics/: how much retraining changes a row's mean Dice; the differences to the "
        "baseline, with both trainings and patients as random factors; and, for several numbers of pairs, the width "
        "of the interval, the smallest difference detected with 80 % power (by one test and in the family), and the "
        "hours of computing. A pair is one training of each row with the same label split and seed.",
    )
    parser.add_argument(
        "profile", metavar="PROFILE", nargs="?", help="a profile with a table (default: that of params.yaml)"
    )


def doctor(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """lassl.cli.doctor has no arguments."""
    subparsers.add_parser(
        "doctor",
        help="check this machine and folder for everything that the pipeline needs",
        description="Run it in the project's folder. Each line begins with ok, warning or missing. The exit code is 1 "
        "if anything is missing that `dvc repro` needs with the current params.yaml.",
    )


def compose(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.compose."""
    parser = subparsers.add_parser(
        "compose",
        help="write params.yaml from conf/",
        description="Composes params.yaml from the defaults in conf/ and the values given here, as `dvc exp run -S` "
        "does before an experiment, and moves the entries of its runs into dvc.lock. It does not run anything.",
    )
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="such as profile=compact or train.steps=100")


def repro(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.repro."""
    parser = subparsers.add_parser(
        "repro",
        help="run all of params.yaml, several runs at a time, and make the table",
        description="Does what `dvc repro` does, with as many runs at a time as this machine can take, and shows the "
        "scores. If you stop it, the same command continues.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="names as in `lassl runs` (default: all)")
    parser.add_argument("--workers", type=count, metavar="N", help="runs at a time (default: as many as fit)")


def show(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.show."""
    parser = subparsers.add_parser("show", help="show a profile's scores in the terminal")
    parser.add_argument(
        "profile", metavar="PROFILE", nargs="?", help="a profile with a table (default: that of params.yaml)"
    )


def tables(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.tables."""
    parser = subparsers.add_parser("tables", help="write tables again from the runs in metrics/, without training")
    parser.add_argument("profiles", metavar="PROFILE", nargs="+", help="a profile with a table")


def pages(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """lassl.cli.pages has no arguments."""
    subparsers.add_parser("pages", help="fill the marked places of README.md and docs/ from metrics/, code and conf/")


def search(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """lassl.cli.search has no arguments."""
    subparsers.add_parser(
        "search",
        help="collect the trials of hyper-parameter searches",
        description="Collects the runs of the tuning mode, which scores training cases, from this folder, the last "
        "commit and DVC's experiments into metrics/PROFILE-tuning.",
    )


def share(text: str) -> float:
    """Read a number between 0 and 1. Raises argparse.ArgumentTypeError for other texts."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a number between 0 and 1")
    return value


def seed(text: str) -> int:
    """Read a whole number of 0 or more. Raises argparse.ArgumentTypeError for other texts."""
    return 0 if text == "0" else count(text)


def import_folder(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.import_folder; `import` is a word of Python and cannot name a module."""
    parser = subparsers.add_parser(
        "import",
        help="make a cohort of a folder of nnU-Net or of the Medical Segmentation Decathlon",
        description="Reads dataset.json, imagesTr, labelsTr and imagesTs, and makes data/raw/NAME (links to files), "
        "splits/NAME.csv and conf/profile/NAME.yaml. Scans of imagesTs become unlabeled training cases; a share of the "
        "labeled cases, drawn with a seed, becomes the test cases. Patches, crop and counts fit the scans. Then run "
        "`dvc exp run -S profile=NAME`.",
    )
    parser.set_defaults(command="import-folder")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder with dataset.json")
    parser.add_argument("--name", required=True, help="of the cohort and its profile")
    parser.add_argument("--channel", metavar="CHANNEL", help="number or name of the only one to use (default: all)")
    parser.add_argument(
        "--test", metavar="SHARE", type=share, default=0.2, help="of the labeled cases, to test on (default: 0.2)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="by which they are drawn (default: 0)")
    overwrite(parser)


def download(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.download."""
    parser = subparsers.add_parser("download", help="download a public cohort to data/raw/")
    parser.add_argument(
        "source",
        metavar="COHORT REPOSITORY FOLDER",
        nargs="*",
        help="la2018 (the default) or brains; and a folder in another git repository to copy it from",
    )


def published(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.published."""
    parser = subparsers.add_parser(
        "published", help="download and score the checkpoints that the authors of UA-MT published"
    )
    parser.add_argument("action", choices=("fetch", "score"))
    parser.add_argument(
        "repository", metavar="REPOSITORY", nargs="?", help="for fetch: another copy of the authors' repository"
    )


def pictures(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.pictures."""
    parser = subparsers.add_parser("pictures", help="save the main figures of reports as PNG; needs Chromium")
    parser.add_argument("profiles", metavar="PROFILE", nargs="+", help="a profile with a report")


def forest(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.forest."""
    parser = subparsers.add_parser("forest", help="plot the differences to the baseline as SVG, light and dark")
    parser.add_argument("profiles", metavar="PROFILE", nargs="+", help="one that has a table")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, default="docs/figures", help="(default: %(default)s)"
    )


COMMANDS = (
    *(doctor, compose, repro, runs, collect, show, power, search, tables, pages, pictures, forest),
    *(import_folder, download, published),
)
