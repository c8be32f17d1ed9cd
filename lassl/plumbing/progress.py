"""The progress bar of long work: share done, time left, speed, and of a training what it learns."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
RECENT = 20  # steps
SHOWN = {"loss": "loss", "dice": "Dice"}  # of the values that a step logs


def bar(items: Iterable[Item], work: str, unit: str, total: int, done: int = 0) -> "tqdm[Item]":
    """Go through items under a bar on stderr: moved each second on a terminal, each half minute in a log file."""
    pause = 1.0 if sys.stderr.isatty() else 30.0
    return tqdm(items, desc=work, unit=unit, total=total, initial=done, mininterval=pause, maxinterval=pause)


def recent(curves: Sequence[Mapping[str, float]]) -> str:
    """The mean loss and Dice of the last steps, as far as they log them, such as `loss 0.412, Dice 0.831`."""
    last = curves[-RECENT:]
    values = {label: [step[name] for step in last if name in step] for name, label in SHOWN.items()}
    return ", ".join(f"{label} {sum(found) / len(found):.3f}" for label, found in values.items() if found)


def tell(text: str) -> None:
    """Tell the user something on stderr, on a line of its own above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
