"""`lassl runs`: lists the unfinished runs of params.yaml, their state, and how long they will take."""

import argparse

from lassl.model.record import Evaluated, read_record
from lassl.paths import METRICS
from lassl.plumbing.errors import note
from lassl.plumbing.tables import grid, listed, number
from lassl.runs.in_cache import left_and_kept
from lassl.runs.requested import alike, asked, changes, find, minutes, not_prepared, stages_of
from lassl.settings.config import Config, load


def run(arguments: argparse.Namespace) -> int:
    """Print what the arguments request; the exit code is 1 if unfinished runs are listed, else 0. Raises LasslError."""
    config = load()
    if arguments.stages:
        print(*stages_of(config, find(config, arguments.stages)), sep="\n")
        return 0
    changed = changes()
    runs = asked(config)
    left, kept = left_and_kept(config, runs, changed)
    if arguments.names:
        print("\n".join(left), end="\n" * bool(left))
        return 0
    if stale := not_prepared(changed):
        note(
            f"note: {listed(stale)}: missing or out of date; run `dvc repro prepare` first, "
            "so that runs in DVC's cache can be recognized"
        )
    if kept:
        note(f"note: {listed(kept)}: in DVC's cache; `dvc repro` restores the files")
    print(report(config, left, len(runs)))
    return int(bool(left))


def report(config: Config, left: dict[str, str], count: int) -> str:
    """A line for each unfinished run, and the sum of their minutes with the machines on which they were measured."""
    if not left:
        return f"all {count} runs are finished"
    runs, records = asked(config), [read_record(path) for path in sorted(METRICS.glob("*/records/*-d*-s*.yaml"))]
    lines: list[tuple[str, str, float | None]] = []
    seen: list[Evaluated] = []
    for name, how_far in left.items():
        like = alike(config, runs[name], records)
        lines.append((name, how_far, minutes(config, how_far, like)))
        seen += like
    table = grid(["Run", "State", "Minutes"], [(name, how, number(time, decimals=1)) for name, how, time in lines])
    known = [time for _, _, time in lines if time is not None]
    machines = listed(sorted({record.training.device for record in seen}))
    total = (
        f"; {sum(known):.0f} minutes for {len(known)} of them, judged by similar runs on {machines}" if known else ""
    )
    return f"{table}\n\n{len(left)} of {count} runs are unfinished{total}"
