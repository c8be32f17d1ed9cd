"""The errors that a user can mend, and how a command reports them."""

import os
import sys
from collections.abc import Callable
from typing import TextIO

BROKEN_PIPE = 128 + 13  # exit code of a command whose output is no longer read, as a shell reports it


class LasslError(Exception):
    """Something outside the code is wrong: the text says where, what was found, what was expected and what to do."""

    exit_code = 1


class Stopped(LasslError):
    """The user or the system asked the program to stop, by a signal."""

    def __init__(self, text: str, signal: int):
        super().__init__(text)
        self.exit_code = 128 + signal  # as a shell reports it


def command(main: Callable[[], None]) -> None:
    """Run a command's main function; a LasslError becomes its text on stderr and its exit code.

    Characters that the terminal does not have are written as escapes. Where the output is no longer read, as after
    `| head -1`, the command ends silently.
    """
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")  # stderr does so by itself
    try:
        _report_errors(main)
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            _discard_if_unread(stream)
        sys.exit(BROKEN_PIPE)


def _report_errors(main: Callable[[], None]) -> None:
    """Run a main function, write its LasslError to stderr, flush what it printed, and exit with its code."""
    code = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    except LasslError as error:
        note(f"error: {error}" if "\n" not in str(error) else f"errors:\n{error}")
        code = error.exit_code
    if sys.stdout is not None:
        sys.stdout.flush()
    if code is not None:
        sys.exit(code)


def _discard_if_unread(stream: TextIO | None) -> None:
    """Discard what is left in a stream that is no longer read: Python would fail to flush it when it ends."""
    if stream is None:  # it was closed from the start
        return
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def note(text: str) -> None:
    """Write a line on stderr for the user, below a progress bar if there is one."""
    print(f"\n{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
