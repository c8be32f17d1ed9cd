"""`lassl pictures`: saves the main figures of reports as PNG files in docs/figures."""

import argparse

from lassl.paths import FIGURES, report_page
from lassl.report.pictures import save_pictures


def run(arguments: argparse.Namespace) -> int:
    """Write the pictures and print their paths; the exit code is 0. Raises LasslError."""
    for profile in arguments.profiles:
        for path in save_pictures(report_page(profile), FIGURES, profile):
            print(path)
    return 0
