"""Errors that a user can fix, including those of the system, and how a command reports them."""

import errno
import os
import re
import signal
import sys
import termios
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

BROKEN_PIPE = 128 + 13  # exit code of a command whose output is no longer read, as a shell reports it
TRACEBACK = "LASSL_TRACEBACK"  # environment variable: also show the place in the code for errors of the system
FULL = (errno.ENOSPC, errno.EDQUOT)
CURES = {
    **dict.fromkeys(FULL, "free some space on that disk; files saved before are complete"),
    errno.EROFS: "the disk is read-only; work in a folder on another disk",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "check its owner and permissions (`ls -ld`)"),
    errno.EIO: "the disk reports a fault; check the system's log",
    errno.EFBIG: "the file would be too large here; raise `ulimit -f`, or use another disk",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "too many files are open; raise `ulimit -n`"),
}
# texts of library errors for processes that ended too early (concurrent.futures, torch) and for memory (torch, system)
KILLED = ("process pool was terminated abruptly", "is killed by signal", "exited unexpectedly")
LACKING = ("can't allocate memory", "Cannot allocate memory", "out of memory")


class LasslError(Exception):
    """Something outside the code is wrong; the text says where, what was found, what was expected and what to do."""

    exit_code = 1


class Stopped(LasslError):
    """The user or the system stopped the program by a signal."""

    def __init__(self, text: str, signal: int):
        super().__init__(text)
        self.exit_code = 128 + signal  # as a shell reports it


def command(main: Callable[[], None]) -> None:
    """Run a command's main function; a LasslError becomes its text on stderr and its exit code.

    So do errors of the system, such as a full disk. Ctrl-C, SIGTERM and SIGHUP end the command cleanly: unfinished
    files are removed. Characters that the terminal cannot show are escaped. If the output is no longer read, as after
    `| head -1`, the command ends silently.
    """
    _open_closed_streams()
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")  # stderr does so by itself
    try:
        with interrupted_by_signals():
            _report_errors(main)
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            _discard_if_unread(stream)
        sys.exit(BROKEN_PIPE)


def _open_closed_streams() -> None:
    """Discard what is written to a stream that was closed from the start, as by `2>&-`.

    Otherwise the next opened file would get its number, and libraries would write their warnings into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP act like Ctrl-C: raise KeyboardInterrupt with their number. Ignored ones stay ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        discard_lost_output()
        raise KeyboardInterrupt(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in (number for number, handler in before.items() if handler == signal.SIG_DFL):
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def discard_lost_output() -> None:
    """Discard all further output if the terminal is gone, as after a dropped ssh connection.

    Otherwise every write would fail and end the work before it is saved. Files and pipes stay open.
    """
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # for a file it is ENOTTY
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _report_errors(main: Callable[[], None]) -> None:
    """Run a main function, write its LasslError to stderr, flush what it printed, and exit with its code."""
    code = None
    try:
        try:
            main()
        except (Exception, KeyboardInterrupt) as error:
            if (told := in_words(error)) is None:
                raise
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            raise told from None
    except SystemExit as end:
        code = end.code
    except LasslError as error:
        note(f"error: {error}" if "\n" not in str(error) else f"errors:\n{error}")
        code = error.exit_code
    sys.stdout.flush()
    if code is not None:
        sys.exit(code)


def in_words(error: BaseException) -> LasslError | None:
    """Convert an error of the system (disk, permissions, memory, a stop) to a LasslError; None for other errors."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
    if isinstance(error, KeyboardInterrupt):
        by = signal.Signals(next(iter(error.args), signal.SIGINT))  # it carries a signal's number
        return Stopped(f"stopped by {by.name}; files written before are complete", by)
    if isinstance(error, RuntimeError) and any(words in str(error) for words in KILLED):
        return LasslError(
            "a worker process was killed, probably by the system because memory ran out; close other programs, and run "
            "the same command again"
        )
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in LACKING)):
        return LasslError(f"not enough memory ({reason}); close other programs, or choose a smaller profile")
    number = system_error(error)
    if isinstance(error, BrokenPipeError) or not (number or isinstance(error, OSError)):
        return None
    name = getattr(error, "filename", None)
    place = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
    what = os.strerror(number).lower() if number else reason
    cure = CURES.get(number or 0, f"fix this, and run the same command again ({TRACEBACK}=1 shows where it happened)")
    return LasslError(f"{place}{what}; {cure}")


def system_error(error: BaseException) -> int | None:
    """The number (errno) of an error of the system, even if a file library names it only in its text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, OSError | RuntimeError) and (found := re.search(r"\berrno = (\d+)", str(error))):  # HDF5
        return int(found[1])
    return None


def _discard_if_unread(stream: TextIO) -> None:
    """Discard the rest of a stream that is no longer read, because Python would fail to flush it at its end."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def note(text: str) -> None:
    """Write a line for the user on stderr, below a progress bar if there is one."""
    print(f"\n{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
