"""`lassl download`: downloads the scans of a public cohort to data/raw/."""

import argparse

from lassl.data.public import LA2018, PUBLIC, bring, hashes
from lassl.plumbing.errors import LasslError, note


def run(arguments: argparse.Namespace) -> int:
    """Copy the scans and check their hashes; the exit code is 0. Raises LasslError without writing anything."""
    words = list(arguments.source)
    public = PUBLIC[words.pop(0)] if words and words[0] in PUBLIC else LA2018
    if len(words) not in (0, 2):
        raise LasslError(
            f"found {' '.join(arguments.source)}; expected one of {', '.join(PUBLIC)}, and perhaps a repository and a "
            "folder in it"
        )
    expected = hashes(public.hashes)
    if public.terms:
        note(f"{public.cohort}: {public.terms}")
    bring(public, expected, [(words[0], words[1])] if words else public.sources)
    note(f"{public.folder}: {len(expected)} files, each with the expected sha256")
    return 0
