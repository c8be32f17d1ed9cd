"""What git keeps of an evaluated run, copied from where DVC keeps all of it."""

from lassl.paths import SUMMARY, Run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes

EARLIER = {SUMMARY: "headline.json"}  # what earlier code called a file
SNAPSHOTS = "snapshots.csv"  # what earlier code wrote for each run, without a row where no snapshot was kept


def publish(run: Run) -> None:
    """Copy a run's summary, scores and record from its predictions to metrics/. Raises LasslError.

    The Dice of snapshots is part of the record. A table of it is published as well where earlier code left one with
    rows, and is removed from metrics/ otherwise.
    """
    for name, path in run.published.items():
        candidates = (run.predictions / name, run.predictions / EARLIER.get(name, name))
        source = next((candidate for candidate in candidates if candidate.is_file()), None)
        if source is None:
            raise LasslError(f"{candidates[0]}: not found; `dvc repro` evaluates the run")
        write_bytes(path, source.read_bytes())
    table = run.predictions / SNAPSHOTS
    if table.is_file() and len(table.read_bytes().splitlines()) > 1:
        write_bytes(run.snapshots, table.read_bytes())
    else:
        run.snapshots.unlink(missing_ok=True)
