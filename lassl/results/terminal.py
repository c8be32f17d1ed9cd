"""A profile's results for a terminal of 80 columns: the scores, what they are of, and where the whole table is."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from lassl import config
from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError, command
from lassl.results.markdown import data, scale, warnings

WIDTH = 80  # columns, also where no terminal is
WARNING = "bold yellow"


def main() -> None:
    """Show the results of the profile that is named, or else of that of params.yaml. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m lassl.results.terminal", description=__doc__)
    parser.add_argument("profile", nargs="?", help="whose metrics/<profile>/table.json to show (params.yaml's)")
    show(parser.parse_args().profile or config.load().name)


def show(profile: str) -> None:
    """Print a profile's results from its table.json: nothing is computed again. Raises LasslError."""
    found = read(profile)
    synthetic = found["cohort"] == "synthetic"
    page = Path("report") / profile / "index.html"
    console = Console(width=WIDTH, markup=False, emoji=False, highlight=False)
    console.print()
    console.rule(f"Results of profile {profile}", style="bold green")
    console.print(f"Cohort {found['cohort']}{data(found)}, {scale(found)}.", style=WARNING if synthetic else "bold")
    for warning in warnings(found):
        console.print(warning.strip("*"), style=WARNING)
    console.print()
    console.print(grid(found))
    console.print()
    console.print(reading(found))
    console.print(f"Whole table: {metrics_folder(profile) / 'table.md'}", style="bold", soft_wrap=True)
    console.print(f"Page:        {page}{'' if page.is_file() else ' (not made yet)'}", style="bold", soft_wrap=True)


def read(profile: str) -> dict[str, Any]:
    """Read a profile's table.json. Raises LasslError."""
    path = metrics_folder(profile) / "table.json"
    if not path.is_file():
        raise LasslError(f"{path}: not found; make it with `dvc repro`, or name a profile that has one")
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise LasslError(f"{path}: no JSON ({error}); restore it from git, or make it again with `dvc repro`") from None
    return found


def grid(found: Mapping[str, Any]) -> Table:
    """A line for each row: Dice with its interval, the other scores, the published Dice where papers know the data."""
    rows = found["rows"].values()
    published = any(row["published"] for row in rows)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("Method", overflow="fold")
    for head in ("Dice", "Jaccard", "ASD", "95HD", *["published\nDice"] * published):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        dice, *others = row["scores"].values()
        title = ", ".join([row["title"], *filter(None, row["evaluation"])])
        interval = f"{number(dice['mean'])} [{number(dice['low'])}, {number(dice['high'])}]"
        cells = [title, interval, *(number(score["mean"]) for score in others)]
        table.add_row(*cells, *[number(row["published"].get("dice"))] * published)
    return table


def number(value: float | None) -> str:
    """One decimal, or a dash for what is undefined."""
    return "-" if value is None else f"{value:.1f}"


def reading(found: Mapping[str, Any]) -> str:
    """What the columns are, and which failed cases the distances leave out or count."""
    rows = found["rows"].values()
    failed = [f"{row['title']} {row['failed']}" for row in rows if row["failed"]]
    steps = sorted({steps for row in rows for steps in row["steps"]})
    told = [
        f"Means over {next(iter(rows))['cases']} test cases [95 % interval of the mean] after "
        f"{', '.join(map(str, steps))} training steps; Dice and Jaccard in %, ASD and 95HD in voxels."
    ]
    told += ["Published: on the real scans at full resolution."] * any(row["published"] for row in rows)
    told += [f"Failed cases (empty predictions): {', '.join(failed)}."] * bool(failed)
    return " ".join(told)


if __name__ == "__main__":
    command(main)
