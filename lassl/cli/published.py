"""`lassl published`: downloads and scores the checkpoints that the authors of UA-MT published."""

import argparse

from lassl.plumbing.errors import LasslError
from lassl.runs import published
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Download the checkpoints, or score their models; the exit code is 0. Raises LasslError."""
    if arguments.action == "score" and arguments.repository:
        raise LasslError(f"found the repository {arguments.repository}, but only `lassl published fetch` takes one")
    if arguments.action == "fetch":
        published.fetch(load(), *([arguments.repository] if arguments.repository else []))
    else:
        published.score(load())
    return 0
