"""`lassl pages`: fills the marked places of README.md and docs/ from metrics/, the code and conf/."""

import argparse

from lassl.pages.places import write


def run(arguments: argparse.Namespace) -> int:
    """Fill the marked places of all pages; the exit code is 0. Raises LasslError."""
    write()
    return 0
