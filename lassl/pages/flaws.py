"""Writes docs/flaws.md: what each known flaw of the field's code does to the figures, from the runs in metrics/."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from lassl.evaluation.snapshots import best, last
from lassl.evaluation.summary import POLICIES
from lassl.pages.public_code import NOT_RUN
from lassl.paths import DOCS, TUNING, metrics_folder
from lassl.plumbing.files import write_text
from lassl.plumbing.tables import grid, interval, number, probability
from lassl.results.document import read_table
from lassl.results.measures import DICE, HD95, MAIN_DISTANCES
from lassl.results.power import design
from lassl.results.remarks import TWO_WAY
from lassl.results.runs import Result, by_method, mean, read_results, read_scores, score_table, scores
from lassl.settings import config
from lassl.settings.sections import Field, Statistics
from lassl.statistics.scores import paired
from lassl.statistics.trainings import complete, two_way

TRAINED = {  # flaws that take a training of their own, in the order of the page
    "overlap": "The unlabeled list begins with the labeled cases, so 16 of the 64 unlabeled images are not new.",
    "crossed_schedulers": "The scheduler of the second network lowers the learning rate of the first, which falls "
    "twice as fast, while the second's never falls.",
    "broken_dice": "The Dice that feeds the adaptive weight compares the classes of a score with the cases of a batch. "
    "A perfect and an empty prediction score alike, so the weight hardly moves.",
    "fewer_exposures": "The baseline sees half the labeled patches: two a step, where it otherwise has four.",
    "unseeded_margins": "The margins of the crop around the label are drawn without a seed: two preparations of the "
    "same scans differ. One preparation is compared with the seeded one: an example of the difference, no estimate.",
}
TESTS = "tiny"  # the profile of the tests
UNKNOWN = "*Not measured yet.*"
INTRODUCTION = f"""# Known flaws and what they do

Code of the field has had each of these. Those with a name in code letters are files in `conf/flaw/`, which put small
parts of `lassl/flaws/` in (`dvc exp run -S profile=repeats -S method=cps -S flaw=overlap`), through the same seams as
honest variants; `fewer_exposures` needs no part, it is a setting. None is on by default. Runs with a flaw have a folder
of their own, `metrics/<profile>-<flaw>/`. Differences are flawed minus honest, in the same draw and seed and case by
case. Beside them stands by how much the difference of a pair of trainings moves at that scale (SD), be there a flaw or
not: **a difference of one pair below some twice that shows nothing.** With two or more pairs there are a 95 % interval
and p (not corrected: each flaw is a question of its own);
{TWO_WAY}.

`compact` and `repeats` are the real scans at half resolution on a CPU, `repeats` with half the steps and smaller
patches; `quick` is phantoms. None of these is the published scale.

`make flaws` writes this page from what is in `metrics/`.
"""
SETTINGS = """## Choosing settings by test scores

