"""Copies the files of an evaluated run that git keeps out of the folder that DVC keeps."""

from lassl.paths import SUMMARY, Run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes

EARLIER = {SUMMARY: "headline.json"}  # names of files in earlier code
SNAPSHOTS = "snapshots.csv"  # earlier code wrote it for each run, without rows if no snapshot was kept


def publish(run: Run) -> None:
    """Copy a run's summary, scores and record from its predictions to metrics/. Raises LasslError.

    The Dice of snapshots is part of the record. If earlier code left a table of it with rows, that is published too;
    otherwise the table is removed from metrics/.
    """
    for name, path in run.published.items():
        candidates = (run.predictions / name, run.predictions / EARLIER.get(name, name))
        source = next((candidate for candidate in candidates if candidate.is_file()), None)
        if source is None:
            raise LasslError(f"{candidates[0]}: not found; run `dvc repro`, which evaluates the run")
        write_bytes(path, source.read_bytes())
    table = run.predictions / SNAPSHOTS
    if table.is_file() and len(table.read_bytes().splitlines()) > 1:
        write_bytes(run.snapshots, table.read_bytes())
    else:
        run.snapshots.unlink(missing_ok=True)
