"""The page's table: the columns that fit a screen, and more on demand."""

from dataclasses import dataclass

from lassl.plumbing.tables import number
from lassl.results.document import REFERENCES, Row, Table
from lassl.results.layout import layout
from lassl.results.measures import MAIN, OTHERS, Mean
from lassl.results.remarks import CHOSEN


@dataclass(frozen=True)
class Head:
    """A column's head; one with `more` is shown on demand."""

    text: str
    more: bool


@dataclass(frozen=True)
class Line:
    """A row: its name in table.json, its group, its title with departures from the usual evaluation, further cells.

    A cell may have a second part, such as an interval.
    """

    name: str
    group: str
    title: str
    departures: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Columns:
    """Heads, and a line for each row."""

    heads: tuple[Head, ...]
    lines: tuple[Line, ...]


def columns(table: Table) -> Columns:
    """The table as the page shows it: at first method, scores and the difference to the baseline."""
    told = layout(table)
    others = list(table.references)
    scores = [1, *range(2 + len(others), 1 + len(others) + len(MAIN))]
    first = [0, *scores, *(2 + n for n, key in enumerate(others) if key == REFERENCES["baseline"])]
    order = first + [n for n in range(len(told.heads)) if n not in first]
    heads = [Head(told.heads[n], more=n not in first) for n in order]
    printed = any(row.published for row in table.rows.values())
    heads += [Head(f"published {measure.heading}", more=True) for measure in MAIN] if printed else []
    heads += [Head("published weights", more=True)] if printed else []
    heads += [Head(measure.heading, more=True) for measure in OTHERS]
    lines = []
    for line in told.lines:
        row = table.rows[line.name]
        cells = [line.cells[n - 1] for n in order[1:]]
        cells += [(cell,) for cell in published(row)] if printed else []
        cells += [(more(row.more[measure.key]),) for measure in OTHERS]
        lines.append(Line(line.name, line.group, line.title, line.departures, tuple(cells)))
    return Columns(tuple(heads), tuple(lines))


def published(row: Row) -> list[str]:
    """A paper's figures of a row, and how their weights were chosen, with the mark of a note; dashes without any."""
    if not (figures := row.published):
        return ["-"] * (len(MAIN) + 1)
    values = (figures.dice, figures.jaccard, figures.asd, figures.hd95)
    chosen = CHOSEN[figures.chosen] + (" [1]" if figures.note else "")
    return [*("-" if value is None else f"{value:g}" for value in values), chosen]


def more(values: Mean) -> str:
    """Mean and standard deviation."""
    return f"{number(values.mean)} ± {number(values.std)}"
