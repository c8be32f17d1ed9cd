"""`lassl download`: downloads the 100 real scans to data/raw/la2018."""

import argparse

from lassl.data.la2018 import FOLDER, HASHES, SOURCES, bring, hashes
from lassl.plumbing.errors import LasslError, note


def run(arguments: argparse.Namespace) -> int:
    """Copy the scans and check their hashes; the exit code is 0. Raises LasslError without writing anything."""
    if len(arguments.source) not in (0, 2):
        raise LasslError(f"found {len(arguments.source)} arguments; give a repository and a folder in it, or nothing")
    bring(FOLDER, hashes(HASHES), [tuple(arguments.source)] if arguments.source else SOURCES)
    note(f"{FOLDER}: {len(hashes(HASHES))} scans, each with the expected sha256")
    return 0
