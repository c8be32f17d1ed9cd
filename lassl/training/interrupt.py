"""SIGTERM, a closed terminal (SIGHUP) and Ctrl-C let a training finish its step first."""

import errno
import os
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lassl.plumbing.errors import note


@contextmanager
def stop_request() -> Iterator[Callable[[], int]]:
    """Give a function that tells whether SIGTERM, SIGHUP or Ctrl-C came (its number, else 0); a second acts at once.

    But for SIGHUP, of which system and shell may both send one. A SIGHUP that is to be ignored, as under nohup, is.
    """
    came = 0
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = number
        for each, handler in before.items():
            signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else handler)  # a lost terminal sends several
        discard_lost_output()
        note("stopping after this step, to save it; once more to stop at once")

    try:
        for number in before:
            signal.signal(number, remember)
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def discard_lost_output() -> None:
    """Discard what is written from now on where the terminal is gone, as after a dropped ssh connection.

    Every write would fail, and end the work that is to be saved. Files and pipes stay as they are.
    """
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # of a file it is ENOTTY
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
