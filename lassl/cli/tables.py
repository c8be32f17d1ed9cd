"""`lassl tables`: writes the tables of profiles again from their runs in metrics/."""

import argparse

from lassl.results.document import read_table
from lassl.results.table import table


def run(arguments: argparse.Namespace) -> int:
    """Write the table of each profile with its own statistics settings; the exit code is 0. Raises LasslError."""
    for profile in arguments.profiles:
        table(profile, read_table(profile).statistics)
    return 0
