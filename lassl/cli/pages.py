"""`lassl pages`: fills the marked places of README.md and docs/ from metrics/, the code and conf/."""

import argparse
from importlib import import_module


def run(arguments: argparse.Namespace) -> int:
    """Fill the marked places of all pages; the exit code is 0. Raises LasslError."""
    import_module("lassl.pages.places").write()
    return 0
