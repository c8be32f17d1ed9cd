"""The errors a user can mend, and how a command reports them."""

import sys
from collections.abc import Callable


class LasslError(Exception):
    """Something outside the code is wrong: says where, what was found, what was expected and what to do."""

    exit_code = 1


class Stopped(LasslError):
    """The user or the system asked the program to stop, by a signal."""

    def __init__(self, text: str, signal: int):
        super().__init__(text)
        self.exit_code = 128 + signal  # as a shell reports it


def command(main: Callable[[], None]) -> None:
    """Run a command's main function; a LasslError becomes its own text on stderr and its exit code."""
    try:
        main()
    except LasslError as error:
        note(f"error: {error}" if "\n" not in str(error) else f"errors:\n{error}")
        sys.exit(error.exit_code)


def note(text: str) -> None:
    """Tell the user something on stderr, below a progress bar if there is one."""
    print(f"\n{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
