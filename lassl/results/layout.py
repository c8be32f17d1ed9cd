"""What a table shows, from its table.json, as plain text for Markdown, page and terminal: heads, cells, remarks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import interval, listed, number, probability
from lassl.results.measures import DICE, MAIN

Table = Mapping[str, Any]  # the content of a table.json
Row = Mapping[str, Any]  # one of its rows
SCANS = {"real": "real scans", "synthetic": "synthetic phantoms, not patients"}
INTERVAL_AND_TEST = (
    "The interval is of the mean, which a few cases with large differences can move far; the test counts each case by "
    "its rank and sees whether most cases go the same way: one can show a difference where the other shows none."
)


@dataclass(frozen=True)
class Line:
    """A row as it is shown: title, departures from the default evaluation, and a cell for each further column.

    A cell may have a second part, such as the interval of its mean. `published` are the figures of a paper in the same
    columns, the first being what they are called; there are none, or some for the first columns.
    """

    title: str
    departures: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    published: tuple[str, ...]


@dataclass(frozen=True)
class Remark:
    """A paragraph under a table; a warning says that its rows cannot be compared."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Layout:
    """A table as it is shown."""

    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    remarks: tuple[Remark, ...]


def read_table(profile: str) -> dict[str, Any]:
    """Read a profile's table.json. Raises LasslError."""
    path = metrics_folder(profile) / "table.json"
    if not path.is_file():
        raise LasslError(f"{path}: not found; make it with `dvc repro`, or name a profile that has one")
    try:
        table: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise LasslError(f"{path}: no JSON ({error}); restore it from git, or make it again with `dvc repro`") from None
    return table


def layout(table: Table) -> Layout:
    """Lay a table out."""
    rows, baseline = table["rows"].values(), baseline_of(table)
    against = [] if baseline is None else [f"{DICE.name} against {baseline['title']}"]
    heads = ["Method", *(measure.heading for measure in MAIN), "alike", *against, "P(best)", "failed", "cases"]
    heads += ["labeled + unlabeled", "runs", "steps", "min"]
    return Layout(tuple(heads), tuple(line(row, baseline) for row in rows), tuple(remarks(table)))


def baseline_of(table: Table) -> Row | None:
    """The row that others are compared with, if it is there."""
    row: Row | None = table["rows"].get(table["statistics"]["baseline"])
    return row


def line(row: Row, baseline: Row | None) -> Line:
    """Lay a row out: its scores, what they are worth beside others, and how it was trained."""
    against = [] if baseline is None else [("baseline",) if row is baseline else difference(row)]
    cells = [
        *(score(row["scores"][measure.key]) for measure in MAIN),
        (row["alike"],),
        *against,
        (number(row.get("probability_of_best", {}).get(DICE.key)),),
        (str(row["failed"]),),
        (str(row["cases"]),),
        *((cell,) for cell in trained(row)),
    ]
    return Line(row["title"], tuple(filter(None, row["evaluation"])), tuple(cells), published(row))


def score(values: Mapping[str, float | None]) -> tuple[str, str]:
    """Mean and standard deviation over cases; interval of the mean."""
    return f"{number(values['mean'])} ± {number(values['std'])}", interval(values["low"], values["high"])


def difference(row: Row) -> tuple[str, str]:
    """Mean difference of Dice to the baseline; its interval and its adjusted p."""
    values = row["against_baseline"][DICE.key]
    between = interval(values["low"], values["high"], "+")
    return number(values["difference"], "+"), f"{between}, p {probability(values['p_holm'])}"


def trained(row: Row) -> list[str]:
    """Cells that tell of a row's trainings, of which nothing is known where its masks were made elsewhere."""
    if not row["runs"]:
        return ["-", runs(row), "-", "-"]
    counts = " + ".join(listed(row[key]) for key in ("labeled", "unlabeled"))
    return [counts, runs(row), listed(row["steps"]), f"{row['training_minutes']:g}"]


def runs(row: Row) -> str:
    """The number of a row's runs, or that they were not ours."""
    return str(len(row["runs"])) if row["runs"] else "external"


