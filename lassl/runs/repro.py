"""`make repro`: all that `dvc repro` makes, with as many runs at a time as this machine takes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lassl.model.record import read_record
from lassl.paths import METRICS
from lassl.plumbing.errors import LasslError, Stopped, note
from lassl.plumbing.progress import FOLLOWED
from lassl.plumbing.tables import listed
from lassl.results.terminal import show
from lassl.runs import leash
from lassl.runs.following import Display, Making
from lassl.runs.in_cache import left_and_kept
from lassl.runs.requested import alike, asked, changes, minutes
from lassl.runs.telling import closing, stages_told
from lassl.runs.workers import workers
from lassl.settings.config import Config

PAUSE = 0.2  # seconds between two looks at the workers
Process = subprocess.Popen[bytes]
SCRIPTS = Path(sys.executable).parent  # where dvc and lassl are


def make_all(settings: Config, runs: Sequence[str], count: int | None) -> None:
    """Make these runs, or all, with so many workers, and the table. Raises LasslError, and Stopped by a signal."""
    started = time.monotonic()
    dvc("repro", "prepare")
    left = to_make(settings, runs)
    places = workers(settings, count)[: len(left)]
    failed = make(left, places, len(asked(settings))) if runs or len(places) > 1 else []
    if failed or runs:
        dvc("--wait-for-lock", "repro", "--single-item", "table", "report")
    else:
        dvc("repro")
    show(settings.name)
    if failed:
        raise LasslError(f"not made: {listed(failed)}; logs/ tells why, the table has the others")
    print(closing(settings, time.monotonic() - started))


def dvc(*words: str) -> None:
    """Run DVC, and tell which stages it runs; where it fails it has said why, and its exit code is taken over.

    Raises Stopped.
    """
    with stages_told() as stdout:
        process = leash.start([SCRIPTS / "dvc", *words], os.environ, stdout)
        try:
            code = process.wait()
        except KeyboardInterrupt as interruption:
            raise stopped([process], interruption) from None
    if code:
        sys.exit(code)


def to_make(settings: Config, names: Sequence[str]) -> dict[str, float]:
    """The runs of these names, or of all, that are not made yet, and the minutes that each will take (1: not known).

    Of all: without those in DVC's cache, which `dvc repro` puts in their place together.
    """
    runs = asked(settings)
    how_far, kept = left_and_kept(settings, {name: runs[name] for name in names or runs}, changes())
    how_far |= dict.fromkeys(kept if names else (), "evaluated")
    records = [read_record(path) for path in sorted(METRICS.glob("*/records/*-d*-s*.yaml"))]
    left = {}
    for name, state in how_far.items():
        expected = minutes(settings, state, alike(settings, runs[name], records))
        left[name] = 1.0 if expected is None else max(expected, 0.1)
    return left


def make(left: Mapping[str, float], places: Sequence[Mapping[str, str]], count: int) -> list[str]:
    """Make runs, one in each place at a time, the longest first, so that none is left alone at the end.

    Gives those that failed. Raises Stopped after SIGTERM, SIGHUP and Ctrl-C.
    """
    waiting, free, failed = sorted(left, key=lambda name: -left[name]), list(places), list[str]()
    busy: list[Making] = []
    with Display(left, count) as display:
        try:
            while waiting or busy:
                while waiting and free:
                    busy.append(start(waiting.pop(0), free.pop(0)))
                for making in busy.copy():
                    making.follow()
                    if (code := making.process.poll()) is not None:
                        busy.remove(making)
                        free.append(making.place)
                        failed += [making.name] * bool(code)
                        display.end(making, made=not code)
                display.show(busy)
                time.sleep(PAUSE)
        except KeyboardInterrupt as interruption:
            display.say("stopping after this step of each training, to save it; once more to stop at once")
            raise stopped([making.process for making in busy], interruption) from None
    return failed


def start(name: str, place: Mapping[str, str]) -> Making:
    """Begin to make a run in a session of its own, which hears no Ctrl-C of this terminal."""
    log = Path("logs") / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    file = log.open("rb")
    file.seek(0, os.SEEK_END)
    progress = log.with_suffix(".progress").absolute()
    progress.unlink(missing_ok=True)  # of a training that was killed
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, **place, "PATH": path, FOLLOWED: str(progress)}
    process = leash.start(["cluster/run", name], environment, subprocess.DEVNULL)
    return Making(name, place, process, file, progress)


def stopped(busy: Sequence[Process], interruption: KeyboardInterrupt) -> Stopped:
    """Stop what still runs, and give what is to be raised."""
    stop(busy)
    number = next(iter(interruption.args), signal.SIGINT)  # that of another signal comes with it
    return Stopped("stopped; what is made stays, and the same command goes on", number)


def stop(busy: Sequence[Process]) -> None:
    """Let trainings save themselves and end; a second Ctrl-C ends them at once, a third one whatever still runs."""
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
        try:
            for process in busy:
                if process.poll() is None:
                    os.killpg(process.pid, number)
            for process in busy:
                process.wait()
            return
        except KeyboardInterrupt:
            note("stopping at once")
