"""What `make repro` prints besides the progress of runs: the stages that DVC runs, and at the end what to do next."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lassl.runs.following import STAGE, clock
from lassl.settings.config import Config

REAL = Path("data/raw/la2018")  # where `make la2018` puts the real scans
PATIENCE = 5  # seconds to wait for the last lines if a process that outlives DVC keeps the pipe open


@contextmanager
def stages_told() -> Iterator[int]:
    """Give a file descriptor for DVC's stdout that prints only the stages that run, on stderr.

    It hides DVC's list of unchanged stages and its advice to add only dvc.lock to git. DVC's errors go to stderr.
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
    """Copy the lines that name a running stage from a pipe to stderr, until it ends."""
    with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if STAGE.search(line):
                print(line.rstrip().rstrip(":"), file=sys.stderr, flush=True)


def closing(config: Config, seconds: float) -> str:
    """The total time, and what to type next."""
    lines = [f"Took {clock(seconds)}. Open the page in a browser."]
    if config.statistics.scans == "synthetic":
        bring = ["  make la2018"] * (not REAL.is_dir())
        lines += ["Next, real scans:", *bring, "  source .venv/bin/activate", "  dvc exp run -S profile=compact"]
    return "\n".join([*lines, "To keep these results:", "  git add dvc.lock params.yaml metrics && git commit"])