def published(row: Row) -> tuple[str, ...]:
    """What published figures are called, with the mark of their note, and the figures."""
    figures = row["published"]
    if not figures:
        return ()
    return ("published [1]" if "note" in figures else "published", *(f"{figures[m.key]:g}" for m in MAIN))


def remarks(table: Table) -> list[Remark]:
    """What the figures are, and every way in which rows cannot be compared."""
    rows = list(table["rows"].values())
    texts = [described(table), *comparisons(table)]
    if all(len(row["runs"]) <= 1 for row in rows):
        texts.append("One run of each row: intervals and tests speak of other patients, not of other trainings.")
    if not all(row["runs"] for row in rows):
        texts.append(
            "External: masks that were made elsewhere, scored here as one run on the same cases; how they were trained "
            "is not known here. Differences to them are between means over runs, and they have no P(best)."
        )
    if table["missing"]:
        texts.append(f"Not run in this profile: {', '.join(table['missing'])}.")
    notes = [Remark(f"[1] {note}") for note in table["notes"]]
    return [*map(Remark, texts), *warnings(table), *notes]


def described(table: Table) -> str:
    """The scans, the scale, the devices, what a cell holds, and whose the published rows are."""
    rows = list(table["rows"].values())
    sentences = [
        f"Profile {table['profile']}: cohort {cohort(table)}, trained on {' and '.join(table['devices'])}.",
        "Mean ± standard deviation over test cases [95 % bootstrap interval of the mean], scored at native resolution; "
        "min: minutes of training.",
        failed_cases(rows),
    ]
    if any(row["published"] for row in rows):
        sentences.append("The published rows are Gupta and Guo's, on the real scans at full resolution.")
    return " ".join(sentences)


def cohort(table: Table) -> str:
    """The cohort's name, what kind of scans it has, and the resolution of the volumes that the networks saw."""
    scale = f"volumes pooled by {table['pool']}" if table["pool"] > 1 else "full resolution"
    return f"{table['cohort']} ({SCANS[table['statistics']['scans']]}), {scale}"


def failed_cases(rows: Sequence[Row]) -> str:
    """How failed cases enter the distances."""
    usual = not any("failures" in departure for row in rows for departure in row["evaluation"])
    how = "leave out failed cases" if usual else "count failed cases as each row says, or leave them out"
    return f'Distances {how} (empty predictions), whose number stands under "failed".'


def comparisons(table: Table) -> list[str]:
    """What the differences to the baseline, if there are any, the letters and P(best) say, and what they do not."""
    baseline = baseline_of(table)
    texts, larger = [], ""
    if baseline and len(table["rows"]) > 1:
        texts.append(
            f"Dice is the primary score. Differences to {baseline['title']}: paired, with a 95 % bootstrap interval "
            "and the p of a Wilcoxon signed-rank test over the cases. Holm's correction of p is over the rows for Dice "
            "alone; the other scores are secondary, each corrected over the rows by itself (table.json). The intervals "
            f"are not corrected. {INTERVAL_AND_TEST}"
        )
        larger = (
            ", and a larger one, so that a row may share a letter with the baseline though its p tells the two apart"
        )
    texts.append(
        'Rows that share a letter under "alike" cannot be told apart by Dice when every pair is tested (Wilcoxon '
        "signed-rank test over the cases, Holm's correction over all pairs, p ≥ 0.05). The pairs are a family of tests "
        f"of their own{larger}. P(best): share of bootstrap replicates in which the row has the highest mean Dice."
    )
    return texts


def warnings(table: Table) -> list[Remark]:
    """Give a remark for each way in which the settings or the data of rows and runs differ."""
    rows = table["rows"].values()
    texts = []
    for what, key in (("settings", "shared"), ("window strides", "stride")):
        values = [value for row in rows for value in row[key]]
        if any(value != values[0] for value in values):
            texts.append(f"The rows have different {what} (see table.json) and cannot be compared.")
    for row in rows:
        if len(row["method"]) > 1 or len(row["evaluation"]) > 1:
            texts.append(f"{row['title']}: its runs differ in their options (see table.json): not one method.")
    if len(table["cohort_hash"]) > 1:
        texts.append("The rows were trained on different data and cannot be compared.")
    return [Remark(text, warning=True) for text in texts]
