"""Composes params.yaml from the defaults in conf/, as `dvc exp run` does before an experiment."""

import sys
from pathlib import Path

from dvc.utils.hydra import compose_and_dump

from lassl.config import load
from lassl.errors import command
from lassl.lockfile import settle


def compose(output: Path, *overrides: str) -> None:
    """Write the composition of conf/ with overrides such as "profile=compact"."""
    compose_and_dump(output, str(Path("conf").resolve()), None, "config", "", list(overrides))


def main() -> None:
    """Compose params.yaml anew, and bring what is known of its runs into dvc.lock."""
    compose(Path("params.yaml"), *sys.argv[1:])
    settle(load())


if __name__ == "__main__":
    command(main)
