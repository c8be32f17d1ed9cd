"""Lets a training finish its step after SIGTERM, a closed terminal (SIGHUP) or Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lassl.plumbing.errors import discard_lost_output, note


@contextmanager
def stop_request() -> Iterator[Callable[[], int]]:
    """Give a function that returns the number of the received SIGTERM, SIGHUP or Ctrl-C, or 0; a second acts at once.

    SIGHUP is the exception: system and shell may both send one, so later ones are ignored. Under nohup all are. In a
    thread beside the main one, which Python lets handle no signal, the function always gives 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
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
        note("stopping: the training finishes this step and saves; press Ctrl-C again to stop at once")

    try:
        for number in before:
            signal.signal(number, remember)
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
