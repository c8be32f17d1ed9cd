"""The errors a user can mend, and how a command reports them."""

import sys
from collections.abc import Callable


class LasslError(Exception):
    """Something outside the code is wrong: says where, what was found, what was expected and what to do."""


def command(main: Callable[[], None]) -> None:
    """Run a command's main function; a LasslError becomes its own text on stderr and exit code 1."""
    try:
        main()
    except LasslError as error:
        sys.exit(f"error: {error}" if "\n" not in str(error) else f"errors:\n{error}")
