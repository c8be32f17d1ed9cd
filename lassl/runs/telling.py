"""What `make repro` tells beside the progress of runs: the stages that DVC runs, and at the end what to do next."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lassl.runs.following import STAGE, clock
from lassl.settings.config import Config

REAL = Path("data/raw/la2018")  # where `make la2018` puts the real scans
PATIENCE = 5  # seconds for the last lines, where a process that outlives DVC keeps the pipe open


@contextmanager
def stages_told() -> Iterator[int]:
    """A file descriptor to take as DVC's stdout: the stages that it runs are told on stderr, all else is left out.

    DVC lists each stage that did not change, and advises to add dvc.lock alone to git. Its errors are on stderr.
    """
    reading, writing = os.pipe()
    thread = threading.Thread(target=_tell, args=(reading,), daemon=True)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join(PATIENCE)


def _tell(reading: int) -> None:
    """Copy the lines that tell which stage runs from a pipe to stderr, up to its end."""
    with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if STAGE.search(line):
                print(line.rstrip().rstrip(":"), file=sys.stderr, flush=True)


def closing(config: Config, seconds: float) -> str:
    """The time that all of it took, and what to type next."""
    lines = [f"Took {clock(seconds)}. Open the page in a browser."]
    if config.statistics.scans == "synthetic":
        bring = ["  make la2018"] * (not REAL.is_dir())
        lines += ["Next, real scans:", *bring, "  source .venv/bin/activate", "  dvc exp run -S profile=compact"]
    return "\n".join([*lines, "To keep these results:", "  git add dvc.lock params.yaml metrics && git commit"])
