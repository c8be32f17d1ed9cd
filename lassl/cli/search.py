"""`lassl search`: gathers the settings that were tried on training cases, and their scores."""

import argparse

from lassl.results.search import SCORES, folders, gather, read_trials, sources


def run(arguments: argparse.Namespace) -> int:
    """Gather the trials of all profiles, and tell how many there are of each; the exit code is 0. Raises LasslError."""
    for folder in folders():
        new = gather(folder, sources(folder))
        print(f"{folder / SCORES}: {len(read_trials(folder))} trials, {new} of them new")
    return 0
