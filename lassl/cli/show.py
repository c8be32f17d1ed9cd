"""`lassl show`: prints a profile's scores in the terminal, as `make repro` does at its end."""

import argparse

from lassl.results.terminal import show
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Print the scores; the exit code is 0. Raises LasslError."""
    show(arguments.profile or load().name)
    return 0
