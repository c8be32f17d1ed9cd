"""`lassl repro`: does what `dvc repro` does, with as many runs at a time as this machine can take."""

import argparse

from lassl.plumbing.errors import LasslError
from lassl.runs.leash import alone
from lassl.runs.outputs import in_the_way
from lassl.runs.repro import make_all
from lassl.runs.requested import find
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Make the named runs, or all of params.yaml, and the table; print the scores and what to do next.

    Returns the exit code, 0. Raises LasslError, and Stopped after Ctrl-C.
    """
    settings = load()
    for name in arguments.runs:
        find(settings, name)
    if problems := in_the_way(settings):
        raise LasslError("\n".join(problems))
    with alone():
        make_all(settings, arguments.runs, arguments.workers)
    return 0
