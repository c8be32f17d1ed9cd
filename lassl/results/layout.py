"""What a table shows, from its table.json, as plain text for Markdown, page and terminal: heads, cells, remarks."""

from collections.abc import Mapping
from dataclasses import dataclass

from lassl.plumbing.tables import interval, listed, number, probability
from lassl.results.measures import DICE, MAIN
from lassl.results.remarks import CHOSEN, Remark, Row, Table, references, remarks


@dataclass(frozen=True)
class Line:
    """A row as it is shown: title, departures from the default evaluation, and a cell for each further column.

    `name` and `group` are those of the table.json. A cell may have a second part, such as the interval of its mean.
    `published` are the figures of a paper in the same columns, the first being what they are called; there are none,
    or some for the first columns.
    """

    name: str
    group: str
    title: str
    departures: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    published: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A table as it is shown."""

    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    remarks: tuple[Remark, ...]


def layout(table: Table) -> Layout:
    """Lay a table out."""
    others = references(table)
    heads = ["Method", *(measure.heading for measure in MAIN), "alike", *against(others), "P(best)", "failed", "cases"]
    heads += ["labeled + unlabeled", "runs", "steps", "min"]
    lines = (line(name, row, others) for name, row in table["rows"].items())
    return Layout(tuple(heads), tuple(lines), tuple(remarks(table)))


def against(others: Mapping[str, Row]) -> list[str]:
    """Heads of the differences to the rows that others are compared with."""
    return [f"{DICE.name} against {row['title']}" for row in others.values()]


def line(name: str, row: Row, others: Mapping[str, Row]) -> Line:
    """Lay a row out: its scores, what they are worth beside others, and how it was trained."""
    cells = [
        *(score(row["scores"][measure.key]) for measure in MAIN),
        (row["alike"],),
        *differences(row, others),
        (number(row.get("probability_of_best", {}).get(DICE.key)),),
        (str(row["failed"]),),
        (str(row["cases"]),),
        *((cell,) for cell in trained(row)),
    ]
    departures = tuple(filter(None, row["evaluation"]))
    return Line(name, row["group"], row["title"], departures, tuple(cells), published(row))


def score(values: Mapping[str, float | None]) -> tuple[str, str]:
    """Mean and standard deviation over cases; interval of the mean."""
    return f"{number(values['mean'])} ± {number(values['std'])}", interval(values["low"], values["high"])


def differences(row: Row, others: Mapping[str, Row]) -> list[tuple[str, ...]]:
    """For each row that others are compared with: mean difference of Dice; its interval and its adjusted p."""
    cells: list[tuple[str, ...]] = []
    for key, other in others.items():
        if row is other:
            cells.append(("baseline",))
            continue
        values = row[key][DICE.key]
        between = interval(values["low"], values["high"], "+")
        cells.append((number(values["difference"], "+"), f"{between}, p {probability(values['p_holm'])}"))
    return cells


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
    """What published figures are called, with how their weights were chosen and the mark of their note; the figures."""
    figures = row["published"]
    if not figures:
        return ()
    called = f"published, {CHOSEN[figures['chosen']]}" + " [1]" * ("note" in figures)
    return (called, *(f"{figures[m.key]:g}" if m.key in figures else "-" for m in MAIN))
