"""`lassl pages`: what README.md and docs/ have of metrics/, the code and conf/."""

import argparse
from importlib import import_module


def run(arguments: argparse.Namespace) -> int:
    """Write the pages that are named, or all of them; the exit code is 0. Raises LasslError."""
    for page in arguments.pages or ("readme", "methods", "flaws"):
        import_module(f"lassl.pages.{page}").write()
    return 0
