"""The progress bar for long work: share done, time left, speed, and the loss and Dice of a training."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
RECENT = 20  # steps
FOLLOWED = "LASSL_PROGRESS"  # environment variable: a file for the progress, which another process can follow
SHOWN = {"loss": "loss", "dice": "Dice"}  # the values of a step that the bar shows


def bar(items: Iterable[Item], work: str, unit: str, total: int, done: int = 0) -> "tqdm[Item]":
    """Iterate over items with a bar on stderr, updated every second on a terminal, every half minute in a log file.

    If the environment variable FOLLOWED names a file, the bar is updated every second, and the file has its state.
    `work` and `unit` label the bar; it counts from `done`, the items before these, to `total`. There is no bar without
    items.
    """
    followed = FOLLOWED in os.environ
    pause = 1.0 if followed or sys.stderr.isatty() else 30.0
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


def recent(curves: Sequence[Mapping[str, float]]) -> str:
    """The mean loss and Dice of the last RECENT steps, if they are logged, such as `loss 0.412, Dice 0.831`."""
    last = curves[-RECENT:]
    by_label = {label: [step[name] for step in last if name in step] for name, label in SHOWN.items()}
    return ", ".join(f"{label} {sum(values) / len(values):.3f}" for label, values in by_label.items() if values)


def tell(text: str) -> None:
    """Write a line for the user on stderr, above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
