"""`lassl forest`: the forest plot of each profile's table as SVG files for light and dark pages."""

import argparse

from lassl.report.forest import save_forest


def run(arguments: argparse.Namespace) -> int:
    """Write the plots, and print where they are; the exit code is 0. Raises LasslError."""
    for profile in arguments.profiles:
        for path in save_forest(profile, arguments.output):
            print(path)
    return 0
