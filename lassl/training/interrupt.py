"""SIGTERM and Ctrl-C let a training finish its step first."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lassl.plumbing.errors import note


@contextmanager
def stop_request() -> Iterator[Callable[[], int]]:
    """Give a function that tells whether SIGTERM or Ctrl-C came (its number, else 0); a second one acts at once."""
    came = 0
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = number
        for each, handler in before.items():
            signal.signal(each, handler)
        note("stopping after this step, to save it; once more to stop at once")

    try:
        for number in before:
            signal.signal(number, remember)
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
