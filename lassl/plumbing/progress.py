"""The progress of long work: a bar with share done, time left, speed, loss and Dice; curves for TensorBoard."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from lassl.plumbing.errors import LasslError

Item = TypeVar("Item")
Curves = Sequence[Mapping[str, float]]  # the values of each step by name
RECENT = 20  # steps
FOLLOWED = "LASSL_PROGRESS"  # in the environment: a file that tells how far the work is, for somebody who follows it
SHOWN = {"loss": "loss", "dice": "Dice"}  # of the values that a step logs


def bar(items: Iterable[Item], work: str, unit: str, total: int, done: int = 0) -> "tqdm[Item]":
    """Go through items under a bar on stderr, moved each second on a terminal, each half minute in a log file.

    Where the environment names a file under FOLLOWED, it is moved each second, and the file tells how far it is.
    `work` and `unit` are written beside it; it counts from `done`, the items before these, to `total`. There is no bar
    for no items.
    """
    followed = FOLLOWED in os.environ
    pause = 1.0 if followed or sys.stderr.isatty() else 30.0
    kind: type[tqdm[Item]] = _Followed if followed else tqdm
    return kind(items, work, total, unit=unit, initial=done, mininterval=pause, maxinterval=pause, disable=not total)


@dataclass(frozen=True)
class BarState:
    """How far a bar is: `done` of `total` items, the seconds left (None: not known yet), and the text beside it."""

    done: int
    total: int
    seconds_left: float | None
    scores: str


def read_bar(path: Path) -> BarState | None:
    """What the file of a bar tells; None where there is no bar."""
    try:
        return BarState(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None


class _Followed(tqdm):  # type: ignore[type-arg]
    """A bar that writes how far it is, whenever it is moved, into the file under FOLLOWED; removes it at its end."""

    def display(self, *words: Any, **options: Any) -> None:
        now = self.format_dict
        made, left = now["n"] - now["initial"], now["total"] - now["n"]
        seconds = left * now["elapsed"] / made if made else None
        state = BarState(now["n"], now["total"], seconds, now["postfix"] or "")
        path = Path(os.environ[FOLLOWED])
        with suppress(OSError):  # as of a full disk: the work goes on, and nobody sees how far
            temporary = path.with_name(f"{path.name}.new")
            temporary.write_text(json.dumps(asdict(state)), "utf-8")
            temporary.replace(path)
        super().display(*words, **options)

    def close(self) -> None:
        ends = not self.disable
        super().close()
        if ends:
            with suppress(OSError):
                Path(os.environ[FOLLOWED]).unlink(missing_ok=True)


def recent(curves: Curves) -> str:
    """The mean loss and Dice of the last RECENT steps, as far as they log them, such as `loss 0.412, Dice 0.831`."""
    last = curves[-RECENT:]
    by_label = {label: [step[name] for step in last if name in step] for name, label in SHOWN.items()}
    return ", ".join(f"{label} {sum(values) / len(values):.3f}" for label, values in by_label.items() if values)


@contextmanager
def live_curves(folder: Path | None) -> Iterator[Callable[[Curves], None]]:
    """Give a function that writes, of all curves so far, the steps that it has not written yet, for TensorBoard.

    Event files that are in the folder are removed: a training that goes on writes its curves again from the first step,
    so that none is there twice. Without a folder nothing is written. Raises LasslError where the package is missing.
    """
    if folder is None:
        yield lambda curves: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter  # here: few want it
    except ImportError:
        found = "the package tensorboard is not installed"
        raise LasslError(f"params.yaml: running.tensorboard: {found}; `pip install tensorboard`") from None
    for earlier in folder.glob("events.out.tfevents.*"):
        earlier.unlink()
    writer, written = SummaryWriter(str(folder)), 0

    def follow(curves: Curves) -> None:
        nonlocal written
        for step, values in enumerate(curves[written:], written):
            for name, value in values.items():
                writer.add_scalar(name, value, step)
        written = len(curves)

    try:
        yield follow
    finally:
        writer.close()


def tell(text: str) -> None:
    """Write a line on stderr for the user, above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
