"""What a table shows, from its table.json, as plain text for Markdown, page and terminal: heads, cells, remarks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from lassl.plumbing.tables import interval, listed, number, probability
from lassl.results.document import REFERENCES, Difference, Row, Table, TwoWayTest
from lassl.results.measures import DICE, HD95, LOGIT_DICE, MAIN, Measure
from lassl.results.remarks import CHOSEN, LARGEST, Remark, remarks

Cell = tuple[str, ...]  # it may have a second part, such as the interval of its mean


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, and its cell in a row."""

    head: str
    cell: Callable[[Row], Cell]


@dataclass(frozen=True)
class Line:
    """A row as it is shown: title, departures from the default evaluation, and a cell for each further column.

    `name` and `group` are those of the table.json.
    `published` are the figures of a paper in the same columns, the first being what they are called; there are none,
    or some for the first columns, empty where a column has none.
    """

    name: str
    group: str
    title: str
    departures: tuple[str, ...]
    cells: tuple[Cell, ...]
    published: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A table as it is shown; `tests` are heads and lines of the tests that count trainings, empty without any."""

    tests: tuple[tuple[str, ...], ...]
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    remarks: tuple[Remark, ...]


def layout(table: Table) -> Layout:
    """Lay a table out, with published figures under the rows that have some."""
    others = table.references
    first, *further = (Column(measure.heading, partial(score, measure=measure)) for measure in MAIN)
    columns = [first, *differences(others), *further, *made()]
    lines = (line(name, row, columns, published(row, len(others))) for name, row in table.rows.items())
    return Layout(tests(table, others), heads(columns), tuple(lines), tuple(remarks(table)))


def short_layout(table: Table) -> Layout:
    """Lay out the `short_rows` of a table for a first look: seven columns at most, no tests, no remarks."""
    rows = short_rows(table)
    baseline = {key: row for key, row in table.references.items() if key == REFERENCES["baseline"]}
    columns = [
        Column("labels", lambda row: (listed(row.labeled) or "-",)),
        Column(DICE.heading, dice_and_interval),
        Column(HD95.heading, lambda row: (number(row.scores[HD95.key].mean),)),
    ]
    if any(row.published for row in rows.values()):
        columns.append(Column(f"published {DICE.name}", published_dice))
    columns += differences(baseline)
    return Layout((), heads(columns), tuple(line(name, row, columns) for name, row in rows.items()), ())


def short_rows(table: Table) -> Mapping[str, Row]:
    """The rows of the published table; all rows where none of these was run, and those of a registered experiment."""
    if table.statistics.pairs:
        return table.rows
    return {name: row for name, row in table.rows.items() if row.group == "table"} or table.rows


def heads(columns: Sequence[Column]) -> tuple[str, ...]:
    """The heads of a table, that of the titles first."""
    return ("Method", *(column.head for column in columns))


def line(name: str, row: Row, columns: Sequence[Column], published: tuple[str, ...] = ()) -> Line:
    """Lay a row out."""
    departures = tuple(filter(None, row.evaluation))
    return Line(name, row.group, row.title, departures, tuple(column.cell(row) for column in columns), published)


def tests(table: Table, others: Mapping[str, Row]) -> tuple[tuple[str, ...], ...]:
    """Heads and lines of the two-way tests against the baseline, the family first; empty where no row has two pairs."""
    key, baseline = next(iter(others.items()), (None, None))
    if key != REFERENCES["baseline"] or baseline is None:
        return ()
    compared = {row.title: row.compared[key] for row in table.rows.values() if row is not baseline}
    made = {title: tests for title, found in compared.items() if (tests := both(found))}
    if not made:
        return ()
    in_family = [title for title, (dice, _) in made.items() if dice.p_holm is not None]
    lines = [tested(title, *made[title]) for title in in_family]
    if (mean := table.family) and mean.dice and mean.logit_dice:
        lines.append(tested(f"mean of these {len(mean.rows)} (secondary)", mean.dice, mean.logit_dice))
    lines += [tested(title, *found) for title, found in made.items() if title not in in_family]
    heads = [f"{DICE.name} against {baseline.title}", "pairs", "difference", "95 % interval", "p, Holm", "p"]
    heads += [f"{LOGIT_DICE.name} (secondary)", "p"]
    return (tuple(heads), *lines)


def both(found: Mapping[str, Difference]) -> tuple[TwoWayTest, TwoWayTest] | None:
    """The two-way tests of a row by Dice and by its logit; None with less than two pairs."""
    dice, logit = (found[measure.key].trainings for measure in (DICE, LOGIT_DICE))
    return (dice, logit) if dice and logit else None


def tested(title: str, dice: TwoWayTest, logit: TwoWayTest) -> tuple[str, ...]:
    """Cells of a two-way test: pairs, difference, interval, p with Holm's correction and without; then by the logit."""
    return (
        title,
        str(dice.pairs),
        number(dice.difference, "+"),
        interval(dice.low, dice.high, "+"),
        "-" if dice.p_holm is None else p_value(dice.p_holm),
        p_value(dice.p_value),
        f"{number(logit.difference, '+')} {interval(logit.low, logit.high, '+')}",
        p_value(logit.p_value),
    )


