"""`lassl doctor`: says what `dvc repro` needs, and what of it this machine and the present folder have.

Where the project is not installed: `python -m lassl.cli.doctor`.
"""

import argparse
import gc
import sys
from pathlib import Path

from lassl.cli.check_project import examine
from lassl.plumbing.errors import command


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each finding; the exit code is 1 if anything is missing, else 0."""
    gc.disable()  # what is loaded stays until the end: to look for garbage among it takes a tenth of the time
    try:
        findings = examine(Path())
    finally:
        gc.enable()
    print("\n".join(map(str, findings)))
    return int(any(finding.mark == "missing" for finding in findings))


if __name__ == "__main__":
    command(lambda: sys.exit(run(argparse.Namespace())))
