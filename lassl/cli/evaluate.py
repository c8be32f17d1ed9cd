"""`lassl evaluate`: scores a folder of anybody's masks and keeps the result for the table."""

import argparse
import re

import pandas as pd

from lassl.data.split_file import read_split
from lassl.evaluation.external_masks import score_folders, write_external
from lassl.evaluation.external_record import REPORTED
from lassl.evaluation.summary import counted
from lassl.images.names import utf8
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.tables import grid, number
from lassl.results.measures import MAIN, OTHERS

NAME = re.compile(r"\w[\w.-]*")


def run(arguments: argparse.Namespace) -> int:
    """Score, write and print. Raises LasslError with a line for each problem; then nothing was written."""
    name = arguments.name or arguments.predictions.resolve().name
    title = utf8(arguments.title or name)
    if not NAME.fullmatch(name):
        raise LasslError(f"--name: found '{name}', expected letters, digits, dots, dashes: choose a name for the files")
    if "|" in title or len(title.splitlines()) != 1:
        raise LasslError(f"--title: found {title!r}, expected one line without '|', which divides the table's cells")
    only = read_split(arguments.split).test if arguments.split else None
    scored = score_folders(arguments.predictions, arguments.references, only)
    write_external(arguments.output, name, title, scored)
    for text in scored.notes:
        note(f"note: {text}")
    print(report(title, scored.cases))
    return 0


def report(title: str, cases: pd.DataFrame) -> str:
    """The headline and a line for each measure: its mean, standard deviation, and range over the cases."""
    cases = counted(cases, REPORTED.failures)
    means = [f"{measure.name} {number(cases[measure.column].mean())} {measure.unit}" for measure in MAIN]
    failed = f"{int(cases['failed'].sum())} of {len(cases)} failed"
    lines = []
    for measure in (*MAIN, *OTHERS):
        column = cases[measure.column]
        lines.append([measure.heading, *map(number, (column.mean(), column.std(), column.min(), column.max()))])
    return f"{title}: {', '.join([*means, failed])}\n\n{grid(['Score', 'mean', 'std', 'lowest', 'highest'], lines)}"
