"""Tables of results and of hyper-parameter searches on the pages, from metrics/.

`<!-- table: compact -->`         the full table of a profile, metrics/compact/table.md
`<!-- table: compact, short -->`  its rows in at most seven columns, for a first look
`<!-- table: compact, quick -->`  the mean Dice of two profiles side by side
`<!-- structures: brains_six -->` the mean Dice of each of several structures
`<!-- trials: compact -->`        the trials of a profile's tuning mode
"""

import csv

from lassl.pages.prose import wrapped
from lassl.paths import TUNING, metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import grid, listed, number
from lassl.results.document import Table, read_table
from lassl.results.layout import short_layout, short_rows
from lassl.results.markdown import body, paragraph, side_by_side
from lassl.results.measures import DICE
from lassl.results.remarks import (
    cohort,
    pairs,
    scored_cases,
    shown_by,
    tuning_notice,
    warnings,
)
from lassl.results.search import SCORES, read_trials, trials_table

SHORT = "short"
EARLIER = "earlier.csv"  # trials without records, with the columns of the table
MEAN = "mean Dice"  # the column of EARLIER that decides which trial of a method is best


def table(profile: str, other: str | None = None) -> str:
    """A profile's table: in full, in few columns (SHORT), or side by side with another profile. Raises LasslError."""
    if other is None:
        source = metrics_folder(profile) / "table.md"
        if not source.is_file():
            raise LasslError(f"{source}: not found; create it with `lassl tables {profile}`, or name another profile")
        return source.read_text("utf-8")
    if other == SHORT:
        return short(read_table(profile))
    return side_by_side({name: read_table(name) for name in (profile, other)})


def structures(profile: str) -> str:
    """The mean Dice of a profile's rows for each of several structures, in a column of its own. Raises LasslError."""
    rows = {row.title: row.structures or {} for row in read_table(profile).rows.values()}
    names = list(next(iter(rows.values())))
    if not names:
        raise LasslError(f"{metrics_folder(profile)}/table.json: found one structure; name a profile with several")
    lines = [[title, *(number(found[name].scores[DICE.key].mean) for name in names)] for title, found in rows.items()]
    return grid(["Dice [%]", *(name.replace("_", " ") for name in names)], lines)


def trials(profile: str) -> str:
    """The trials of a profile: first the earlier ones without records, then those with a record.

    Raises LasslError.
    """
    folder = metrics_folder(f"{profile}{TUNING}")
    parts = []
    if (folder / EARLIER).is_file():
        parts.append(earlier((folder / EARLIER).read_text("utf-8")))
    if read_trials(folder):
        parts += [
            f"Trials with a record (`{folder / SCORES}`); min: training time in minutes, with other jobs running:",
            trials_table(folder),
        ]
    if not parts:
        raise LasslError(f"{folder}: found no trials; collect them with `lassl search`, or name another profile")
    return "\n\n".join(parts) + "\n"


def earlier(text: str) -> str:
    """Render a file of earlier trials under a sentence that explains them, with the best of each method in bold."""
    rows = list(csv.DictReader(text.splitlines()))
    best = {row["method"]: max(float(r[MEAN]) for r in rows if r["method"] == row["method"]) for row in rows}
    lead = f"{len(rows)} earlier trials without records; only these figures remain."
    bold = [row | {MEAN: f"**{row[MEAN]}**"} if float(row[MEAN]) == best[row["method"]] else row for row in rows]
    return f"{lead}\n\n{grid(list(rows[0]), (list(row.values()) for row in bold))}"


def short(table: Table) -> str:
    """Render a table in seven columns at most, and below it what a reader has to know about them."""
    texts = [remark(table), *map(paragraph, [*tuning_notice(table), *pairs(table), *warnings(table)])]
    return "\n\n".join([body(short_layout(table)), *map(wrapped, texts)]) + "\n"


def remark(table: Table) -> str:
    """Describe the scans, the scale, the trainings, the empty predictions, and the tests."""
    rows = list(table.rows.values())
    steps = listed(sorted({steps for row in rows for steps in row.steps}))
    runs = "" if all(len(row.runs) <= 1 for row in rows) else ", means over a row's trainings"
    sentences = [
        f"Profile {table.profile}: cohort {cohort(table)}, {steps} steps{runs}, on {' and '.join(table.devices)}.",
        f"Means over {scored_cases(table)} [95 % bootstrap interval].",
        empty(sum(row.failed for row in rows)),
    ]
    if any(found[DICE.key].trainings for row in rows for found in row.compared.values()):
        sentences.append(
            "In intervals and p-values of differences, trainings and patients are random; p is Holm-corrected."
        )
    sentences += shown_by(table)
    figures = [row.published for row in short_rows(table).values() if row.published]
    if sources := list(dict.fromkeys(each.source for each in figures)):
        sentences.append(f"Published figures ({'; '.join(sources)}) are for the real scans at full resolution.")
        if any(each.chosen != "unknown" for each in figures):
            sentences.append("In brackets: how their weights were chosen.")
    return " ".join(sentences)


def empty(failed: int) -> str:
    """Say how many predictions are empty, and how they count in the distances."""
    if not failed:
        return "No prediction is empty."
    return f"Empty predictions: {failed}. Distances leave them out, unless a row's title says how they count."
