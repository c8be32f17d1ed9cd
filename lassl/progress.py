"""The progress bar of long work: share done, time left, speed."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def bar(items: Iterable[Item], work: str, unit: str, total: int, done: int = 0) -> "tqdm[Item]":
    """Go through items under a bar on stderr: moved each second on a terminal, each half minute in a log file."""
    pause = 1.0 if sys.stderr.isatty() else 30.0
    return tqdm(items, desc=work, unit=unit, total=total, initial=done, mininterval=pause, maxinterval=pause)


def tell(text: str) -> None:
    """Tell the user something on stderr, on a line of its own above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
