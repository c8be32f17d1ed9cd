"""The progress bar of long work: share done, time left, speed, and the loss and Dice of a training."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
RECENT = 20  # steps
SHOWN = {"loss": "loss", "dice": "Dice"}  # of the values that a step logs


def bar(items: Iterable[Item], work: str, unit: str, total: int, done: int = 0) -> "tqdm[Item]":
    """Go through items under a bar on stderr, moved each second on a terminal, each half minute in a log file.

    TQDM_MININTERVAL in the environment sets other seconds for a log file that somebody follows.
    `work` and `unit` are written beside it; it counts from `done`, the items before these, to `total`. There is no bar
    for no items.
    """
    pause = 1.0 if sys.stderr.isatty() else float(os.environ.get("TQDM_MININTERVAL", "30"))
    return tqdm(items, work, total, unit=unit, initial=done, mininterval=pause, maxinterval=pause, disable=not total)


def recent(curves: Sequence[Mapping[str, float]]) -> str:
    """The mean loss and Dice of the last RECENT steps, as far as they log them, such as `loss 0.412, Dice 0.831`."""
    last = curves[-RECENT:]
    by_label = {label: [step[name] for step in last if name in step] for name, label in SHOWN.items()}
    return ", ".join(f"{label} {sum(values) / len(values):.3f}" for label, values in by_label.items() if values)


def tell(text: str) -> None:
    """Write a line on stderr for the user, above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
