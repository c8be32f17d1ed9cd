"""Keeps the tables in README.md and docs/ equal to the ones in metrics/, and the trials that settings were chosen on.

A table stands between two marks. The first names what it is made from:
`<!-- table: compact -->`         the whole table of a profile, metrics/compact/table.md
`<!-- table: compact, short -->`  its rows in seven columns at most, for a first look
`<!-- table: compact, quick -->`  the mean Dice of two profiles side by side
`<!-- trials: compact -->`        the trials of a profile's tuning mode, up to `<!-- end of trials -->`
"""

import csv
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from lassl.paths import DOCS, TUNING, metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_text
from lassl.plumbing.tables import grid, interval, listed, number
from lassl.results.document import Row, Table, read_table
from lassl.results.layout import against, differences
from lassl.results.markdown import paragraph, side_by_side, titled
from lassl.results.measures import DICE, HD95
from lassl.results.remarks import (
    CHOSEN,
    cohort,
    pairs,
    scored_cases,
    shown_by,
    tuning_notice,
    warnings,
)
from lassl.results.search import SCORES, read_trials, trials_table

START, END, SHORT = "<!-- table: ", "<!-- end of table -->", "short"
BLOCK = re.compile(rf"({START}([\w-]+)(?:, ([\w-]+))? -->\n)((?!{START}).)*?({END})", re.DOTALL)
TRIALS = re.compile(r"(<!-- trials: ([\w-]+) -->\n)((?!<!-- trials: ).)*?(<!-- end of trials -->)", re.DOTALL)
EARLIER = "earlier.csv"  # trials of which no record was kept, as they stand in the table
MEAN = "mean Dice"  # the column of EARLIER by which the best trial of a method is found
WIDTH = 120  # characters of a line of text


def with_tables(text: str, path: Path) -> str:
    """Replace what stands between the marks of tables and of trials in the text of a file. Raises LasslError."""

    def block(match: re.Match[str]) -> str:
        mark, first, second, _, end = match.groups()
        if second is None:
            return f"{mark}{source(path, first, 'table.md').read_text('utf-8')}{end}"
        if second == SHORT:
            return f"{mark}{short(document(path, first))}{end}"
        tables = {profile: document(path, profile) for profile in (first, second)}
        return f"{mark}{side_by_side(tables)}\n{end}"

    replaced, count = BLOCK.subn(block, text)
    if not count == text.count(START) == text.count(END):
        raise LasslError(
            f"{path}: found {text.count(START)} times '{START}' and {text.count(END)} times '{END}', of which {count} "
            f"make a pair; write each table as '{START}PROFILE -->', a line break, and '{END}'"
        )
    return with_trials(replaced, path)


def with_trials(text: str, path: Path) -> str:
    """Replace what stands between the marks of trials alone. Raises LasslError."""
    replaced, count = TRIALS.subn(lambda match: f"{match[1]}{trials(path, match[2])}{match[4]}", text)
    if not count == text.count("<!-- trials: ") == text.count("<!-- end of trials -->"):
        raise LasslError(f"{path}: marks of trials make no pair; write '<!-- trials: PROFILE -->' and the end mark")
    return replaced


def trials(path: Path, profile: str) -> str:
    """Render the trials of a profile: earlier ones, of which figures alone are left, then those with a record."""
    folder = metrics_folder(f"{profile}{TUNING}")
    parts = []
    if (folder / EARLIER).is_file():
        parts.append(earlier((folder / EARLIER).read_text("utf-8")))
    if read_trials(folder):
        parts += [
            f"Trials with a record (`{folder / SCORES}`); min: of training, beside whatever else ran:",
            trials_table(folder),
        ]
    if not parts:
        raise LasslError(f"{path}: names the trials of profile {profile}, but {folder} has none; gather them first")
    return "\n\n".join(parts) + "\n"


def earlier(text: str) -> str:
    """Render a file of earlier trials, the best of each method in bold, under a sentence that says what they are."""
    rows = list(csv.DictReader(text.splitlines()))
    best = {row["method"]: max(float(r[MEAN]) for r in rows if r["method"] == row["method"]) for row in rows}
    told = f"Trials from before records were kept, {len(rows)}: these figures are all that is left of them."
    bold = [row | {MEAN: f"**{row[MEAN]}**"} if float(row[MEAN]) == best[row["method"]] else row for row in rows]
    return f"{told}\n\n{grid(list(rows[0]), (list(row.values()) for row in bold))}"


def source(path: Path, profile: str, name: str) -> Path:
    """Give a file of the profile that a page names. Raises LasslError where it is not there."""
    found = metrics_folder(profile) / name
    if not found.is_file():
        raise LasslError(f"{path}: names the table of profile {profile}, but {found} is not there; run it first")
    return found


def document(path: Path, profile: str) -> Table:
    """Read the table of the profile that a page names. Raises LasslError."""
    source(path, profile, "table.json")
    return read_table(profile)


def short(table: Table) -> str:
    """Render a table in seven columns at most, and below it what a reader has to know about them."""
    rows, others = list(table.rows.values()), table.references
    published = any(row.published for row in rows)
    heads = ["Method", "labels", DICE.heading, HD95.heading]
    if published:
        heads.append(f"published {DICE.name}")
    heads += against(others)
    lines = [short_row(row, others, published) for row in rows]
    texts = [remark(table), *map(paragraph, [*tuning_notice(table), *pairs(table), *warnings(table)])]
    return "\n\n".join([grid(heads, lines), *(textwrap.fill(text, WIDTH) for text in texts)]) + "\n"


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
        known = f" ({CHOSEN[figures.chosen]})" if figures and figures.chosen != "unknown" else ""
        cells.append(f"{figures.dice:g}{known}" if figures else "")
    return [*cells, *(" ".join(parts) for parts in differences(row, others))]


def remark(table: Table) -> str:
    """What the figures are of: the scans, the scale, the trainings, the empty predictions, and the tests."""
    rows = list(table.rows.values())
    steps = listed(sorted({steps for row in rows for steps in row.steps}))
    runs = "" if all(len(row.runs) <= 1 for row in rows) else ", means over a row's trainings"
    sentences = [
        f"Profile {table.profile}: cohort {cohort(table)}, {steps} steps{runs}, on {' and '.join(table.devices)}.",
        f"Means over {scored_cases(table)} [95 % bootstrap interval].",
        empty(sum(row.failed for row in rows)),
    ]
    if any(found[DICE.key].trainings for row in rows for found in row.compared.values()):
        sentences.append("Intervals and p of differences: trainings and patients both random; Holm's correction.")
    sentences += shown_by(table)
    if sources := list(dict.fromkeys(row.published.source for row in rows if row.published)):
        sentences.append(f"Published ({'; '.join(sources)}): on the real scans at full resolution.")
        if any(row.published and row.published.chosen != "unknown" for row in rows):
            sentences.append("In brackets their weights: last, or best on test.")
    return " ".join(sentences)


def empty(failed: int) -> str:
    """How many predictions are empty, and how they enter the distances."""
    if not failed:
        return "No prediction is empty."
    return f"Empty predictions: {failed}; the distances leave them out, unless a row's name says how they count."


def pages() -> list[Path]:
    """The files that may show tables: README.md and the pages in docs/."""
    return [Path("README.md"), *sorted(DOCS.glob("*.md"))]


def write() -> None:
    """Write the current tables into every page: into all of them, or into none. Raises LasslError."""
    before = {path: path.read_text("utf-8") for path in pages()}
    after = {path: with_tables(text, path) for path, text in before.items()}
    for path, text in after.items():
        if text != before[path]:
            write_text(path, text)
