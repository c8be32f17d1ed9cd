"""Composes params.yaml from the defaults in conf/, as `dvc exp run` does before an experiment."""

import sys
from pathlib import Path

from dvc.utils.hydra import compose_and_dump


def compose(output: Path, *overrides: str) -> None:
    """Write the composition of conf/ with overrides such as "profile=compact"."""
    compose_and_dump(output, str(Path("conf").resolve()), None, "config", "", list(overrides))


if __name__ == "__main__":
    compose(Path("params.yaml"), *sys.argv[1:])
