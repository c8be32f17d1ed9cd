"""The errors that a user can mend, those of the system among them, and how a command reports them."""

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
TRACEBACK = "LASSL_TRACEBACK"  # in the environment: errors of the system are shown with their place in the code, too
FULL = (errno.ENOSPC, errno.EDQUOT)
CURES = {
    **dict.fromkeys(FULL, "free some space on that disk; what was saved before is whole"),
    errno.EROFS: "the disk can only be read; work in a folder on another one",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "see to its owner and its permissions (`ls -ld`)"),
    errno.EIO: "the disk reports a fault; see what the system's log says of it",
    errno.EFBIG: "a file may not grow so large here; raise `ulimit -f`, or use another disk",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "too many files are open; raise `ulimit -n`"),
}
# what libraries say of processes that ended too early, and of memory: concurrent.futures and torch; torch, the system
KILLED = ("process pool was terminated abruptly", "is killed by signal", "exited unexpectedly")
LACKING = ("can't allocate memory", "Cannot allocate memory", "out of memory")


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

    So do errors of the system, such as a full disk. Ctrl-C, SIGTERM and SIGHUP end it in order: what was being written
    is removed. Characters that the terminal does not have are written as escapes. Where the output is no longer read,
    as after `| head -1`, the command ends silently.
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
    """Let what is written to a stream that was closed from the start, as by `2>&-`, go nowhere.

    The next file that is opened would take its number otherwise, and libraries would write their warnings into it.
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
    """Let SIGTERM and SIGHUP do what Ctrl-C does: raise KeyboardInterrupt, with their number. Ignored ones stay so."""

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
    """Discard what is written from now on where the terminal is gone, as after a dropped ssh connection.

    Every write would fail, and end the work that is to be saved. Files and pipes stay as they are.
    """
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # of a file it is ENOTTY
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
    """An error of the system as one of ours: disk, permissions, memory, a stop; None for any other error."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
    if isinstance(error, KeyboardInterrupt):
        by = signal.Signals(next(iter(error.args), signal.SIGINT))  # a signal's number comes with it
        return Stopped(f"stopped by {by.name}; what was written before is whole", by)
    if isinstance(error, RuntimeError) and any(words in str(error) for words in KILLED):
        return LasslError(
            "a worker process was killed, probably by the system for lack of memory; end other programs, and run the "
            "same command again"
        )
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in LACKING)):
        return LasslError(f"the memory does not suffice ({reason}); end other programs, or choose a smaller profile")
    number = system_error(error)
    if isinstance(error, BrokenPipeError) or not (number or isinstance(error, OSError)):
        return None
    name = getattr(error, "filename", None)
    place = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
    what = os.strerror(number).lower() if number else reason
    cure = CURES.get(number or 0, f"see to it, and run the same command again ({TRACEBACK}=1 shows where)")
    return LasslError(f"{place}{what}; {cure}")


def system_error(error: BaseException) -> int | None:
    """The number (errno) of an error of the system, also where a library for files names it in its text alone."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, OSError | RuntimeError) and (found := re.search(r"\berrno = (\d+)", str(error))):  # HDF5
        return int(found[1])
    return None


def _discard_if_unread(stream: TextIO) -> None:
    """Discard what is left in a stream that is no longer read: Python would fail to flush it when it ends."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def note(text: str) -> None:
    """Write a line on stderr for the user, below a progress bar if there is one."""
    print(f"\n{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
