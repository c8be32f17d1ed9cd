"""Runs that are made side by side, followed by their logs and what their bars write, and shown together."""

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
EVERY = 30  # seconds between lines where no terminal is
TRAINING = 0.8  # share of a run's time that its training takes, roughly
SURE = 0.05  # share of the work after which the time left is told


@dataclass
class Making:
    """A run that a process of its own makes in one of the places for workers, its log, and the file of its bar."""

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
        """Read which stage runs, from what is new in the log, and how far it is, from the file of its bar."""
        for stage in STAGE.findall(self.log.read().decode("utf-8", "replace")):
            self.stage, self.percent, self.told = stage.replace("_", " "), 0, ""
        if now := read_bar(self.progress):
            self.percent = 100 * now.done // now.total
            left = "" if now.seconds_left is None else f"{clock(now.seconds_left)} left"
            self.told = ", ".join(filter(None, [now.scores, left]))

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1, roughly: the training is what takes longest."""
        return {"waiting": 0.0, "train": TRAINING * self.percent / 100}.get(self.stage, TRAINING)


class Display:
    """What is made and what is left, kept up to date on a terminal, else a line for each run and each half minute."""

    def __init__(self, minutes: Mapping[str, float], count: int):
        """`minutes` are those that each run is expected to take, `count` is of all runs, made before or not."""
        self.minutes, self.count, self.made = dict(minutes), count, count - len(minutes)
        self.ended: set[str] = set()
        self.started = self.written = time.monotonic()
        self.console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Begin to show."""
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear what was kept up to date."""
        self.live.stop()

    def say(self, text: str) -> None:
        """Write a line, above what is kept up to date."""
        self.console.print(text, soft_wrap=True)

    def end(self, making: Making, made: bool) -> None:
        """Tell that a run came to its end."""
        self.ended.add(making.name)
        self.made += made
        how = f"made in {clock(time.monotonic() - making.started)}" if made else f"not made, see {making.log.name}"
        self.say(f"{making.name}: {how}; {self.made} of {self.count} runs are made")
        making.log.close()

    def show(self, busy: Sequence[Making]) -> None:
        """Show the runs that are being made."""
        if self.console.is_terminal:
            self.live.update(self.picture(busy), refresh=True)
        elif time.monotonic() - self.written >= EVERY:
            self.written = time.monotonic()
            now = "; ".join(f"{making.name} {making.stage} {making.percent} %" for making in busy)
            self.say(f"{self.summary(busy)}: {now}")

    def summary(self, busy: Sequence[Making]) -> str:
        """How much is made, since when, and the time left, once there is something to tell it by."""
        passed = time.monotonic() - self.started
        now = {making.name: making.share for making in busy} | dict.fromkeys(self.ended, 1.0)
        share = sum(self.minutes[name] * part for name, part in now.items()) / sum(self.minutes.values())
        left = f", about {clock(passed * (1 - share) / share)} left" if share > SURE else ""
        return f"{self.made} of {self.count} runs made, {clock(passed)} passed{left}"

    def picture(self, busy: Sequence[Making]) -> RenderableType:
        """The summary, and a line for each run that is being made."""
        table = Table.grid(padding=(0, 2))
        for making in busy:
            percent = f"{making.percent} %" if making.told else ""
            table.add_row("", making.name, making.stage, Text(percent, justify="right"), making.told)
        return Group(Text(self.summary(busy), style="bold"), table)


def clock(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
