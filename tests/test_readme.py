"""The tables in README.md."""

import json
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


def write_means(profile, **means):
    """A table.json with the mean Dice of some rows."""
    rows = {m: {"title": f"the {m}", "scores": {"dice": {"mean": mean}}} for m, mean in means.items()}
    Path(f"metrics/{profile}/table.json").write_text(json.dumps({"rows": rows}))


def test_two_profiles_stand_side_by_side_in_the_rows_that_both_have(tables):
    write_means("quick", cps=80.0, mt_un=None, alone=1.0)
    write_means("paper", mt_un=70.0, cps=78.756)
    assert with_tables("<!-- table: quick, paper -->\nold\n<!-- end of table -->") == (
        "<!-- table: quick, paper -->\n"
        "| Mean Dice [%] | quick | paper | difference |\n| --- | --- | --- | --- |\n"
        "| the cps | 80.00 | 78.76 | -1.24 |\n| the mt_un | - | 70.00 | - |\n"
        "<!-- end of table -->"
    )


def test_of_two_profiles_the_one_that_was_never_made_is_named(tables):
    write_means("quick", cps=80.0)
    with pytest.raises(LasslError, match=r"profile paper, but metrics/paper/table\.json is not there"):
        with_tables("<!-- table: quick, paper -->\n<!-- end of table -->")


def test_the_readme_shows_the_committed_tables(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = Path("README.md").read_text()
    assert "<!-- table: " in text
    assert text == with_tables(text)
