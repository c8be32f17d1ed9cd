"""What git keeps of an evaluated run, copied from where DVC keeps all of it."""

from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes


def publish(run: Run) -> None:
    """Copy a run's headline figures, scores and record from its predictions to metrics/. Raises LasslError."""
    for name, path in run.published.items():
        source = run.predictions / name
        if not source.is_file():
            raise LasslError(f"{source}: not found; `dvc repro` evaluates the run")
        write_bytes(path, source.read_bytes())
