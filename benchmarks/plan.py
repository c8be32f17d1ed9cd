"""`python -m benchmarks.plan --minutes 15 profile=paper`: the missing runs that a card can make in so many minutes.

Runs start in the order of the table, as many side by side under NVIDIA's MPS as --together says. A run that would not
end in time is left out; of registered pairs, the whole pair is. The time of a run follows from steps that were timed on
a card with the profile's own patches and network (docs/performance.md), and for other rows from the ratios of
docs/costs.yaml, which were measured on a CPU.
"""

import argparse
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from lassl.cli.project_arguments import count
from lassl.model.record import read_record
from lassl.pages.methods import COSTS, measured
from lassl.paths import METRICS, Run
from lassl.plumbing.errors import LasslError, command
from lassl.plumbing.tables import grid, listed
from lassl.runs.following import clock
from lassl.runs.requested import asked as asked_runs
from lassl.settings.compose import compose
from lassl.settings.config import Config, load

BASELINE = "vnet_16"
SPARE = 0.1  # of the minutes: the two recorded trainings of paper took 4 and 6 % longer than the plan says


@dataclass(frozen=True)
class Seen:
    """What docs/performance.md has of a profile on a card.

    Milliseconds of a row's step alone, the better of eager and compiled; seconds until a compiled training makes its
    first step; how many trainings side by side under MPS made how many times the steps of one.
    """

    card: str
    milliseconds: Mapping[str, float]
    compiling: int
    trainings: int
    gain: float

    def gain_of(self, count: int) -> float:
        """Times the steps of one that so many trainings make together: by a straight line up to what was seen."""
        return 1 + (self.gain - 1) * min((count - 1) / (self.trainings - 1), 1)


SEEN = {
    "paper": Seen(
        "NVIDIA H200",
        {"vnet_16": 19.8, "cps": 39.3, "mt_un": 35.5, "mt_un_lovasz": 39.4, "cps_alw": 40.8},
        compiling=60,
        trainings=7,
        gain=1.4,
    ),
    "compact": Seen("NVIDIA H100", {"vnet_16": 18.9}, compiling=0, trainings=8, gain=5.6),
}


def composed(overrides: Sequence[str]) -> tuple[Config, Seen]:
    """The settings that overrides of conf/ give, and what a card took for them. Raises LasslError."""
    with TemporaryDirectory() as folder:
        compose(path := Path(folder) / "params.yaml", *overrides)
        config = load(path)
    if config.profile not in SEEN:
        raise LasslError(f"no step of profile {config.profile} was timed on a card, only of {listed(SEEN)}")
    return config, SEEN[config.profile]


def step_ms(config: Config, seen: Seen, row: str) -> tuple[float, str]:
    """Milliseconds of a row's step on the card, and where they are from. Raises LasslError where nothing tells."""

    def cost(name: str) -> tuple[object, ...]:
        method = config.methods[name]
        return method.algorithm, method.batch, method.options

    alike = [name for name in config.methods if cost(name) == cost(row)]
    costs = measured()
    ratios = costs.ratios if costs else {}
    for name in (row, *alike):
        if name in seen.milliseconds:
            return seen.milliseconds[name], f"{seen.milliseconds[name]:g} ms, seen on the card"
    for name in (row, *alike):
        if name in ratios:
            return seen.milliseconds[BASELINE] * ratios[name], f"{ratios[name]:.2f} times {BASELINE}'s, seen on a CPU"
    raise LasslError(f"{row}: its step was never timed; run `python -m benchmarks.costs`, or choose others by --rows")


def missing(config: Config, rows: Sequence[str]) -> list[dict[str, Run]]:
    """The runs without a record, by name, in groups that are made whole or not at all: pairs where they are registered.

    `rows` are the only ones if there are any, in their order.
    """
    if pairs := config.statistics.pairs:
        groups = [[config.run(row, k, k) for row in pairs.rows] for k in pairs.planned]
    else:
        groups = [[run] for run in asked_runs(config).values()]
    if rows:
        groups = [[run for run in group if run.method in rows] for group in groups]
        groups = sorted(filter(None, groups), key=lambda group: rows.index(group[0].method))
    left = [{f"{run.profile}/{run.name}": run for run in group if not run.record.is_file()} for group in groups]
    return [group for group in left if group]


def evaluation_seconds() -> float:
    """What an evaluation on a card took: the median of the committed records. Raises LasslError."""
    records = [read_record(path) for path in sorted(METRICS.glob("*/records/*-d*-s*.yaml"))]
    seconds = [record.evaluation.seconds for record in records if record.evaluation.device.startswith("cuda")]
    if not seconds:
        raise LasslError(f"{METRICS}: no record of a run that was evaluated on a card")
    return median(seconds)


