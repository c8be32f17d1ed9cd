"""The forest plot of a table: each row's Dice minus the baseline's, as an SVG of plain text that needs no script.

A row with two or more pairs of trainings has the 95 % interval of the test that counts trainings and patients. A row
with one training has none: one training says nothing about a method. A band around zero shows how far the difference
of two single trainings moves by training again alone.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_text
from lassl.plumbing.tables import interval, number
from lassl.report.colors import THEMES, Colors
from lassl.results.document import REFERENCES, Difference, Row, Table, read_table
from lassl.results.measures import DICE
from lassl.results.power import made_again
from lassl.results.remarks import scored_cases

HEADINGS = {  # of the groups of rows
    "table": "Published table",
    "field": "Further rows, by Dice",
    "own": "Own rows",
    "external": "Masks and weights from elsewhere",
}
WIDE, NARROW = (760, 13.0), (380, 11.0)  # width and size of the text in pixels; narrow: for a phone


@dataclass(frozen=True)
class Plot:
    """Where things are in a plot, in pixels: `zero` and `scale` turn points of Dice into a place along x."""

    width: int
    font: float
    low: float
    high: float

    @property
    def left(self) -> float:
        """Where the axis begins, right of the titles."""
        return self.font * 13.6

    @property
    def right(self) -> float:
        """Where the axis ends, left of the numbers."""
        return self.width - self.font * 4.2

    def x(self, points: float) -> float:
        """The place of a difference."""
        return round(self.left + (points - self.low) / (self.high - self.low) * (self.right - self.left), 1)


def save_forest(profile: str, folder: Path) -> list[Path]:
    """Write a profile's forest plot for light and dark pages; gives their paths. Raises LasslError."""
    table = read_table(profile)
    paths = []
    for theme, colors in THEMES.items():
        if not (text := forest(table, colors)):
            raise LasslError(f"{profile}: found no row beside {table.statistics.baseline} to compare it with")
        paths.append(folder / f"forest-{profile}-{theme}.svg")
        write_text(paths[-1], text)
    return paths


def forest(table: Table, colors: Colors, size: tuple[int, float] = WIDE) -> str:
    """The plot as the text of an SVG; empty where the table has no baseline, or no row to compare with it."""
    compared = {name: row.against_baseline[DICE.key] for name, row in table.rows.items() if row.against_baseline}
    compared = {name: found for name, found in compared.items() if found.difference is not None}
    baseline = table.references.get(REFERENCES["baseline"])
    if not compared or baseline is None:
        return ""
    band = training_alone(table) if any(found.trainings is None for found in compared.values()) else None
    plot = Plot(*size, *limits(list(compared.values()), band))
    lines = list(body(table, compared, plot, colors))
    top, step = 3.4 * plot.font, 1.62 * plot.font
    bottom = top + len(lines) * step + 0.3 * plot.font
    parts = [*axis(plot, baseline, band, top, bottom, colors)]
    parts += [f'<g transform="translate(0 {top + (n + 0.5) * step:.1f})">{line}</g>' for n, line in enumerate(lines)]
    words = legend(list(compared.values()), band, table, plot)
    below = bottom + 4.6 * plot.font
    for n, words_of_line in enumerate(words):
        parts.append(text(0, below + n * 1.45 * plot.font, words_of_line, f'fill="{colors.soft}"'))
    height = round(below + len(words) * 1.45 * plot.font)
    title = f"Dice minus that of {baseline.title}, by method, profile {table.profile}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {plot.width} {height}" width="{plot.width}" '
            f'height="{height}" role="img" aria-label="{escape(title)}" font-size="{plot.font:g}" '
            f'font-family="system-ui, -apple-system, Segoe UI, sans-serif" fill="{colors.text}">',
            f"<title>{escape(title)}</title>",
            *parts,
            "</svg>\n",
        ]
    )


def training_alone(table: Table) -> float | None:
    """Half the 95 % interval of the difference of two single trainings that differ by nothing else, in points."""
    if not table.design.training:
        return None
    power = made_again(table.design.training, table.scored_cases).power(1, 1)
    return power.half_width if power else None


def limits(differences: Sequence[Difference], band: float | None) -> tuple[float, float]:
    """The ends of the axis: all differences, intervals and the band, with a margin."""
    tests = [found.trainings for found in differences if found.trainings]
    ends = [end for test in tests for end in (test.low, test.high)]
    values = [0.0, band or 0.0, -(band or 0.0), *(v for v in (*ends, *(d.difference for d in differences)) if v)]
    margin = 0.04 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def body(table: Table, compared: dict[str, Difference], plot: Plot, colors: Colors) -> Iterator[str]:
    """A line for each group's heading, where there are several, and each row that is compared."""
    groups = dict.fromkeys(table.rows[name].group for name in compared)
    for group in groups:
        if len(groups) > 1:
            yield text(0, plot.font * 0.35, HEADINGS[group], f'font-weight="600" fill="{colors.soft}"')
        for name, found in compared.items():
            if table.rows[name].group == group:
                yield row_line(table.rows[name], found, plot, colors)


