"""The command `lassl`: one subcommand for each module of lassl.commands."""

import argparse
import sys
from collections.abc import Sequence

from lassl.commands import doctor, evaluate, export, predict
from lassl.errors import command


def parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands."""
    whole = argparse.ArgumentParser(prog="lassl", description="Left-atrium segmentation by semi-supervised learning.")
    subparsers = whole.add_subparsers(metavar="COMMAND", required=True)
    for module in (predict, export, evaluate, doctor):
        module.add(subparsers)
    return whole


def run(words: Sequence[str]) -> int:
    """Run a command line without the program's name, and give the exit code. Raises LasslError."""
    arguments = parser().parse_args(words)
    code: int = arguments.run(arguments)
    return code


def main() -> None:
    """Run the command line; a LasslError becomes a line on stderr and its exit code."""
    command(lambda: sys.exit(run(sys.argv[1:])))


if __name__ == "__main__":
    main()