def times(works: Mapping[str, float], together: int, seen: Seen) -> dict[str, tuple[int, int]]:
    """First and last second of each run; `works` are the seconds that they would take alone, compiling not counted.

    So many at a time share the card in equal parts, once they have compiled.
    """
    left, first, last, now = dict(works), dict[str, int](), dict[str, int](), 0
    while left:
        active = list(left)[:together]
        for name in active:
            first.setdefault(name, now)
        sharing = [name for name in active if now - first[name] >= seen.compiling]
        now += 1
        for name in sharing:
            left[name] -= seen.gain_of(len(sharing)) / len(sharing)
            if left[name] <= 0:
                last[name] = now
                del left[name]
    return {name: (first[name], last[name]) for name in works}


def fitting(groups: Iterable[Mapping[str, float]], limit: float, together: int, seen: Seen) -> dict[str, float]:
    """Take groups of runs (seconds alone, by name) in order, each one that still ends within the limit in seconds."""
    chosen: dict[str, float] = {}
    for group in groups:
        more = {**chosen, **group}
        if max(last for _, last in times(more, together, seen).values()) <= limit:
            chosen = more
    return chosen


@dataclass(frozen=True)
class Plan:
    """The missing runs, their seconds alone and where the time of a step is from; those that fit, and when."""

    runs: Mapping[str, Run]
    alone: Mapping[str, float]
    sources: Mapping[str, str]
    times: Mapping[str, tuple[int, int]]

    def text(self, together: int) -> str:
        """A line for each run that fits, in order, and those that are left."""
        lines = [
            [name, clock(start), clock(end), f"{self.alone[name]:.0f}", self.sources[name]]
            for name, (start, end) in self.times.items()
        ]
        end = clock(max((end for _, end in self.times.values()), default=0))
        told = [grid(["run", "from", "to", "seconds alone", "a step"], lines), ""]
        told.append(f"{len(lines)} of {len(self.runs)} missing runs, {together} side by side, in {end} minutes.")
        left = [name for name in self.runs if name not in self.times]
        return "\n".join([*told, *[f"Left: {listed(left)}."] * bool(left)])

    def commands(self, overrides: Sequence[str], pairs: bool, together: int) -> str:
        """What to type on the machine with the card."""
        splits = sorted({self.runs[name].label_split for name in self.times})
        words = shlex.join([*overrides, *[f"label_splits={splits}".replace(" ", "")] * pairs])
        runs = " ".join(self.times)
        return f"lassl compose {words}\nnvidia-cuda-mps-control -d\nlassl repro {runs} --workers {together}"


def planned(config: Config, seen: Seen, rows: Sequence[str], minutes: float, together: int) -> Plan:
    """Choose the runs; `rows` are the only ones if there are any, in their order. Raises LasslError."""
    groups, evaluation, limit = missing(config, rows), evaluation_seconds(), 60 * minutes * (1 - SPARE)
    runs = {name: run for group in groups for name, run in group.items()}
    steps = {name: step_ms(config, seen, run.method) for name, run in runs.items()}
    alone = {name: config.train.steps * ms / 1e3 + evaluation for name, (ms, _) in steps.items()}
    chosen = fitting([{name: alone[name] for name in group} for group in groups], limit, together, seen)
    sources = {name: source for name, (_, source) in steps.items()}
    return Plan(runs, alone, sources, times(chosen, together, seen))


def reckoned(seen: Seen) -> str:
    """What a plan is reckoned with, and what of it was not measured on a card. Raises LasslError."""
    lines = [
        f"Steps alone: {seen.card}, docs/performance.md. There {seen.trainings} trainings side by side made "
        f"{seen.gain} times the steps of one; for other numbers we take a straight line.",
        f"Compiling: {seen.compiling} s. Evaluation: {evaluation_seconds():.0f} s, the median of the records of cards.",
        f"Kept free: {SPARE:.0%} of the minutes. Not counted: bringing the scans to the card and preparing them.",
    ]
    if costs := measured():
        lines.append(f"Ratios: {COSTS}, measured on a CPU ({costs.device}) at the scale of {costs.profile}.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the plan. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for lassl compose")
    parser.add_argument("--minutes", type=float, default=15, help="that the card is there (default 15)")
    parser.add_argument("--together", type=count, default=3, metavar="N", help="runs side by side (default 3)")
    parser.add_argument("--rows", default="", help="only these, in this order, as cps,mt_un")
    asked = parser.parse_args(arguments)
    overrides, rows = asked.overrides or ["profile=paper"], list(filter(None, asked.rows.split(",")))
    config, seen = composed(overrides)
    for row in rows:
        config.run(row, 0, 0)  # refuses one that is not there
    found = planned(config, seen, rows, asked.minutes, asked.together)
    print(found.text(asked.together) + "\n\n" + reckoned(seen))
    if found.times:
        print("\n" + found.commands(overrides, config.statistics.pairs is not None, asked.together))


if __name__ == "__main__":
    command(main)