def row_line(row: Row, found: Difference, plot: Plot, colors: Colors) -> str:
    """A row's title, its dot, with an interval where trainings are counted, and its difference."""
    place = plot.x(found.difference or 0.0)
    radius = plot.font * 0.34
    told = f"{row.title}: {number(found.difference, '+')} points"
    marks = f'<circle cx="{place}" r="{radius:.1f}" fill="none" stroke="{colors.dot}" stroke-width="1.8"/>'
    if test := found.trainings:
        low, high = plot.x(test.low or 0.0), plot.x(test.high or 0.0)
        marks = f'<path d="M{low} 0H{high}" stroke="{colors.dot}" stroke-width="2"/>'
        marks += f'<circle cx="{place}" r="{radius:.1f}" fill="{colors.dot}"/>'
        told += f" {interval(test.low, test.high, '+')}, {test.pairs} pairs of trainings"
    else:
        told += ", one training" if row.runs else ", masks from elsewhere"
    shift = plot.font * 0.35
    value = text(plot.width, shift, number(found.difference, "+"), 'text-anchor="end"')
    return f"<title>{escape(told)}</title>{text(0, shift, row.title)}{marks}{value}"


def axis(plot: Plot, baseline: Row, band: float | None, top: float, bottom: float, colors: Colors) -> Iterator[str]:
    """The band, the line of the baseline, the ticks and what the two directions mean."""
    start = top - 0.3 * plot.font
    if band:
        a, b = plot.x(-band), plot.x(band)
        yield f'<path d="M{a} {start:.1f}H{b}V{bottom:.1f}H{a}z" fill="{colors.band}"/>'
        edges = f"M{a} {start:.1f}V{bottom:.1f}M{b} {start:.1f}V{bottom:.1f}"
        yield f'<path d="{edges}" stroke="{colors.soft}" stroke-dasharray="3 3"/>'
    zero = plot.x(0)
    yield f'<path d="M{zero} {start:.1f}V{bottom:.1f}" stroke="{colors.text}" stroke-width="1.2"/>'
    yield f'<path d="M{plot.left} {bottom:.1f}H{plot.right:.1f}" stroke="{colors.soft}"/>'
    for tick in ticks(plot):
        label = f"{tick:+g}" if tick else "0"
        yield text(plot.x(tick), bottom + 1.3 * plot.font, label, 'text-anchor="middle"')
        yield f'<path d="M{plot.x(tick)} {bottom:.1f}v4" stroke="{colors.soft}"/>'
    mean = number(baseline.scores[DICE.key].mean)
    middle = (plot.left + plot.right) / 2
    yield text(middle, plot.font, f"0 = {baseline.title}, Dice {mean} %", 'text-anchor="middle" font-weight="600"')
    yield text(zero - 6, 2.5 * plot.font, "← lower Dice", f'text-anchor="end" fill="{colors.soft}"')
    yield text(zero + 6, 2.5 * plot.font, "higher Dice →", f'fill="{colors.soft}"')
    yield text(middle, bottom + 2.6 * plot.font, "difference of Dice in points", 'text-anchor="middle"')


def ticks(plot: Plot) -> list[float]:
    """Round differences along the axis, 0 among them, as many as have room."""
    least = (plot.high - plot.low) * 3.4 * plot.font / (plot.right - plot.left)
    step = next(float(step) for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if step >= least or step == 100)
    return [float(n) * step for n in range(int(np.ceil(plot.low / step)), int(np.floor(plot.high / step)) + 1)]


def legend(differences: Sequence[Difference], band: float | None, table: Table, plot: Plot) -> list[str]:
    """What the marks mean, in lines that fit the width."""
    sentences = []
    if pairs := sorted({found.trainings.pairs for found in differences if found.trainings}):
        count = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
        sentences.append(
            f"● with a line: mean over {count} pairs of trainings and its 95 % interval, not corrected for the number "
            "of rows."
        )
    if any(found.trainings is None for found in differences):
        sentences.append("○: one training, so without an interval; it says nothing about the method.")
    if any(not row.runs for row in table.rows.values()):
        sentences.append("Masks from elsewhere have no interval, since no trainings are known.")
    if band:
        sentences.append(
            f"Band: 95 % of differences between two single trainings of one method lie within ±{band:.1f} points."
        )
    sentences.append(f"Profile {table.profile}, means over {scored_cases(table)}.")
    across = int(plot.width / plot.font * 1.95)  # letters
    return [line for sentence in sentences for line in textwrap.wrap(sentence, across, subsequent_indent=" ")]


def text(x: float, y: float, words: str, how: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:.1f}"{" " if how else ""}{how}>{escape(words)}</text>'
