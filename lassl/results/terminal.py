"""A profile's results for a terminal of 80 columns: the scores, what they measure, and where the full table is."""

import rich.table
from rich import box
from rich.console import Console

from lassl.paths import metrics_folder, report_page
from lassl.plumbing.tables import interval, listed, number
from lassl.results.document import Table, read_table
from lassl.results.measures import DICE, MAIN
from lassl.results.remarks import cohort, pairs, scored_cases, shown_by, structures, tuning_notice, warnings

WIDTH = 80  # columns, also without a terminal
WARNING = "bold yellow"
ABSENT = "not found; set this profile in params.yaml and run `dvc repro`"  # which restores it from the cache, or runs


def show(profile: str, absent: str = ABSENT) -> None:
    """Print a profile's results from its table.json, without computing anything. Raises LasslError.

    `absent`: the text to print if the page does not exist.
    """
    table = read_table(profile)
    synthetic = table.statistics.scans == "synthetic"
    page = report_page(profile)
    console = Console(width=WIDTH, markup=False, emoji=False, highlight=False)
    console.print()
    console.rule(f"Results of profile {profile}", style="bold green")
    console.print(f"Cohort {cohort(table)}.", style=WARNING if synthetic else "bold")
    for warning in (*tuning_notice(table), *(remark for remark in pairs(table) if remark.warning), *warnings(table)):
        console.print(warning.text, style=WARNING)
    console.print()
    console.print(grid(table))
    console.print()
    console.print(explanation(table))
    console.print(f"Full table:  {metrics_folder(profile) / 'table.md'}", style="bold", soft_wrap=True)
    console.print(f"Page:        {page}", style="bold", soft_wrap=True)
    if not page.is_file():
        console.print(f"             {absent}")


def grid(table: Table) -> rich.table.Table:
    """A line for each row: Dice with its interval, the other scores, and the published Dice if any row has one."""
    rows = table.rows.values()
    published = any(row.published for row in rows)
    heads = [measure.name for measure in MAIN]
    if published:
        heads.append(f"published\n{DICE.name}")
    lines = rich.table.Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    lines.add_column("Method", overflow="fold")
    for head in heads:
        lines.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        dice, *others = (row.scores[measure.key] for measure in MAIN)
        title = ", ".join([row.title, *filter(None, row.evaluation)])
        mean = f"{short(dice.mean)} {interval(dice.low, dice.high, decimals=1)}"
        cells = [title, mean, *(short(score.mean) for score in others)]
        if published:
            cells.append(short(row.published.dice if row.published else None))
        lines.add_row(*cells)
    return lines


def short(value: float | None) -> str:
    """One decimal, or a dash for an undefined value."""
    return number(value, decimals=1)


def explanation(table: Table) -> str:
    """Explain the columns, and list the failed cases."""
    rows = table.rows.values()
    failed = [f"{row.title} {row.failed}" for row in rows if row.failed]
    steps = listed(sorted({steps for row in rows for steps in row.steps}))
    sentences = [
        f"Means over {scored_cases(table)} [95 % interval of the mean] after {steps} training steps; "
        "Dice and Jaccard in %, ASD and 95HD in voxels.",
        *structures(table),
        *shown_by(table),
    ]
    if any(row.published for row in rows):
        sentences.append("Published: on the real scans at full resolution.")
    if failed:
        several = any(row.structures for row in rows)
        what = "Empty predictions of a structure" if several else "Failed cases (empty predictions)"
        sentences.append(f"{what}: {listed(failed)}.")
    return " ".join(sentences)
