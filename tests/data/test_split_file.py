"""The list of a cohort's cases: its order, and what is refused of it."""

from pathlib import Path

import pytest

from lassl.data.label_split import Split
from lassl.data.split_file import check_split, read_split
from lassl.plumbing.errors import LasslError


def split_file(folder: Path, *lines: str) -> Path:
    path = folder / "split.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_split_keeps_the_order_of_its_lines(tmp_path: Path) -> None:
    path = split_file(tmp_path, "case,split", "007,train", "B,test", "A,train", "", "C, test")
    assert read_split(path) == Split(train=("007", "A"), test=("B", "C"))


def test_all_problems_of_a_split_are_told_together_a_line_each(tmp_path: Path) -> None:
    path = split_file(tmp_path, "case,split", "A,train", "B,valid", "A,test", "C,test", "C,test", ",train", "D")
    with pytest.raises(LasslError) as error:
        read_split(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path}: line ") for line in lines)
    for line, words in zip(
        lines, ("B has split 'valid'", "A is in train and in test", "C is listed twice"), strict=False
    ):
        assert words in line
    assert [line.split("line ")[1].split()[0].rstrip(":") for line in lines] == ["3", "4", "6", "7", "8"]


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", ".a", '"a\nb"', "a\x07b"])
def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path, name: str) -> None:
    path = split_file(tmp_path, "case,split", "A,train", f"{name},train", f"{name},test")
    split, problems = check_split(path)
    assert split == Split(("A",), ()) and len(problems) == 2
    assert all(f"{path}: line " in p and "cannot be a folder name: remove slashes, line breaks" in p for p in problems)


def test_a_list_that_is_not_in_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_bytes("case,split\nMüller,train\nA,test\n".encode("latin-1"))
    with pytest.raises(
        LasslError, match=r"split\.csv: line 2: case 'M.ller' is not valid UTF-8; save the file as UTF-8$"
    ):
        read_split(path)


def test_names_that_mean_nothing_elsewhere_are_names_like_any_other(tmp_path: Path) -> None:
    names = ("NA", "None", "null", "nan", "A B", "Müller", "a=[b]{c}", "1e5")
    path = split_file(tmp_path, "case,split", *(f"{name},test" for name in names))
    assert read_split(path) == Split((), names)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["case,part", "A,train"], "no column ['split']"),
        (["case,split"], "found no cases"),
        ([], "no column ['case', 'split']"),
    ],
)
def test_a_split_without_its_columns_or_cases_is_named(tmp_path: Path, lines: list[str], words: str) -> None:
    path = split_file(tmp_path, *lines)
    with pytest.raises(LasslError) as error:
        read_split(path)
    assert str(error.value).startswith(f"{path}: ") and words in str(error.value)


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LasslError, match=r"none\.csv: not found; create a CSV"):
        read_split(tmp_path / "none.csv")


@pytest.mark.parametrize("head", ["case,split,label", "case,split,Label", "Case, SPLIT , label", "label,case,split"])
def test_a_heading_is_known_with_capitals_blanks_and_in_any_place(tmp_path: Path, head: str) -> None:
    row = {"case": "A", "split": "train", "label": "none"}
    line = ",".join(row[name.strip().lower()] for name in head.split(","))
    path = split_file(tmp_path, head, line)
    assert read_split(path) == Split(("A",), (), frozenset({"A"}))


@pytest.mark.parametrize("name", ["labels", "lable", "mask", "label?", "used"])
def test_a_column_of_another_name_is_told_since_it_may_withhold_labels(tmp_path: Path, name: str) -> None:
    path = split_file(tmp_path, f"case,split,{name}", "A,train,none", "T,test,")
    (problem,) = check_split(path)[1]
    assert problem == (
        f"{path}: found a column '{name}', expected only case, split, label and patient; rename or delete it"
    )


def test_a_column_that_is_there_twice_is_told(tmp_path: Path) -> None:
    path = split_file(tmp_path, "case,split,label,Label", "A,train,none,", "T,test,,")
    assert check_split(path)[1] == [f"{path}: found the column 'label' 2 times; keep one"]


@pytest.mark.parametrize("head", ["case,split", "case,split,"])
def test_an_entry_without_a_heading_is_told_with_its_line_and_an_empty_one_is_not(tmp_path: Path, head: str) -> None:
    path = split_file(tmp_path, head, "A,train,none", "B,train,", "T,test")
    split, problems = check_split(path)
    assert split == Split(("A", "B"), ("T",))
    assert problems == [
        f"{path}: line 2: case A has 'none' in a column without a heading; name the column label if it is about "
        "labels, or delete it"
    ]


def test_a_table_that_csv_cannot_hold_is_told(tmp_path: Path) -> None:
    path = split_file(tmp_path, "case,split", '"A,train', "B" * 200_000)
    (problem,) = check_split(path)[1]
    assert problem.startswith(f"{path}: not a valid CSV file (field larger than") and "save it" in problem


def test_cases_of_one_patient_are_on_one_side(tmp_path: Path) -> None:
    path = split_file(tmp_path, "case,split,patient", "A,train,1", "B,train,2", "C,train,1", "T,test,3", "U,test,")
    assert read_split(path) == Split(("A", "B", "C"), ("T", "U"), patients={"A": "1", "B": "2", "C": "1", "T": "3"})
    path = split_file(tmp_path, "case,split,patient", "A,train,1", "T,test,1")
    assert check_split(path)[1] == [
        f"{path}: line 3: case T is in test, but case A of the same patient 1 is in train; put both on one side"
    ]
