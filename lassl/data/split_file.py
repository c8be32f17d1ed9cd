"""The split file, a cohort's table of cases: which of them train and which test, and whose label is withheld."""

import csv
from collections.abc import Iterator
from pathlib import Path

from lassl.data.label_split import Split
from lassl.images.names import case_problem
from lassl.plumbing.errors import LasslError

COLUMNS = ("case", "split", "label")  # the last one may be missing
Row = dict[str, str]  # the cells of a line by their columns; under an empty text what stands in no column


def read_split(path: Path) -> Split:
    """Read a split file, see `check_split`. Raises LasslError with a line for each problem."""
    split, problems = check_split(path)
    if problems:
        raise LasslError("\n".join(problems))
    return split


def check_split(path: Path) -> tuple[Split, list[str]]:
    """Read the sound lines of a split file, and describe each problem in it.

    It is a CSV with the columns case, split (train or test) and, where labels are withheld, label: `none` withholds
    the label of a training case, `yes` or nothing uses it where there is one. Capitals and blanks around a heading
    make no difference; any other column is a problem, since it may well be a label column with another name.
    """
    if not path.is_file():
        return Split((), ()), [f"{path}: not found; make a CSV file with the columns case,split (train or test)"]
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        return Split((), ()), [f"{path}: cannot be read as a CSV file ({error}); save it as one again"]
    (_, head), *body = lines or [(1, [])]
    names = [name.lower() for name in head]
    if missing := {"case", "split"} - set(names):
        found = ",".join(head) or "an empty file"
        return Split((), ()), [f"{path}: found {found}, no column {sorted(missing)}; make its first line case,split"]
    problems = [f"{path}: {problem}" for problem in _head_problems(head)]
    rows = [(line, _row(names, cells)) for line, cells in body]
    if not rows:
        problems.append(f"{path}: lists no case; add a line for each, such as CASE01,train")
    split, row_problems = _split(rows)
    return split, problems + [f"{path}: line {problem}" for problem in row_problems]


def _head_problems(head: list[str]) -> Iterator[str]:
    """Describe each heading that is unknown or there twice; one without a text is a problem of the cells under it."""
    names = [name.lower() for name in head]
    for name in dict.fromkeys(head):
        if name and name.lower() not in COLUMNS:
            yield f"found a column '{name}', expected case, split and label alone; rename the column or delete it"
    for name in COLUMNS:
        if names.count(name) > 1:
            yield f"found the column '{name}' {names.count(name)} times; keep one"


def _row(names: list[str], cells: list[str]) -> Row:
    row = dict.fromkeys(COLUMNS, "")
    row |= dict(zip(names, cells, strict=False))
    stray = [cell for i, cell in enumerate(cells) if cell and not "".join(names[i : i + 1])]
    return row | {"": ",".join(stray)}


def _split(rows: list[tuple[int, Row]]) -> tuple[Split, list[str]]:
    """The split that the first row of each case gives, and the problems of the rows; a row has the number of its line.

    Rows whose case is no folder's name are left out.
    """
    subsets: dict[str, str] = {}
    withheld, problems = set(), []
    for line, row in rows:
        case, subset, label = (row[name] for name in COLUMNS)
        if wrong := case_problem(case):
            problems.append(f"{line}: case {case!r} {wrong}")
            continue
        if not case:
            problems.append(f"{line} names no case; name one or delete the line")
        elif subset not in ("train", "test"):
            problems.append(f"{line}: case {case} has split '{subset}'; write train or test")
        elif subsets.get(case, subset) != subset:
            problems.append(f"{line}: case {case} is in train and in test; delete one of its lines")
        elif case in subsets:
            problems.append(f"{line}: case {case} is listed twice; delete one of its lines")
        problems += [f"{line}: case {case} has {problem}" for problem in _label_problems(subset, label, row[""])]
        subsets.setdefault(case, subset)
        if label == "none":
            withheld.add(case)
    train, test = (tuple(case for case in subsets if subsets[case] == subset) for subset in ("train", "test"))
    return Split(train, test, frozenset(withheld.intersection(train))), problems


def _label_problems(subset: str, label: str, stray: str) -> Iterator[str]:
    """Describe what is wrong with the entry of a case in the column `label`, and with one that is in no column."""
    if stray:
        yield f"'{stray}' in a column without a heading; head it label if it tells of labels, or delete it"
    if label not in ("", "yes", "none"):
        yield f"label '{label}'; write yes, none, or nothing"
    elif label == "none" and subset == "test":
        yield f"label '{label}', but a test case is scored by its label; write yes or nothing"
