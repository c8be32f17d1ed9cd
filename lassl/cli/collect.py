"""`lassl collect`: runs that were made in other clones, without a disk in common, come together in this one."""

import argparse

from lassl.plumbing.errors import note
from lassl.runs.collect import collect
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit code is 1 if a run was refused or has other bits elsewhere. Raises LasslError."""
    found = collect(load(), arguments.sources, arguments.overwrite)
    for line in (*found.taken, *found.same):
        print(line)
    for line in (*found.refused, *found.different):
        note(line)
    return int(bool(found.refused or found.different))
