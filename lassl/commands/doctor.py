"""`lassl doctor`: says what `dvc repro` would find on this machine and what it would miss.

Where packages are missing, so that `lassl` itself does not start: `python -m lassl.commands.doctor`.
"""

import argparse
import sys
from pathlib import Path

from lassl.checks import examine
from lassl.errors import command


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command, which has no arguments."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what is there and what is missing to run the pipeline",
        description="Run it in the project's folder. Marks: ok, warning, missing; the exit code is 1 if anything is "
        "missing that `dvc repro` needs for the present params.yaml.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each finding."""
    findings = examine(Path())
    print("\n".join(map(str, findings)))
    return int(any(finding.mark == "missing" for finding in findings))


if __name__ == "__main__":
    command(lambda: sys.exit(run(argparse.Namespace())))