A sweep that is scored on the test cases chooses settings as `test_selection` chooses snapshots: by luck on these
cases, too. Each further trial can only raise the best score, learned or not, and no table shows how many there were.
Here settings are chosen in the tuning mode (`-S mode=tuning`): the last 16 labeled training cases are scored, no test
case is read, and every trial is kept ([the trials of compact](compact.md)).
"""
NOT_RUN_HERE = "\n".join(["## Seen in public code, not run here\n", *(f"- {text}" for text in NOT_RUN)]) + "\n"


def write() -> None:
    """Write docs/flaws.md."""
    write_text(DOCS / "flaws.md", page(config.load().statistics))


def page(statistics: Statistics) -> str:
    """Render the page from what is in metrics/: profiles with real scans first, then those with synthetic ones."""
    names = [p for p in profiles() if not any(p.endswith(f"-{flaw}") for flaw in TRAINED)]
    honest = {profile: read_results(profile) for profile in sorted(names, key=lambda p: (synthetic(p), p))}
    sections = [selection(honest), SETTINGS, empties(honest)]
    sections += [trained(flaw, honest, statistics) for flaw in TRAINED]
    sections += [fields(honest), NOT_RUN_HERE]
    return "\n".join([INTRODUCTION, *sections])


def profiles() -> list[str]:
    """The folders of metrics/ with scores of test cases by runs of ours, but those of the tests (metrics/tiny*)."""
    names = {path.parts[1] for path in Path("metrics").glob("*/records/[!.]*-d*-s*.yaml")}
    return sorted(profile for profile in names if not profile.startswith(TESTS) and TUNING not in profile)


def synthetic(profile: str) -> bool:
    """Whether a profile has a table that calls its scans so."""
    there = (metrics_folder(profile) / "table.json").is_file()
    return there and read_table(profile).statistics.scans == "synthetic"


def section(title: str, text: str, heads: Sequence[str], lines: list[list[str]], nothing: str = UNKNOWN) -> str:
    """A heading, what the flaw is, and what it did; or that there is nothing to show."""
    return f"## {title}\n\n{text}\n\n{grid(heads, lines) if lines else nothing}\n"


def selection(honest: dict[str, list[Result]]) -> str:
    """What choosing a snapshot on the test cases adds to the last weights: the optimism of test-set selection."""
    lines = []
    for profile, results in honest.items():
        for method, group in by_method(results, []).items():
            pairs = [last_and_best(r.snapshots) for r in group if len(r.snapshots)]
            if pairs:
                final, chosen = np.mean(pairs, axis=0)
                most = max(b - a for a, b in pairs)
                cells = [number(final), number(chosen), number(chosen - final, "+"), number(most, "+")]
                lines.append([profile, method, str(len(pairs)), *cells])
    return section(
        "Choosing the checkpoint on the test set (`test_selection`)",
        "The best of all snapshots by its mean Dice on the test cases (*oracle*) against the last weights of the same "
        "trainings. The difference is the optimism of test-set selection; the oracle stands in no table.",
        ["profile", "method", "runs", "Dice of the last [%]", "oracle [%]", "optimism", "most in one run"],
        lines,
    )


def last_and_best(snapshots: pd.DataFrame) -> tuple[float, float]:
    """Mean test Dice in percent of the last weights, and of those that are best on the test cases."""
    means = snapshots[snapshots["part"] == "test"].groupby("step")[DICE.column].mean()
    return float(means[last(snapshots)]), float(means[best(snapshots, "test")])


def empties(honest: dict[str, list[Result]]) -> str:
    """What counting an empty prediction with a distance of 0 does, where there was one."""
    lines, total = [], 0
    for profile, results in honest.items():
        for method, group in by_method(results, []).items():
            count = sum(len(r.reported_cases()) for r in group)
            failed = int(sum(r.reported_cases()["failed"].sum() for r in group))
            total += count
            if failed:
                lines.append([profile, method, f"{failed} of {count}", *distances(group)])
    return section(
        "An empty prediction scored 0 (`empty_zero`)",
        "Mean distances in voxels with the empty predictions left out, with the diagonal of the volume, and with 0, "
        "which makes a method better for having failed. Rows without an empty prediction are not listed.",
        ["profile", "method", "empty", *(f"{m.name}: {p.heading}" for m in MAIN_DISTANCES for p in POLICIES.values())],
        lines,
        f"*None of the {total} predictions in these profiles is empty: nothing to count, so the flaw changes nothing.*",
    )


def distances(group: Sequence[Result]) -> Iterator[str]:
    """Cells: each mean distance under each policy for empty predictions."""
    for measure in MAIN_DISTANCES:
        for policy in POLICIES.values():
            yield number(mean(score_table({r.run: r.reported_cases(policy) for r in group}, measure.column)))


def trained(flaw: str, honest: dict[str, list[Result]], statistics: Statistics) -> str:
    """What a flaw that changes the training, or its data, does to the Dice."""
    lines = []
    for profile in [p for p in honest if f"{p}-{flaw}" in profiles()]:
        noise = design(by_method(honest[profile], []), statistics).noise
        moves = number(noise.pair if noise else None)
        for method, flawed in by_method(read_results(f"{profile}-{flaw}"), []).items():
            sound = [r for r in honest[profile] if r.record.method == method]
            if sound:
                lines.append([profile, method, *comparison(flawed, sound), moves])
    return section(
        f"`{flaw}`",
        TRAINED[flaw],
        [
            "profile",
            "method",
            "pairs",
            f"honest {DICE.heading}",
            f"flawed {DICE.heading}",
            "difference",
            "a pair moves by",
        ],
        lines,
    )


def comparison(flawed: Sequence[Result], sound: Sequence[Result]) -> Iterator[str]:
    """Cells: shared runs, both means over them, the difference with its interval and p where there are two pairs."""
    flawed_dice, sound_dice = scores(flawed, DICE.column), scores(sound, DICE.column)
    shared = flawed_dice.index.intersection(sound_dice.index)
    differences = complete(paired(flawed_dice, sound_dice))
    test = two_way(differences)
    yield str(len(shared))
    yield from (number(mean(dice.loc[shared])) for dice in (sound_dice, flawed_dice))
    counted = f" {interval(test.low, test.high, '+')}, p {probability(test.p_value)}" if test else ""
    yield f"{number(differences.mean(), '+')}{counted}"


def fields(honest: dict[str, list[Result]]) -> str:
    """What the crop around the label gives away: the same weights on other fields of view."""
    lines = []
    for profile, results in honest.items():
        for method, group in by_method(results, []).items():
            measured = [(field, [r for r in group if r.names.field(field).is_file()]) for field in get_args(Field)]
            lines += [[profile, method, *against_crop(runs, field)] for field, runs in measured if runs]
    heads = [f"{DICE.name} on the crop [{DICE.unit}]", f"{DICE.name} there [{DICE.unit}]"]
    heads += [f"{HD95.name} on the crop", f"{HD95.name} there"]
    return section(
        "Cropping around the label",
        "The volumes that the field passes on are cropped around the label that is to be found. The same weights were "
        "scored on the crop, on the volume's center (of a size that the labeled training cases give) and on the whole "
        "volume, always against the whole label. The field's h5 files are cropped already: what was around them is "
        "lost, so there *padded* puts zeros, the mean intensity, around them; it shows what more air does, not what "
        "more anatomy would do. Center and whole volume take raw scans; the phantoms are such.",
        ["profile", "method", "field", "runs", *heads],
        lines,
    )


def against_crop(group: Sequence[Result], field: Field) -> list[str]:
    """Cells: the field, runs, and mean Dice and 95HD of the default network on the crop and on the field."""
    frames = {r.run: read_scores(r.names.field(field)) for r in group}
    cells = []
    for measure in (DICE, HD95):
        on_crop, on_field = scores(group, measure.column), score_table(frames, measure.column)
        cells += [number(mean(on_crop)), number(mean(on_field))]
    return [field, str(len(frames)), *cells]
