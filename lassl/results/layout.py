"""A table.json as the heads, cells and remarks that Markdown, the page and the terminal show."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat

from lassl.plumbing.tables import interval, listed, number, probability
from lassl.results.document import REFERENCES, Difference, Row, Spread, Table, TwoWayTest
from lassl.results.measures import DICE, LOGIT_DICE, MAIN
from lassl.results.remarks import CHOSEN, LARGEST, Remark, remarks


@dataclass(frozen=True)
class Line:
    """A row as shown: title, departures from the default evaluation, and a cell for each further column.

    `name` and `group` are those in table.json. A cell may have a second part, such as the interval of its mean.
    `published` has the figures of a paper for the same columns, with their label first and empty text for a column
    without a figure. It may be shorter than the row, or empty.
    """

    name: str
    group: str
    title: str
    departures: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    published: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A table as shown; `tests` has the heads and lines of the tests over trainings, or is empty."""

    tests: tuple[tuple[str, ...], ...]
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    remarks: tuple[Remark, ...]


def layout(table: Table) -> Layout:
    """Lay a table out."""
    others = table.references
    first, *further = (measure.heading for measure in MAIN)
    heads = ["Method", first, *against(others), *further, "failed", "cases", "labeled + unlabeled"]
    heads += ["runs", "steps", "min"]
    lines = (line(name, row, others) for name, row in table.rows.items())
    return Layout(tests(table, others), tuple(heads), tuple(lines), tuple(remarks(table)))


def tests(table: Table, others: Mapping[str, Row]) -> tuple[tuple[str, ...], ...]:
    """Heads and lines of the two-way tests against the baseline, the family first; empty if no row has two pairs."""
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
    """The two-way tests of a row for Dice and for its logit; None with fewer than two pairs."""
    dice, logit = (found[measure.key].trainings for measure in (DICE, LOGIT_DICE))
    return (dice, logit) if dice and logit else None


def tested(title: str, dice: TwoWayTest, logit: TwoWayTest) -> tuple[str, ...]:
    """Cells of a two-way test: pairs, difference, interval, p with and without Holm's correction; then the logit's."""
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


def against(others: Mapping[str, Row]) -> list[str]:
    """Heads of the differences to the baselines."""
    return [f"{DICE.name} against {row.title}" for row in others.values()]


def line(name: str, row: Row, others: Mapping[str, Row]) -> Line:
    """Lay out a row: its scores, their differences to the baselines, and how it was trained."""
    first, *further = (score(row.scores[measure.key]) for measure in MAIN)
    cells = [
        first,
        *differences(row, others),
        *further,
        (str(row.failed),),
        (str(row.cases),),
        *((cell,) for cell in trained(row)),
    ]
    departures = tuple(filter(None, row.evaluation))
    return Line(name, row.group, row.title, departures, tuple(cells), published(row, len(others)))


def score(values: Spread) -> tuple[str, str]:
    """Mean and standard deviation over cases; interval of the mean."""
    return f"{number(values.mean)} ± {number(values.std)}", interval(values.low, values.high)


def differences(row: Row, others: Mapping[str, Row]) -> list[tuple[str, ...]]:
    """For each baseline: mean difference of Dice; interval and p of a two-way test, if there is one."""
    cells: list[tuple[str, ...]] = []
    for key, other in others.items():
        if row is other:
            cells.append(("baseline",))
            continue
        found = row.compared[key][DICE.key]
        cells.append((number(found.difference, "+"), *counted(found.trainings)))
    return cells


def counted(test: TwoWayTest | None) -> tuple[str, ...]:
    """Interval and p of a two-way test, if there is one; p is corrected only within the family."""
    if test is None:
        return ()
    uncorrected = test.p_holm is None
    p = f"{probability(test.p_value)} uncorrected" if uncorrected else probability(test.p_holm)
    return (f"{interval(test.low, test.high, '+')}, p {p}",)


def trained(row: Row) -> list[str]:
    """Cells about a row's trainings; dashes if its masks are external."""
    if not row.runs:
        return ["-", runs(row), "-", "-"]
    counts = f"{listed(row.labeled)} + {listed(row.unlabeled)}"
    minutes = "-" if row.training_minutes is None else f"{row.training_minutes:g}"
    return [counts, runs(row), listed(row.steps), minutes]


def runs(row: Row) -> str:
    """The number of a row's runs, or "external"."""
    return str(len(row.runs)) if row.runs else "external"


def published(row: Row, between: int) -> tuple[str, ...]:
    """The label of the published figures (how their weights were chosen, the mark of a note), then the figures.

    `between`: number of empty columns after the first figure.
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
