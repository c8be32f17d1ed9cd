"""The list of a cohort's cases: which of them train and test, and whose label is kept from use."""

import csv
from dataclasses import dataclass
from pathlib import Path

from lassl.images.names import case_problem
from lassl.plumbing.errors import LasslError


@dataclass(frozen=True)
class Split:
    """The cases to train on and to test on, each in the order of the split file."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def read_split(path: Path) -> Split:
    """Read a CSV with the columns case and split (train or test). Raises LasslError with a line for each problem."""
    split, problems = check_split(path)
    if problems:
        raise LasslError("\n".join(problems))
    return split


def check_split(path: Path) -> tuple[Split, list[str]]:
    """Read the sound lines of a split file, and describe the problem of each of the others."""
    if not path.is_file():
        return Split((), ()), [f"{path}: not found; make a CSV file with the columns case,split (train or test)"]
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        missing = {"case", "split"} - set(reader.fieldnames or ())
        if missing:
            found = ",".join(reader.fieldnames or ()) or "an empty file"
            return Split((), ()), [
                f"{path}: found {found}, no column {sorted(missing)}; make its first line case,split"
            ]
        rows = [(reader.line_num, (row["case"] or "").strip(), (row["split"] or "").strip()) for row in reader]
    parts, problems = _parts_of(path, rows)
    if not rows:
        problems.append(f"{path}: lists no case; add a line for each, such as CASE01,train")
    return Split(*(tuple(case for case in parts if parts[case] == part) for part in ("train", "test"))), problems


def _parts_of(path: Path, rows: list[tuple[int, str, str]]) -> tuple[dict[str, str], list[str]]:
    """Each case's first part (train or test), and the problems of the rows (line, case, part)."""
    parts: dict[str, str] = {}
    problems = []
    for line, case, part in rows:
        if wrong := case_problem(case):
            problems.append(f"{path}: line {line}: case {case!r} {wrong}")
            continue
        if not case:
            problems.append(f"{path}: line {line} names no case; name one or delete the line")
        elif part not in ("train", "test"):
            problems.append(f"{path}: line {line}: case {case} has split '{part}'; write train or test")
        elif parts.get(case, part) != part:
            problems.append(f"{path}: line {line}: case {case} is in train and in test; delete one of its lines")
        elif case in parts:
            problems.append(f"{path}: line {line}: case {case} is listed twice; delete one of its lines")
        parts.setdefault(case, part)
    return parts, problems


def check_labels(path: Path) -> tuple[frozenset[str], list[str]]:
    """Find the training cases whose label a split file keeps from use, and describe the problem of each other line.

    Its column `label` may be missing. Without an entry, or with yes, a label is used where there is one; with none it
    is not, and the case is unlabeled.
    """
    unused, problems = set(), []
    if not path.is_file():
        return frozenset(), []  # check_split tells
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        for row in reader:
            case, part, label = ((row.get(key) or "").strip() for key in ("case", "split", "label"))
            where = f"{path}: line {reader.line_num}: case {case} has label '{label}'"
            if label not in ("", "yes", "none"):
                problems.append(f"{where}; write yes, none, or nothing")
            elif label == "none" and part == "test":
                problems.append(f"{where}, but a test case is scored by its label; write yes or nothing")
            elif label == "none":
                unused.add(case)
    return frozenset(unused), problems
