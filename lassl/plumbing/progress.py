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
FOLLOWED = "LASSL_PROGRESS"  # environment variable: a file for the progress, which another process can follow
SHOWN = {"loss": "loss", "dice": "Dice"}  # the values of a step that the bar shows


def bar(items: Iterable[Item], work: str, unit: str, total: int, done: int = 0) -> "tqdm[Item]":
    """Go through items under a bar on stderr, moved each second on a terminal or in a notebook, else each half minute.

    If the environment variable FOLLOWED names a file, the bar is updated every second, and the file has its state.
    `work` and `unit` label the bar; it counts from `done`, the items before these, to `total`. There is no bar without
    items.
    """
    followed = FOLLOWED in os.environ
    pause = 1.0 if followed or sys.stderr.isatty() or "ipykernel" in sys.modules else 30.0
    kind: type[tqdm[Item]] = _Followed if followed else tqdm
    return kind(items, work, total, unit=unit, initial=done, mininterval=pause, maxinterval=pause, disable=not total)


@dataclass(frozen=True)
class BarState:
    """The state of a bar: `done` of `total` items, the seconds left (None: unknown yet), and the text next to it."""

    done: int
    total: int
    seconds_left: float | None
    scores: str


def read_bar(path: Path) -> BarState | None:
    """The state of a bar from its file; None if there is no bar."""
    try:
        return BarState(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None


class _Followed(tqdm):  # type: ignore[type-arg]
    """A bar that writes its state to the file under FOLLOWED at every update, and removes the file at its end."""

    def display(self, *words: Any, **options: Any) -> None:
        now = self.format_dict
        made, left = now["n"] - now["initial"], now["total"] - now["n"]
        seconds = left * now["elapsed"] / made if made else None
        state = BarState(now["n"], now["total"], seconds, now["postfix"] or "")
        path = Path(os.environ[FOLLOWED])
        with suppress(OSError):  # such as a full disk: the work goes on without a visible state
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


class InnerBar(tqdm):  # type: ignore[type-arg]
    """A bar on stderr that also moves within an item, as often as `bar` does."""

    def __init__(self, work: str, unit: str, total: int):
        pause = 1.0 if sys.stderr.isatty() else 30.0
        form = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} " + unit + "s [{elapsed}<{remaining}{postfix}]"
        super().__init__(
            desc=work, total=total, bar_format=form, mininterval=pause, maxinterval=pause, disable=not total
        )
        self.items = 0

    def within(self, done: int, total: int) -> None:
        """Show how far the current item is; it never goes back where `total` grows."""
        self.set_postfix_str(f"window {done} of {total}", refresh=False)
        self.update(max(self.items + done / total - self.n, 0))

    def next(self) -> None:
        """Show that the current item is done."""
        self.items += 1
        self.update(self.items - self.n)


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
    """Write a line for the user on stderr, above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
