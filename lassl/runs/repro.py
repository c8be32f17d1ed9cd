"""`make repro`: does what `dvc repro` does, with as many runs at a time as this machine can take."""

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

PAUSE = 0.2  # seconds between checks of the workers
Process = subprocess.Popen[bytes]
SCRIPTS = Path(sys.executable).parent  # where dvc and lassl are


def make_all(settings: Config, runs: Sequence[str], count: int | None) -> None:
    """Make these runs, or all, with `count` workers, and the table. Raises LasslError, and Stopped after a signal."""
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
        raise LasslError(
            f"these runs failed: {listed(failed)}; see logs/ for the reasons; the table has the other runs"
        )
    print(closing(settings, time.monotonic() - started))


def dvc(*words: str) -> None:
    """Run DVC and print the stages that it runs. If it fails, exit with its code, because it printed the reason.

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
    """The unfinished runs of these names, or of all, and the minutes that each will take (1 if unknown).

    Without names, leaves out the runs in DVC's cache, which `dvc repro` restores all at once.
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
    """Make runs, one per place at a time; the longest come first, so that none is left alone at the end.

    Returns the failed runs. Raises Stopped after SIGTERM, SIGHUP and Ctrl-C.
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
            display.say("stopping: each training finishes its step and saves; press Ctrl-C again to stop at once")
            raise stopped([making.process for making in busy], interruption) from None
    return failed


def start(name: str, place: Mapping[str, str]) -> Making:
    """Start a run in its own session, which does not receive Ctrl-C from this terminal."""
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
    """Stop the processes that still run, and return the exception to raise."""
    stop(busy)
    number = next(iter(interruption.args), signal.SIGINT)  # another signal's number is in args
    return Stopped("stopped; finished work is kept, and the same command continues", number)


def stop(busy: Sequence[Process]) -> None:
    """Let trainings save and end; a second Ctrl-C ends them at once, a third kills whatever still runs."""
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
