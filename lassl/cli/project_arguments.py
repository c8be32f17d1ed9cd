"""The arguments of the subcommands of `lassl` that work in the project's folder; only the standard library is used."""

import argparse
from pathlib import Path


def overwrite(parser: argparse.ArgumentParser) -> None:
    """The one way to let a command replace what is there."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")


def count(text: str) -> int:
    """Read a whole number from 1. Raises argparse.ArgumentTypeError for other texts."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number from 1")
    return int(text)


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


def collect(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.collect."""
    parser = subparsers.add_parser(
        "collect",
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
        "same label split and seed) the width of an interval, the smallest difference that is found with 80 %% power, "
        "by one test and in the family, and the hours that the pairs take.",
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


def compose(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.compose."""
    parser = subparsers.add_parser(
        "compose",
        help="write params.yaml from conf/",
        description="Composes params.yaml from the defaults in conf/ and what is named here, as `dvc exp run -S` does "
        "before an experiment, and moves the entries of its runs into dvc.lock. Nothing is run.",
    )
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="such as profile=compact or train.steps=100")


def repro(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.repro."""
    parser = subparsers.add_parser(
        "repro",
        help="make all runs of params.yaml, several at a time, and the table",
        description="Makes what `dvc repro` makes, with as many runs at a time as this machine takes, and shows the "
        "scores. Stopped, it goes on with the same command.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="as `lassl runs` names them (default: all)")
    parser.add_argument("--workers", type=count, metavar="N", help="runs at a time (default: as many as fit)")


def show(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.show."""
    parser = subparsers.add_parser("show", help="show a profile's scores in the terminal")
    parser.add_argument("profile", metavar="PROFILE", nargs="?", help="one that has a table (default: params.yaml's)")


def tables(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.tables."""
    parser = subparsers.add_parser("tables", help="make tables again from the runs in metrics/; trains nothing")
    parser.add_argument("profiles", metavar="PROFILE", nargs="+", help="one that has a table")


def pages(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """lassl.cli.pages has no arguments."""
    subparsers.add_parser("pages", help="fill the marked places of README.md and docs/ from metrics/, code and conf/")


def search(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """lassl.cli.search has no arguments."""
    subparsers.add_parser(
        "search",
        help="gather the settings that were tried on training cases",
        description="Gathers the runs of the tuning mode, from this folder, the last commit and DVC's experiments, "
        "into metrics/PROFILE-tuning.",
    )


def download(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.download."""
    parser = subparsers.add_parser("download", help="download the 100 real scans to data/raw/la2018")
    parser.add_argument(
        "source", metavar="REPOSITORY FOLDER", nargs="*", help="a git repository and a folder in it to take them from"
    )


def published(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.published."""
    parser = subparsers.add_parser("published", help="fetch and score the checkpoints that UA-MT's authors published")
    parser.add_argument("action", choices=("fetch", "score"))
    parser.add_argument("repository", metavar="REPOSITORY", nargs="?", help="another copy of theirs to fetch from")


def pictures(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.pictures."""
    parser = subparsers.add_parser("pictures", help="save the main figures of reports; needs chromium")
    parser.add_argument("profiles", metavar="PROFILE", nargs="+", help="one that has a report")


def forest(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Arguments of lassl.cli.forest."""
    parser = subparsers.add_parser("forest", help="plot the differences to the baseline as SVG, light and dark")
    parser.add_argument("profiles", metavar="PROFILE", nargs="+", help="one that has a table")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, default="docs/figures", help="(default: %(default)s)"
    )


COMMANDS = (
    *(doctor, compose, repro, runs, collect, show, power, search, tables, pages, pictures, forest),
    *(download, published),
)
