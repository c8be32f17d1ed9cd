"""Stage `table`: all runs of the profile beside the published figures. Profiles that are named get theirs again."""

import argparse

from lassl import config
from lassl.plumbing.errors import command
from lassl.results.remarks import read_table
from lassl.results.table import table
from lassl.results.terminal import show
from lassl.sections import Statistics


def main() -> None:
    """Write metrics/<profile>/table.json, table.md and details.md, and show the scores. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.table", description=__doc__)
    parser.add_argument("again", metavar="PROFILE", nargs="*", help="whose table to make again, by its own statistics")
    if again := parser.parse_args().again:
        for profile in again:
            table(profile, Statistics(**read_table(profile)["statistics"]))
        return
    settings = config.load()
    table(settings.name, settings.statistics)
    show(settings.name, absent="comes next: the stage `report` makes it, or DVC's cache has it")


if __name__ == "__main__":
    command(main)