def p_value(p: float | None) -> str:
    """A p-value in a column of its own."""
    return probability(p).removeprefix("= ")


def score(row: Row, measure: Measure) -> Cell:
    """Mean and standard deviation over cases; interval of the mean."""
    values = row.scores[measure.key]
    return f"{number(values.mean)} ± {number(values.std)}", interval(values.low, values.high)


def dice_and_interval(row: Row) -> Cell:
    """Mean Dice, and its interval."""
    values = row.scores[DICE.key]
    return number(values.mean), interval(values.low, values.high)


def published_dice(row: Row) -> Cell:
    """The published Dice, and what is known of the weights and masks behind it; empty without any."""
    figures = row.published
    if not figures:
        return ("",)
    known = [CHOSEN[figures.chosen]] if figures.chosen != "unknown" else []
    if figures.parts == "largest":
        known.append(LARGEST)
    return (f"{figures.dice:g}", *([f"({', '.join(known)})"] if known else []))


def differences(others: Mapping[str, Row]) -> list[Column]:
    """A column for each row that others are compared with."""
    return [
        Column(f"{DICE.name} against {other.title}", partial(difference, key=key, other=other))
        for key, other in others.items()
    ]


def difference(row: Row, key: str, other: Row) -> Cell:
    """Mean difference of Dice to another row; interval and p of a two-way test, if any."""
    if row is other:
        return ("baseline",)
    found = row.compared[key][DICE.key]
    return (number(found.difference, "+"), *counted(found.trainings))


def counted(test: TwoWayTest | None) -> tuple[str, ...]:
    """Interval and p of a two-way test, if there is one; its p is corrected within the family alone."""
    if test is None:
        return ()
    uncorrected = test.p_holm is None
    p = f"{probability(test.p_value)} uncorrected" if uncorrected else probability(test.p_holm)
    return (f"{interval(test.low, test.high, '+')}, p {p}",)


def made() -> list[Column]:
    """Columns that tell what a row's scores are of, and how it was trained, where that is known."""
    return [
        Column("failed", lambda row: (str(row.failed),)),
        Column("cases", lambda row: (str(row.cases),)),
        Column(
            "labeled + unlabeled",
            lambda row: (f"{listed(row.labeled)} + {listed(row.unlabeled)}" if row.runs else "-",),
        ),
        Column("runs", lambda row: (runs(row),)),
        Column("steps", lambda row: (listed(row.steps) or "-",)),
        Column("min", lambda row: ("-" if row.training_minutes is None else f"{row.training_minutes:g}",)),
    ]


def runs(row: Row) -> str:
    """The number of a row's runs, or that they were not ours."""
    return str(len(row.runs)) if row.runs else "external"


def published(row: Row, between: int) -> tuple[str, ...]:
    """What published figures are called, with how their weights were chosen and the mark of their note; the figures.

    `between`: the empty columns after the first figure.
    """
    figures = row.published
    if not figures:
        return ()
    called = f"published, {CHOSEN[figures.chosen]}"
    if figures.parts == "largest":
        called += f", {LARGEST}"
    if figures.note:
        called += " [1]"
    scores = (figures.dice, figures.jaccard, figures.asd, figures.hd95)
    first, *further = ("-" if value is None else f"{value:g}" for value in scores)
    return (called, first, *repeat("", between), *further)
