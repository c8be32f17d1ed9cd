"""The tables of docs/flaws.md, from the runs in metrics/: how known flaws of the field's code change the figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from lassl.evaluation.scores import of_cases
from lassl.evaluation.snapshots import best, last
from lassl.evaluation.summary import POLICIES
from lassl.paths import TUNING, metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import grid, interval, listed, number, probability
from lassl.results.document import read_table
from lassl.results.measures import DICE, HD95, MAIN_DISTANCES
from lassl.results.runs import Result, by_method, mean, read_results, read_scores, score_table, scores
from lassl.settings.sections import Field
from lassl.statistics.scores import paired
from lassl.statistics.trainings import complete, two_way

FLAWS = Path("conf/flaw")  # a file for each flaw
TESTS = "tiny"  # the profile of the tests
UNKNOWN = "*Not measured yet.*"


def flaws() -> list[str]:
    """Names of the flaws that runs can have."""
    return sorted(path.stem for path in FLAWS.glob("*.yaml"))


def honest() -> list[str]:
    """The profiles without a flaw; those with real scans come before those with synthetic scans."""
    names = [name for name in profiles() if not any(name.endswith(f"-{flaw}") for flaw in flaws())]
    return sorted(names, key=lambda name: (synthetic(name), name))


def profiles() -> list[str]:
    """The folders of metrics/ in which our own runs scored test cases, without those of the tests (metrics/tiny*)."""
    names = {path.parts[1] for path in Path("metrics").glob("*/records/[!.]*-d*-s*.yaml")}
    return sorted(profile for profile in names if not profile.startswith(TESTS) and TUNING not in profile)


def has_table(profile: str) -> bool:
    """Whether a profile has a table."""
    return (metrics_folder(profile) / "table.json").is_file()


def synthetic(profile: str) -> bool:
    """Whether a profile has a table that says that its scans are synthetic."""
    return has_table(profile) and read_table(profile).statistics.scans == "synthetic"


def table(heads: Sequence[str], lines: list[list[str]], nothing: str = UNKNOWN) -> str:
    """A table, or the text `nothing` if it would have no lines."""
    return grid(heads, lines) if lines else nothing


def selection() -> str:
    """How much choosing a snapshot on the test cases adds to the last weights: the optimism of test-set selection."""
    lines = []
    for profile in honest():
        for method, group in by_method(read_results(profile), []).items():
            pairs = [last_and_best(r.snapshots) for r in group if len(r.snapshots)]
            if pairs:
                final, chosen = np.mean(pairs, axis=0)
                most = max(b - a for a, b in pairs)
                cells = [number(final), number(chosen), number(chosen - final, "+"), number(most, "+")]
                lines.append([profile, method, str(len(pairs)), *cells])
    return table(
        ["profile", "method", "runs", "Dice of the last [%]", "oracle [%]", "optimism", "largest in one run"],
        lines,
    )


def last_and_best(snapshots: pd.DataFrame) -> tuple[float, float]:
    """Mean test Dice in percent of the last weights, and of the weights that are best on the test cases."""
    means = snapshots[snapshots["part"] == "test"].groupby("step")[DICE.column].mean()
    return float(means[last(snapshots)]), float(means[best(snapshots, "test")])


def empties() -> str:
    """How counting an empty prediction with a distance of 0 changes the mean distances."""
    lines, total = [], 0
    for profile in honest():
        for method, group in by_method(read_results(profile), []).items():
            count = sum(r.masks for r in group)
            failed = int(sum(r.reported_cases()["failed"].sum() for r in group))
            total += count
            if failed:
                lines.append([profile, method, f"{failed} of {count}", *distances(group)])
    return table(
        ["profile", "method", "empty", *(f"{m.name}: {p.heading}" for m in MAIN_DISTANCES for p in POLICIES.values())],
        lines,
        f"*None of the {total} predictions in these profiles is empty, so this flaw changes nothing.*",
    )


def distances(group: Sequence[Result]) -> Iterator[str]:
    """Cells: each mean distance under each policy for empty predictions."""
    for measure in MAIN_DISTANCES:
        for policy in POLICIES.values():
            yield number(mean(score_table({r.run: r.reported_cases(policy) for r in group}, measure.column)))


def trained(flaw: str) -> str:
    """How a flaw of the training, or of its data, changes the Dice. Raises LasslError if the flaw is unknown."""
    if flaw not in flaws():
        raise LasslError(f"{FLAWS / flaw}.yaml: not found; expected one of the flaws {listed(flaws())}")
    heads = ["profile", "method", "pairs", f"honest {DICE.heading}", f"flawed {DICE.heading}"]
    lines = []
    for profile in honest():
        if f"{profile}-{flaw}" not in profiles():
            continue
        results = read_results(profile)
        for method, flawed in by_method(read_results(f"{profile}-{flaw}"), []).items():
            if sound := [r for r in results if r.record.method == method]:
                lines.append([profile, method, *comparison(flawed, sound), moves(profile)])
    return table([*heads, "difference", "SD of a pair"], lines)


def moves(profile: str) -> str:
    """Cell: the SD of the difference of a pair of trainings, from the profile's table."""
    noise = read_table(profile).design.noise if has_table(profile) else None
    return number(noise.pair if noise else None)


def comparison(flawed: Sequence[Result], sound: Sequence[Result]) -> Iterator[str]:
    """Cells: shared runs, both means over them, the difference; with interval and p if there are two pairs or more."""
    flawed_dice, sound_dice = scores(flawed, DICE.column), scores(sound, DICE.column)
    shared = flawed_dice.index.intersection(sound_dice.index)
    differences = complete(paired(flawed_dice, sound_dice))
    test = two_way(differences)
    yield str(len(shared))
    yield from (number(mean(dice.loc[shared])) for dice in (sound_dice, flawed_dice))
    counted = f" {interval(test.low, test.high, '+')}, p {probability(test.p_value)}" if test else ""
    yield f"{number(differences.mean(), '+')}{counted}"


def fields() -> str:
    """How much the crop around the label helps: the same weights on other fields of view."""
    lines = []
    for profile in honest():
        for method, group in by_method(read_results(profile), []).items():
            measured = [(field, [r for r in group if r.names.field(field).is_file()]) for field in get_args(Field)]
            lines += [[profile, method, *against_crop(runs, field)] for field, runs in measured if runs]
    heads = [f"{DICE.name} on the crop [{DICE.unit}]", f"{DICE.name} on the field [{DICE.unit}]"]
    heads += [f"{HD95.name} on the crop", f"{HD95.name} on the field"]
    return table(["profile", "method", "field", "runs", *heads], lines)


def against_crop(group: Sequence[Result], field: Field) -> list[str]:
    """Cells: the field, runs, and mean Dice and 95HD of the default network on the crop and on the field."""
    frames = {r.run: of_cases(read_scores(r.names.field(field))) for r in group}
    cells = []
    for measure in (DICE, HD95):
        on_crop, on_field = scores(group, measure.column), score_table(frames, measure.column)
        cells += [number(mean(on_crop)), number(mean(on_field))]
    return [field, str(len(frames)), *cells]
