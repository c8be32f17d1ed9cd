"""`lassl show`: a profile's scores in the terminal, as at the end of `make repro`."""

import argparse

from lassl.results.terminal import show
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Print the scores; the exit code is 0. Raises LasslError."""
    show(arguments.profile or load().name)
    return 0
