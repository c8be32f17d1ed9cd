"""Tables of results and of hyper-parameter searches on the pages, from metrics/.

`<!-- table: compact -->`         the full table of a profile, metrics/compact/table.md
`<!-- table: compact, short -->`  its rows in at most seven columns, for a first look
`<!-- table: compact, quick -->`  the mean Dice of two profiles side by side
`<!-- trials: compact -->`        the trials of a profile's tuning mode
"""

import csv
from collections.abc import Mapping

from lassl.pages.prose import wrapped
from lassl.paths import TUNING, metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import grid, interval, listed, number
from lassl.results.document import Published, Row, Table, read_table
from lassl.results.layout import against, differences
from lassl.results.markdown import paragraph, side_by_side, titled
from lassl.results.measures import DICE, HD95
from lassl.results.remarks import (
    CHOSEN,
    LARGEST,
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
    """Render a table in at most seven columns, and below it what a reader has to know."""
    rows, others = list(table.rows.values()), table.references
    published = any(row.published for row in rows)
    heads = ["Method", "labels", DICE.heading, HD95.heading]
    if published:
        heads.append(f"published {DICE.name}")
    heads += against(others)
    lines = [short_row(row, others, published) for row in rows]
    texts = [remark(table), *map(paragraph, [*tuning_notice(table), *pairs(table), *warnings(table)])]
    return "\n\n".join([grid(heads, lines), *map(wrapped, texts)]) + "\n"


def short_row(row: Row, others: Mapping[str, Row], published: bool) -> list[str]:
    """Cells of a row: labeled cases, Dice with its interval, 95HD, published Dice, the differences to the baselines."""
    dice, hd95 = row.scores[DICE.key], row.scores[HD95.key]
    cells = [
        titled(row.title, filter(None, row.evaluation)),
        listed(row.labeled) or "-",
        f"{number(dice.mean)} {interval(dice.low, dice.high)}",
        number(hd95.mean),
    ]
    if published:
        figures = row.published
        cells.append(f"{figures.dice:g}{known(figures)}" if figures else "")
    return [*cells, *(" ".join(parts) for parts in differences(row, others))]


def known(figures: Published) -> str:
    """Which weights gave the published figures, if known, and whether only the largest component was scored."""
    parts = [CHOSEN[figures.chosen]] if figures.chosen != "unknown" else []
    if figures.parts == "largest":
        parts.append(LARGEST)
    return f" ({', '.join(parts)})" if parts else ""


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
    if sources := list(dict.fromkeys(row.published.source for row in rows if row.published)):
        sentences.append(f"Published figures ({'; '.join(sources)}) are for the real scans at full resolution.")
        if any(row.published and row.published.chosen != "unknown" for row in rows):
            sentences.append("In brackets: how their weights were chosen.")
    return " ".join(sentences)


def empty(failed: int) -> str:
    """Say how many predictions are empty, and how they count in the distances."""
    if not failed:
        return "No prediction is empty."
    return f"Empty predictions: {failed}. Distances leave them out, unless a row's title says how they count."
