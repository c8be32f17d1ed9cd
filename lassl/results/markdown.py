"""The results table as Markdown, whole or side by side with another."""

from collections.abc import Iterable, Mapping
from itertools import chain, repeat

from lassl.plumbing.tables import grid, number
from lassl.results.document import Table
from lassl.results.layout import Layout, Line, layout
from lassl.results.measures import DICE
from lassl.results.remarks import Remark


def table(content: Table) -> str:
    """Render a table: the tests over trainings, our rows with published figures below each, and the remarks."""
    shown = layout(content)
    tests = f"{grid(shown.tests[0], shown.tests[1:])}\n\n" if shown.tests else ""
    return f"{tests}{body(shown)}\n\n{paragraphs(map(paragraph, shown.remarks))}"


def body(shown: Layout) -> str:
    """The rows of a table under its heads."""
    return grid(shown.heads, chain.from_iterable(lines(line, len(shown.heads)) for line in shown.lines))


def lines(line: Line, width: int) -> Iterable[list[str]]:
    """Cells of one of our rows, and of the published figures below it if there are any, in `width` columns."""
    yield [titled(line.title, line.departures), *(" ".join(parts) for parts in line.cells)]
    if line.published:
        yield [*line.published, *repeat("", width - len(line.published))]


def titled(title: str, departures: Iterable[str]) -> str:
    """A row's title, and how its evaluation departs from the default."""
    return ", ".join([f"**{title}**", *departures])


def paragraph(remark: Remark) -> str:
    """A remark, a warning in bold type."""
    return f"**{remark.text}**" if remark.warning else remark.text


def paragraphs(texts: Iterable[str]) -> str:
    """Each text as a paragraph."""
    return "\n".join(f"{text}\n" for text in texts)


def side_by_side(tables: Mapping[str, Table]) -> str:
    """Mean Dice in percent of the rows that two tables share, by profile, and the second minus the first."""
    first, second = (content.rows for content in tables.values())
    cells = []
    for method in [m for m in first if m in second]:
        before, after = (rows[method].scores[DICE.key].mean for rows in (first, second))
        change = None if before is None or after is None else after - before
        cells.append([first[method].title, number(before), number(after), number(change, "+")])
    return grid([f"Mean {DICE.heading}", *tables, "difference"], cells)
