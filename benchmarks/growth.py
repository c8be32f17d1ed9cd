"""`python -m benchmarks.growth`: how the table, the page and DVC's files grow with the runs of a profile.

The runs are invented: those of a committed profile again under other draws and seeds, their scores and curves moved at
random; masks are not among them, since the page shows those of one run of each row.
Each count of runs is worked on in a folder of its own; seconds are those of the processor, so that other work on the
machine does not count.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import yaml

from benchmarks.locks import invented
from lassl.config import Config, load
from lassl.data.prepared import MANIFEST
from lassl.evaluation.evaluate import published_texts
from lassl.evaluation.snapshots import COLUMNS
from lassl.model.record import Evaluated, Trained, read_record
from lassl.paths import Run, metrics_folder
from lassl.plumbing.errors import command
from lassl.plumbing.files import write_text
from lassl.plumbing.tables import grid, significant
from lassl.report.report import read_curves, report
from lassl.results.table import table
from pipeline.lockfile import LOCK, add_entries, read_entries

COUNTS = (90, 300, 1000)
PROFILE = "quick"  # whose runs are taken
SEEDS = 10  # of each draw
HEADER = ["runs", "table s", "table.json MB", "page s", "page MB", "dvc.lock MB", "read s", "written by DVC s"]
HEADER += ["dvc stage list s"]


def cpu_seconds(act: Callable[[], object]) -> float:
    """The processor time of a call, that of the processes that it started and waited for included."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    started = used()
    act()
    return used() - started


def invent(folder: Path, root: Path, count: int) -> list[Evaluated]:
    """Write so many runs into metrics/ and curves/ of a folder, method by method within a draw and seed.

    Gives the records of those from which they were made.
    """
    paths = sorted((root / metrics_folder(PROFILE) / "records").glob("*.yaml"))
    records = [read_record(path) for path in paths]
    scores = [pd.read_csv(root / metrics_folder(PROFILE) / f"{path.stem}.csv") for path in paths]
    curves = [read_curves(root / record.run.curves) for record in records]
    draws = range(-(-count // (len(records) * SEEDS)))
    rng = np.random.default_rng(0)
    every = product(draws, range(SEEDS), zip(records, scores, curves, strict=True))
    for draw, seed, (record, frame, logged) in islice(every, count):
        run = Run(profile=PROFILE, method=record.method, draw=draw, seed=seed)
        moved = frame.assign(dice_percent=(frame["dice_percent"] + rng.normal(0, 2, len(frame))).clip(1, 100))
        plain = record.plain() | {"draw": draw, "seed": seed}
        trained = {key: plain[key] for key in Trained.model_fields if key in plain}
        none = pd.DataFrame(columns=list(COLUMNS))
        texts = published_texts(moved, none, Trained.model_validate(trained), record.evaluation)
        for name, path in run.published.items():
            write_text(folder / path, texts[name])
        for name, values in logged.items():
            text = (values * rng.uniform(0.9, 1.1, len(values))).to_csv(sep="\t", float_format="%.7g")
            write_text(folder / run.curves / f"{name}.tsv", text)
    return records


def measure(count: int, root: Path, folder: Path, settings: Config) -> list[str]:
    """The cells of HEADER for a count of runs, worked on in an empty folder. Raises LasslError."""
    records = invent(folder, root, count)
    write_text(folder / "metrics/published.yaml", (root / "metrics/published.yaml").read_text("utf-8"))
    add_entries(folder / LOCK, invented(read_entries(root / LOCK), count))
    with chdir(folder):
        tabled = cpu_seconds(lambda: table(PROFILE, settings.statistics))
        paged = cpu_seconds(lambda: report(PROFILE, root / settings.data.prepared))
        locked = cpu_seconds(lambda: read_entries(LOCK))
        written = cpu_seconds(rewrite)
        sizes = [megabytes(metrics_folder(PROFILE) / "table.json"), megabytes(Path(f"report/{PROFILE}/index.html"))]
        locked_size = megabytes(LOCK)
    listed = cpu_seconds(lambda: stage_list(root, folder / "dvc", count, len(records)))
    cells = [tabled, sizes[0], paged, sizes[1], locked_size, locked, written, listed]
    return [f"{count:,}", *map(significant, cells)]


def rewrite() -> None:
    """Read dvc.lock and write it again, as DVC does after each stage."""
    from dvc.utils.serialize import modify_yaml

    with modify_yaml(LOCK):
        pass


def stage_list(root: Path, folder: Path, count: int, methods: int) -> None:
    """Let DVC load dvc.yaml for so many runs, in a repository of its own."""
    folder.mkdir()
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params |= {"draws": list(range(-(-count // (methods * SEEDS)))), "seeds": list(range(SEEDS))}
    write_text(folder / "params.yaml", yaml.safe_dump(params))
    write_text(folder / "dvc.yaml", (root / "dvc.yaml").read_text("utf-8"))
    for words in (["init", "--no-scm", "--quiet"], ["stage", "list", "--name-only"]):
        subprocess.run(["dvc", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def megabytes(path: Path) -> float:
    """Size of a file in MB."""
    return path.stat().st_size / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each count of runs; prints a table. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--runs", nargs="+", type=int, default=list(COUNTS))
    asked = parser.parse_args(arguments)
    root, lines = Path.cwd(), []
    settings = load(root / "params.yaml")
    if not (root / settings.data.prepared / MANIFEST).is_file() or not Path("curves", PROFILE).is_dir():
        parser.exit(1, "the page needs prepared scans and curves of the default experiment: `make repro` first\n")
    for count in asked.runs:
        with TemporaryDirectory() as folder:
            lines.append(measure(count, root, Path(folder), settings))
        print(dict(zip(HEADER, lines[-1], strict=True)), file=sys.stderr)
    print(grid(HEADER, lines))


if __name__ == "__main__":
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    command(main)
