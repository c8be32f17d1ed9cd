"""`lassl search`: collects the trials of hyper-parameter searches on training cases, with their scores."""

import argparse

from lassl.results.search import SCORES, folders, gather, read_trials, sources


def run(arguments: argparse.Namespace) -> int:
    """Collect the trials of all profiles, and print the number for each; the exit code is 0. Raises LasslError."""
    for folder in folders():
        new = gather(folder, sources(folder))
        print(f"{folder / SCORES}: {len(read_trials(folder))} trials, {new} of them new")
    return 0
