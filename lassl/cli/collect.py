"""`lassl collect`: copies runs from other clones into this one; the clones need no common disk."""

import argparse

from lassl.plumbing.errors import note
from lassl.runs.collect import collect
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Print the runs; the exit code is 1 if a run was refused or differs between clones. Raises LasslError."""
    found = collect(load(), arguments.sources, arguments.overwrite)
    for line in (*found.taken, *found.same):
        print(line)
    for line in (*found.refused, *found.different):
        note(line)
    return int(bool(found.refused or found.different))
