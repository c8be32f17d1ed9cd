"""The command `lassl`; each subcommand has a module in this package, imported only when it is used."""

import sys
from collections.abc import Sequence
from importlib import import_module

from lassl.cli.arguments import parser
from lassl.plumbing import threads
from lassl.plumbing.errors import command


def run(words: Sequence[str]) -> int:
    """Run a command line (without the program's name) and return its exit code. Raises LasslError."""
    arguments = parser().parse_args(words)
    code: int = import_module(f"lassl.cli.{arguments.command.replace('-', '_')}").run(arguments)
    return code


def main() -> None:
    """Run the command line; a LasslError becomes a line on stderr and an exit code."""
    threads.set_defaults()
    command(lambda: sys.exit(run(sys.argv[1:])))


if __name__ == "__main__":
    main()
