"""`make repro`: all that `dvc repro` makes, with as many runs at a time as this machine takes."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lassl import config
from lassl.config import Config
from lassl.model.record import read_record
from lassl.paths import METRICS
from lassl.plumbing.errors import LasslError, Stopped, command, note
from lassl.plumbing.tables import listed
from pipeline.following import Display, Making
from pipeline.outputs import in_the_way
from pipeline.runs import alike, asked, changes, find, minutes, state
from pipeline.workers import workers

PAUSE = 0.2  # seconds between two looks at the workers
SCRIPTS = Path(sys.executable).parent  # where dvc and lassl are


def main() -> None:
    """Make the runs that are named, or all of params.yaml, and the table. Raises LasslError, and Stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.repro", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="as `lassl runs` names them (all that are not made)")
    parser.add_argument("--workers", type=int, metavar="N", help="runs at a time (as many as this machine takes)")
    arguments = parser.parse_args()
    if arguments.workers is not None and arguments.workers < 1:
        raise LasslError(f"--workers: found {arguments.workers}, expected at least 1")
    settings = config.load()
    for name in arguments.runs:
        find(settings, name)
    if problems := in_the_way(settings):
        raise LasslError("\n".join(problems))
    dvc("repro", "prepare")
    left = to_make(settings, arguments.runs)
    places = workers(settings, arguments.workers)[: len(left)]
    failed = make(left, places, len(asked(settings))) if arguments.runs or len(places) > 1 else []
    if failed or arguments.runs:
        dvc("--wait-for-lock", "repro", "--single-item", "table", "report")
    else:
        dvc("repro")
    if failed:
        raise LasslError(f"not made: {listed(failed)}; logs/ tells why, the table has the others")


def dvc(*words: str) -> None:
    """Run DVC on this terminal; where it fails it has said why, and its exit code is taken over."""
    code = subprocess.run([SCRIPTS / "dvc", *words], check=False).returncode
    if code:
        sys.exit(code)


def to_make(settings: Config, names: Sequence[str]) -> dict[str, float]:
    """The runs of these names, or of all, that are not made yet, and the minutes that each will take (1: not known)."""
    changed, runs = changes(), asked(settings)
    records = [read_record(path) for path in sorted(METRICS.glob("*/records/*-d*-s*.yaml"))]
    left = {}
    for name in names or runs:
        if (how_far := state(settings, runs[name], changed)) is not None:
            expected = minutes(settings, how_far, alike(settings, runs[name], records))
            left[name] = 1.0 if expected is None else max(expected, 0.1)
    return left


def make(left: Mapping[str, float], places: Sequence[Mapping[str, str]], count: int) -> list[str]:
    """Make runs, one in each place at a time, the longest first, so that none is left alone at the end.

    Gives those that failed. Raises Stopped after SIGTERM and Ctrl-C.
    """
    waiting, free, failed = sorted(left, key=lambda name: -left[name]), list(places), list[str]()
    busy: list[Making] = []
    with interrupted_by_sigterm(), Display(left, count) as display:
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
            stop(busy)
            number = next(iter(interruption.args), signal.SIGINT)  # that of SIGTERM comes with it
            raise Stopped("stopped; what is made stays, and the same command goes on", number) from None
    return failed


def start(name: str, place: Mapping[str, str]) -> Making:
    """Begin to make a run in a session of its own, which hears no Ctrl-C of this terminal."""
    log = Path("logs") / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    file = log.open("rb")
    file.seek(0, os.SEEK_END)
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, **place, "PATH": path, "TQDM_MININTERVAL": "1"}
    silent = subprocess.DEVNULL
    process = subprocess.Popen(
        ["cluster/run", name], env=environment, stdin=silent, stdout=silent, stderr=silent, start_new_session=True
    )
    return Making(name, place, process, file)


def stop(busy: Sequence[Making]) -> None:
    """Let trainings save themselves and end; a second Ctrl-C ends them at once, a third one whatever still runs."""
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
        try:
            for making in busy:
                if making.process.poll() is None:
                    os.killpg(making.process.pid, number)
            for making in busy:
                making.process.wait()
            return
        except KeyboardInterrupt:
            note("stopping at once")


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    command(main)
