"""Reads the split file, a table of cases: which are for training and for testing, and whose label is withheld."""

import csv
from collections.abc import Iterator
from pathlib import Path

from lassl.data.label_split import Split
from lassl.images.names import case_problem
from lassl.plumbing.errors import LasslError

COLUMNS = ("case", "split", "label", "patient")  # the last two may be missing
Row = dict[str, str]  # column -> cell of a line; cells without a column are under an empty text


def read_split(path: Path) -> Split:
    """Read a split file, see `check_split`. Raises LasslError with a line for each problem."""
    split, problems = check_split(path)
    if problems:
        raise LasslError("\n".join(problems))
    return split


def check_split(path: Path) -> tuple[Split, list[str]]:
    """Read the valid lines of a split file, and describe each problem in it.

    It is a CSV file with the columns case, split (train or test) and, optionally, label and patient. The label `none`
    withholds that of a training case; `yes` or nothing uses it if it exists. Cases of one patient are all for training
    or all for testing. Case and blanks around a heading do not matter. Any other column is a problem, because it may be
    a label column under another name.
    """
    if not path.is_file():
        return Split((), ()), [f"{path}: not found; create a CSV file with the columns case,split (train or test)"]
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        return Split((), ()), [f"{path}: not a valid CSV file ({error}); save it as CSV again"]
    (_, head), *body = lines or [(1, [])]
    names = [name.lower() for name in head]
    if missing := {"case", "split"} - set(names):
        found = ",".join(head) or "an empty file"
        return Split((), ()), [
            f"{path}: found {found}, but no column {sorted(missing)}; make its first line case,split"
        ]
    problems = [f"{path}: {problem}" for problem in _head_problems(head)]
    rows = [(line, _row(names, cells)) for line, cells in body]
    if not rows:
        problems.append(f"{path}: found no cases; add a line for each, such as CASE01,train")
    split, row_problems = _split(rows)
    return split, problems + [f"{path}: line {problem}" for problem in row_problems]


def _head_problems(head: list[str]) -> Iterator[str]:
    """Describe each heading that is unknown or repeated; for an empty heading, the cells below it are the problem."""
    names = [name.lower() for name in head]
    for name in dict.fromkeys(head):
        if name and name.lower() not in COLUMNS:
            yield f"found a column '{name}', expected only case, split, label and patient; rename or delete it"
    for name in COLUMNS:
        if names.count(name) > 1:
            yield f"found the column '{name}' {names.count(name)} times; keep one"


def _row(names: list[str], cells: list[str]) -> Row:
    row = dict.fromkeys(COLUMNS, "")
    row |= dict(zip(names, cells, strict=False))
    stray = [cell for i, cell in enumerate(cells) if cell and not "".join(names[i : i + 1])]
    return row | {"": ",".join(stray)}


def _split(rows: list[tuple[int, Row]]) -> tuple[Split, list[str]]:
    """The split given by the first row of each case, and the problems of the rows; each row has its line number.

    Rows whose case cannot be a folder name are left out.
    """
    subsets: dict[str, str] = {}
    patients: dict[str, str] = {}
    sides: dict[str, tuple[str, str]] = {}  # patient -> first case and its subset
    withheld, problems = set(), []
    for line, row in rows:
        case, subset, label, patient = (row[name] for name in COLUMNS)
        if wrong := case_problem(case):
            problems.append(f"{line}: case {case!r} {wrong}")
            continue
        if not case:
            problems.append(f"{line} has no case; name one or delete the line")
        elif subset not in ("train", "test"):
            problems.append(f"{line}: case {case} has split '{subset}'; write train or test")
        elif subsets.get(case, subset) != subset:
            problems.append(f"{line}: case {case} is in train and in test; delete one of its lines")
        elif case in subsets:
            problems.append(f"{line}: case {case} is listed twice; delete one of its lines")
        problems += [f"{line}: case {case} has {problem}" for problem in _label_problems(subset, label, row[""])]
        subsets.setdefault(case, subset)
        if patient:
            patients[case] = patient
            other, side = sides.setdefault(patient, (case, subset))
            if side != subset:
                problems.append(
                    f"{line}: case {case} is in {subset}, but case {other} of the same patient {patient} is in {side}; "
                    "put both on one side"
                )
        if label == "none":
            withheld.add(case)
    train, test = (tuple(case for case in subsets if subsets[case] == subset) for subset in ("train", "test"))
    return Split(train, test, frozenset(withheld.intersection(train)), patients), problems


def _label_problems(subset: str, label: str, stray: str) -> Iterator[str]:
    """Describe problems of a case's entry in the column `label`, and of cells without a column."""
    if stray:
        yield f"'{stray}' in a column without a heading; name the column label if it is about labels, or delete it"
    if label not in ("", "yes", "none"):
        yield f"label '{label}'; write yes, none, or nothing"
    elif label == "none" and subset == "test":
        yield f"label '{label}', but a test case needs its label for scoring; write yes or nothing"
