"""`lassl doctor`: checks whether this machine and the current folder have everything that `dvc repro` needs.

If the project is not installed: `python -m lassl.cli.doctor`.
"""

import argparse
import gc
import sys
from pathlib import Path

from lassl.cli.check_project import examine
from lassl.plumbing.errors import command


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each finding; the exit code is 1 if anything is missing, else 0."""
    gc.disable()  # loaded modules stay until the end, and searching them for garbage takes a tenth of the time
    try:
        findings = examine(Path())
    finally:
        gc.enable()
    print("\n".join(map(str, findings)))
    return int(any(finding.mark == "missing" for finding in findings))


if __name__ == "__main__":
    command(lambda: sys.exit(run(argparse.Namespace())))
