"""The marked places of README.md and docs/: what fills them, and marks that are wrong."""

from pathlib import Path

import pytest

from lassl.pages import places
from lassl.pages.places import KINDS, filled, write
from lassl.plumbing.errors import LasslError

README = Path("README.md")
TEXT = """# Title
<!-- table: quick -->
old
<!-- end of table -->
between, `<!-- table: quick -->` in a sentence
<!-- table: paper -->
<!-- end of table -->
after
"""


@pytest.fixture(autouse=True)
def tables(tmp_path, monkeypatch):
    """Tables of two profiles."""
    monkeypatch.chdir(tmp_path)
    for profile in ("quick", "paper"):
        Path(f"metrics/{profile}").mkdir(parents=True)
        Path(f"metrics/{profile}/table.md").write_text(f"| {profile} \\1 ± |\n")


def test_each_place_is_filled_and_the_rest_is_left():
    assert filled(TEXT, README) == (
        "# Title\n<!-- table: quick -->\n| quick \\1 ± |\n<!-- end of table -->\n"
        "between, `<!-- table: quick -->` in a sentence\n"
        "<!-- table: paper -->\n| paper \\1 ± |\n<!-- end of table -->\nafter\n"
    )


def test_filling_twice_changes_nothing_more():
    once = filled(TEXT, README)
    assert filled(once, README) == once


def test_a_place_is_filled_by_the_function_of_its_kind_with_its_words(monkeypatch):
    monkeypatch.setitem(KINDS, "two-words", lambda first, second: f"{second} {first}")
    monkeypatch.setitem(KINDS, "none", lambda: "\nalone\n\n")
    assert filled("<!-- two-words: a b, c -->\n<!-- end of two-words -->", README) == (
        "<!-- two-words: a b, c -->\nc a b\n<!-- end of two-words -->"
    )
    assert filled("<!-- none -->\nx\n\ny\n<!-- end of none -->\n", README) == (
        "<!-- none -->\n\nalone\n<!-- end of none -->\n"
    )


def test_every_page_is_written_that_has_marks():
    Path("docs").mkdir()
    for path in ("README.md", "docs/results.md"):
        Path(path).write_text(TEXT)
    Path("docs/other.md").write_text("no table\n")
    write()
    for path in ("README.md", "docs/results.md"):
        assert Path(path).read_text() == filled(TEXT, README)
    assert Path("docs/other.md").read_text() == "no table\n"


def test_a_page_that_is_up_to_date_is_not_written_again(monkeypatch):
    README.write_text(filled(TEXT, README))
    monkeypatch.setattr(places, "write_text", None)
    write()


def test_no_page_is_written_where_one_of_them_is_wrong():
    Path("docs").mkdir()
    README.write_text(TEXT)
    Path("docs/results.md").write_text("# Head\n<!-- table: nowhere -->\n<!-- end of table -->\n")
    told = r"^docs/results\.md:2: <!-- table: nowhere -->: metrics/nowhere/table\.md: not found"
    with pytest.raises(LasslError, match=told):
        write()
    assert README.read_text() == TEXT


@pytest.mark.parametrize(
    ("wrong", "line", "mark"),
    [
        ("<!-- table: quick -->\ntext without an end\n", 1, "<!-- table: quick -->"),
        ("text\n<!-- end of table -->\n", 2, "<!-- end of table -->"),
        ("text\n<!-- table: quick --><!-- end of table -->\n", 2, "<!-- table: quick --><!-- end of table -->"),
        ("<!-- table: quick -->\ntext <!-- end of table -->\n", 1, "<!-- table: quick -->"),
        ("<!-- table: quick -->\n<!-- end of trials -->\n", 1, "<!-- table: quick -->"),
        (" <!-- table: quick -->\n<!-- end of table -->\n", 1, "<!-- table: quick -->"),
        ("<!--table: quick-->\n<!-- end of table -->\n", 1, "<!--table: quick-->"),
        ("<!-- a comment -->\n", 1, "<!-- a comment -->"),
    ],
)
def test_marks_that_make_no_place_are_told_with_file_and_line_and_no_text_is_lost(wrong, line, mark):
    with pytest.raises(LasslError) as error:
        filled(wrong + TEXT, README)
    assert str(error.value).startswith(
        f"README.md:{line}: found '{mark}', which does not begin or end a place; expected"
    )


def test_the_last_mark_without_an_end_is_told():
    with pytest.raises(LasslError, match=r"^README\.md:9: found '<!-- trials: quick -->'"):
        filled(f"{TEXT}<!-- trials: quick -->\nthe rest\n", README)


def test_a_mark_of_an_unknown_kind_is_told_with_the_kinds_that_there_are():
    told = r"^README\.md:1: <!-- tabel: quick -->: unknown kind .tabel.; expected one of table, structures, "
    with pytest.raises(LasslError, match=told):
        filled(f"<!-- tabel: quick -->\n<!-- end of tabel -->\n{TEXT}", README)


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("table", "PROFILE, OTHER"), ("table: a, b, c", "PROFILE, OTHER"), ("flaw", "FLAW"), ("empties: quick", "none")],
)
def test_words_that_a_kind_does_not_take_are_told(mark, expected):
    kind = mark.split(":")[0]
    with pytest.raises(LasslError, match=rf"^README\.md:1: <!-- {mark} -->: found \d words.*; expected {expected}$"):
        filled(f"<!-- {mark} -->\n<!-- end of {kind} -->\n", README)
