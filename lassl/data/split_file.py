"""The split file, a cohort's list of cases: which of them train and which test, and whose label is not to be used."""

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
    """Read the sound lines of a split file, as read_split does, and describe the problem of each other line."""
    if not path.is_file():
        return Split((), ()), [f"{path}: not found; make a CSV file with the columns case,split (train or test)"]
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        missing = {"case", "split"} - set(reader.fieldnames or ())
        if missing:
            head = ",".join(reader.fieldnames or ()) or "an empty file"
            return Split((), ()), [f"{path}: found {head}, no column {sorted(missing)}; make its first line case,split"]
        rows = [(reader.line_num, (row["case"] or "").strip(), (row["split"] or "").strip()) for row in reader]
    subsets, problems = _subsets(path, rows)
    if not rows:
        problems.append(f"{path}: lists no case; add a line for each, such as CASE01,train")
    split = Split(
        train=tuple(case for case, subset in subsets.items() if subset == "train"),
        test=tuple(case for case, subset in subsets.items() if subset == "test"),
    )
    return split, problems


def _subsets(path: Path, rows: list[tuple[int, str, str]]) -> tuple[dict[str, str], list[str]]:
    """The subset (train or test) that the first row of each case names, and the problems of the rows.

    A row is the number of its line, case, subset.
    """
    subsets: dict[str, str] = {}
    problems = []
    for line, case, subset in rows:
        if wrong := case_problem(case):
            problems.append(f"{path}: line {line}: case {case!r} {wrong}")
            continue
        if not case:
            problems.append(f"{path}: line {line} names no case; name one or delete the line")
        elif subset not in ("train", "test"):
            problems.append(f"{path}: line {line}: case {case} has split '{subset}'; write train or test")
        elif subsets.get(case, subset) != subset:
            problems.append(f"{path}: line {line}: case {case} is in train and in test; delete one of its lines")
        elif case in subsets:
            problems.append(f"{path}: line {line}: case {case} is listed twice; delete one of its lines")
        subsets.setdefault(case, subset)
    return subsets, problems


def check_labels(path: Path) -> tuple[frozenset[str], list[str]]:
    """Find the training cases whose label is not to be used, and describe each problem in the column `label`.

    The column may be missing. Without an entry, or with yes, a label is used where there is one; with none it is not,
    and the case is unlabeled.
    """
    unused, problems = set(), []
    if not path.is_file():
        return frozenset(), []  # check_split describes this problem
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        for row in reader:
            case, subset, label = ((row.get(key) or "").strip() for key in ("case", "split", "label"))
            entry = f"{path}: line {reader.line_num}: case {case} has label '{label}'"
            if label not in ("", "yes", "none"):
                problems.append(f"{entry}; write yes, none, or nothing")
            elif label == "none" and subset == "test":
                problems.append(f"{entry}, but a test case is scored by its label; write yes or nothing")
            elif label == "none":
                unused.add(case)
    return frozenset(unused), problems
