"""The tables in README.md."""

from pathlib import Path

import pytest

from lassl.errors import LasslError
from lassl.readme import update, with_tables

ROOT = Path(__file__).parents[1]
TEXT = """# Title
<!-- table: quick -->
old
<!-- end of table -->
between
<!-- table: paper -->
<!-- end of table -->
after
"""


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Tables of two profiles."""
    monkeypatch.chdir(tmp_path)
    for profile in ("quick", "paper"):
        Path(f"metrics/{profile}").mkdir(parents=True)
        Path(f"metrics/{profile}/table.md").write_text(f"| {profile} \\1 ± |\n")


def test_each_table_is_replaced_and_the_rest_is_left(tables):
    assert with_tables(TEXT) == (
        "# Title\n<!-- table: quick -->\n| quick \\1 ± |\n<!-- end of table -->\nbetween\n"
        "<!-- table: paper -->\n| paper \\1 ± |\n<!-- end of table -->\nafter\n"
    )


def test_replacing_twice_changes_nothing_more(tables):
    assert with_tables(with_tables(TEXT)) == with_tables(TEXT)


def test_the_file_itself_is_updated(tables):
    Path("README.md").write_text(TEXT)
    update()
    assert Path("README.md").read_text() == with_tables(TEXT)


def test_a_table_that_was_never_made_is_named(tables):
    Path("metrics/paper/table.md").unlink()
    with pytest.raises(LasslError, match=r"profile paper, but metrics/paper/table\.md is not there"):
        with_tables(TEXT)


def test_the_readme_shows_the_committed_tables(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = Path("README.md").read_text()
    assert "<!-- table: " in text
    assert text == with_tables(text)
