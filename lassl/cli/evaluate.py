"""`lassl evaluate`: scores a folder of masks, or a model with imported weights, and saves the result for the table."""

import argparse
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from lassl.data.prepared import open_prepared
from lassl.data.split_file import read_split
from lassl.evaluation.external_masks import score_folders
from lassl.evaluation.external_record import REPORTED, ScoredFolder, external_files, write_external
from lassl.evaluation.scores import absent, by_structure
from lassl.evaluation.summary import chosen, counted
from lassl.images.names import utf8
from lassl.images.structures import Structures
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import check_free
from lassl.plumbing.tables import grid, number
from lassl.results.measures import MAIN, OTHERS
from lassl.settings import config

NAME = re.compile(r"\w[\w.-]*")


def run(arguments: argparse.Namespace) -> int:
    """Score, write and print. Raises LasslError with a line per problem, without writing anything."""
    model = arguments.predictions.suffix == ".pt" and not arguments.predictions.is_dir()
    name, title, scored = of_model(arguments) if model else of_masks(arguments)
    write_external(arguments.output, name, title, scored)
    for text in scored.notes:
        note(f"note: {text}")
    print(report(title, scored.cases))
    return 0


def of_masks(arguments: argparse.Namespace) -> tuple[str, str, ScoredFolder]:
    """Score a folder of masks; also returns its name and title. Raises LasslError."""
    name = checked_name(arguments.name or arguments.predictions.resolve().name)
    title = checked_title(arguments.title or name)
    check_free(external_files(arguments.output, name), arguments.overwrite)
    only = read_split(arguments.split).test if arguments.split else None
    structures = structures_of(arguments.values)
    return name, title, score_folders(arguments.predictions, arguments.references, only, structures)


def structures_of(named: Sequence[tuple[str, tuple[int, ...]]]) -> Structures | None:
    """The structures that --values gave, None without any. Raises LasslError unless several have their own names."""
    structures = dict(named)
    every = [value for _, values in named for value in values]
    if len(named) > 1 and ("" in structures or len(structures) < len(named) or len(set(every)) < len(every)):
        found = " ".join("=".join(filter(None, (name, ",".join(map(str, values))))) for name, values in named)
        raise LasslError(
            f"--values: found {found}, expected for each of several structures a name and values of its own, as in "
            "hippocampus=47,48"
        )
    return structures or None


def of_model(arguments: argparse.Namespace) -> tuple[str, str, ScoredFolder]:
    """Score a model with imported weights on prepared cases; also returns its name and title. Raises LasslError."""
    from lassl.predict.import_weights import read_imported, score_imported  # imports torch, which masks do not need

    if arguments.values:
        raise LasslError(
            "--values: found one together with a model, whose prepared cohort names its structures; leave it out"
        )
    if arguments.split:
        raise LasslError(
            "--split: found one together with a model, whose prepared cohort already has a split; leave it out"
        )
    model, settings = read_imported(arguments.predictions)
    name = checked_name(arguments.name or model.record.name)
    title = checked_title(arguments.title or model.record.title)
    check_free(external_files(arguments.output, name), arguments.overwrite)
    prepared = open_prepared(arguments.references)
    if prepared.structures:
        raise LasslError(
            f"{prepared.folder}: has the structures {', '.join(prepared.structures)}, but imported weights give one; "
            "name a cohort of one structure"
        )
    return name, title, score_imported(model, settings, prepared, config.load())


def checked_name(name: str) -> str:
    """Return a name if it is fit for files. Raises LasslError otherwise."""
    if not NAME.fullmatch(name):
        raise LasslError(f"--name: found '{name}', expected letters, digits, dots and dashes; choose another name")
    return name


def checked_title(text: str) -> str:
    """Return the title of a row in UTF-8. Raises LasslError if it would break the table."""
    title = utf8(text)
    if "|" in title or len(title.splitlines()) != 1:
        raise LasslError(
            f"--title: found {title!r}, expected one line without '|', which separates the cells of the table"
        )
    return title


def report(title: str, cases: pd.DataFrame) -> str:
    """A summary, and a line for each measure: its mean, standard deviation, and range over the cases.

    Of several structures, also a line for each.
    """
    structures = by_structure(chosen(cases, REPORTED))
    cases = counted(chosen(cases, REPORTED), REPORTED.failures)
    means = [f"{measure.name} {number(cases[measure.column].mean())} {measure.unit}" for measure in MAIN]
    scored = sum(len(rows) - absent(rows) for rows in structures.values()) or len(cases)
    failed = f"{int(cases['failed'].sum())} of {scored} failed"
    lines = []
    for measure in (*MAIN, *OTHERS):
        column = cases[measure.column]
        lines.append([measure.heading, *map(number, (column.mean(), column.std(), column.min(), column.max()))])
    text = f"{title}: {', '.join([*means, failed])}\n\n{grid(['Score', 'mean', 'std', 'lowest', 'highest'], lines)}"
    return f"{text}\n{of_structures(structures)}" if structures else text


def of_structures(structures: Mapping[str, pd.DataFrame]) -> str:
    """A line for each structure: its means, and in how many cases it failed or is absent from the reference."""
    lines = []
    for name, rows in structures.items():
        scores = counted(rows, REPORTED.failures)
        means = [number(scores[measure.column].mean()) for measure in MAIN]
        lines.append([name, *means, str(int(scores["failed"].sum())), f"{absent(rows)} of {len(rows)}"])
    heads = ["Structure", *(measure.heading for measure in MAIN), "failed", "absent from the reference"]
    return f"The scores of a case are means over its structures:\n\n{grid(heads, lines)}"
