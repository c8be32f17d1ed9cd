"""`lassl evaluate`: scores a folder of anybody's masks and keeps the result for the table."""

import argparse
import re

import pandas as pd

from lassl.data.split_file import read_split
from lassl.evaluation import external_masks as external
from lassl.evaluation.summary import counted
from lassl.images.names import utf8
from lassl.plumbing.errors import LasslError, note
from lassl.results import markdown
from lassl.results.table import MORE, SCORES

HEADS = {SCORES[name]: head for name, head in markdown.HEADS.items()} | {name: markdown.MORE[name] for name in MORE}
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
    scored = external.score_folders(arguments.predictions, arguments.references, only)
    external.write(arguments.output, name, title, scored)
    for text in scored.notes:
        note(f"note: {text}")
    print(report(title, scored.cases))
    return 0


def report(title: str, cases: pd.DataFrame) -> str:
    """The headline and a line for each measure: its mean, standard deviation, and range over the cases."""
    failed = int(cases["failed"].sum())
    cases = counted(cases, external.EVALUATION["failures"])
    lines = [
        [head, *(markdown.number(defined(x)) for x in (c.mean(), c.std(), c.min(), c.max()))]
        for head, c in ((head, cases[column]) for column, head in HEADS.items())
    ]
    (_, dice, *_), (_, jaccard, *_), (_, asd, *_), (_, hd95, *_) = lines[:4]
    told = f"Dice {dice} %, Jaccard {jaccard} %, ASD {asd} voxel, 95HD {hd95} voxel, {failed} of {len(cases)} failed"
    return f"{title}: {told}\n\n{markdown.grid(['Score', 'mean', 'std', 'lowest', 'highest'], lines)}"


def defined(value: float) -> float | None:
    """The value, None for NaN."""
    return None if pd.isna(value) else value
