"""Follows runs that are made at the same time by their logs and progress files, and shows them together."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lassl.plumbing.progress import read_bar

STAGE = re.compile(r"Running stage '(\w+)(?:@|')")
EVERY = 30  # seconds between lines without a terminal
TRAINING = 0.8  # rough share of the training in the time of a run
SURE = 0.05  # share of the work after which the time left is shown


@dataclass
class Making:
    """A run in progress: its process, its place among the workers, its log, and its progress file."""

    name: str
    place: Mapping[str, str]
    process: subprocess.Popen[bytes]
    log: BinaryIO
    progress: Path
    started: float = field(default_factory=time.monotonic)
    stage: str = "waiting"
    percent: int = 0
    told: str = ""

    def follow(self) -> None:
        """Read the current stage from the new lines of the log, and its progress from the progress file."""
        for stage in STAGE.findall(self.log.read().decode("utf-8", "replace")):
            self.stage, self.percent, self.told = stage.replace("_", " "), 0, ""
        if now := read_bar(self.progress):
            self.percent = 100 * now.done // now.total
            left = "" if now.seconds_left is None else f"{clock(now.seconds_left)} left"
            self.told = ", ".join(filter(None, [now.scores, left]))

    @property
    def share(self) -> float:
        """The rough share that is done, from 0 to 1; the training takes most of the time."""
        return {"waiting": 0.0, "train": TRAINING * self.percent / 100}.get(self.stage, TRAINING)


class Display:
    """Shows progress: kept up to date on a terminal, else a line for each run and every half minute."""

    def __init__(self, minutes: Mapping[str, float], count: int):
        """`minutes`: expected time of each unfinished run; `count`: number of all runs, finished ones included."""
        self.minutes, self.count, self.made = dict(minutes), count, count - len(minutes)
        self.ended: set[str] = set()
        self.started = self.written = time.monotonic()
        self.console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Start the display."""
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the display."""
        self.live.stop()

    def say(self, text: str) -> None:
        """Write a line above the display."""
        self.console.print(text, soft_wrap=True)

    def end(self, making: Making, made: bool) -> None:
        """Report that a run has ended."""
        self.ended.add(making.name)
        self.made += made
        how = f"finished in {clock(time.monotonic() - making.started)}" if made else f"failed, see {making.log.name}"
        self.say(f"{making.name}: {how}; {self.made} of {self.count} runs are finished")
        making.log.close()

    def show(self, busy: Sequence[Making]) -> None:
        """Show the runs in progress."""
        if self.console.is_terminal:
            self.live.update(self.picture(busy), refresh=True)
        elif time.monotonic() - self.written >= EVERY:
            self.written = time.monotonic()
            now = "; ".join(f"{making.name} {making.stage} {making.percent} %" for making in busy)
            self.say(f"{self.summary(busy)}: {now}")

    def summary(self, busy: Sequence[Making]) -> str:
        """The finished runs, the time passed, and the time left once it can be estimated."""
        passed = time.monotonic() - self.started
        now = {making.name: making.share for making in busy} | dict.fromkeys(self.ended, 1.0)
        share = sum(self.minutes[name] * part for name, part in now.items()) / sum(self.minutes.values())
        left = f", about {clock(passed * (1 - share) / share)} left" if share > SURE else ""
        return f"{self.made} of {self.count} runs finished, {clock(passed)} passed{left}"

    def picture(self, busy: Sequence[Making]) -> RenderableType:
        """The summary, and a line for each run in progress."""
        table = Table.grid(padding=(0, 2))
        for making in busy:
            percent = f"{making.percent} %" if making.told else ""
            table.add_row("", making.name, making.stage, Text(percent, justify="right"), making.told)
        return Group(Text(self.summary(busy), style="bold"), table)


def clock(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
