"""README.md and docs/: the tables they show, their length, and where their links lead."""

import re
from pathlib import Path

import pytest
import yaml

import lassl
from helpers.project import ROOT, committed
from lassl.cli import power
from lassl.data.patches import Batch
from lassl.learning.base import Progress
from lassl.pages.places import PLACE, filled, pages

README = Path("README.md")
PAGES = [README, *sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


SLOW = {Path("docs/flaws.md")}  # its places read every committed run


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=[pytest.mark.slow] * (path in SLOW)) for path in PAGES], ids=str
)
def test_the_marked_places_of_a_page_have_what_the_functions_give(monkeypatch, path):
    monkeypatch.chdir(committed())
    assert path in pages()
    text = path.read_text()
    assert text == filled(text, path)


def test_the_readme_has_one_table_of_results_and_it_is_short():
    text = (ROOT / README).read_text()
    (table,) = re.findall("<!-- table: (.*) -->", text)
    assert table == "compact-pairs, short"
    heads = PLACE.search(text)[0].splitlines()[1]
    assert heads.count("|") - 1 <= 7


def test_the_wide_tables_stand_on_the_page_of_results():
    tables = re.findall("<!-- table: (.*) -->", (ROOT / "docs/results.md").read_text())
    assert tables == [
        "compact-pairs",
        "compact",
        "paper",
        "compact, compact-again",
        "compact-8",
        "repeats",
        "brains",
        "brains_six",
        "quick",
    ]


def prose(path: Path) -> list[str]:
    """The lines of a page without tables, and without what is generated."""
    return [line for line in PLACE.sub("", (ROOT / path).read_text()).splitlines() if line[:1] != "|"]


def test_the_readme_is_short_and_so_are_its_lines():
    lines = (ROOT / README).read_text().splitlines()
    assert len(lines) <= 146
    assert [line for line in lines if len(line) > 120 and line[:1] != "|"] == []


def test_the_first_command_stands_in_the_first_screen_of_the_readme():
    lines = (ROOT / README).read_text().splitlines()
    assert next(number for number, line in enumerate(lines, 1) if line.startswith("lassl predict")) <= 25


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_a_page_has_a_title_and_then_a_sentence_that_says_what_it_is_for(path):
    first, empty, *others = prose(path)
    sentence = next(line for line in others if line and not line.startswith("[!["))  # a badge
    assert first.startswith("# ") and not empty and re.match("[A-Z`]", sentence)


def anchors(path: Path) -> set[str]:
    """Names of a page's headings in links, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_every_relative_link_leads_to_a_file_and_a_heading_that_are_there(path):
    for link in LINK.findall((ROOT / path).read_text()):
        if link.startswith("https://"):
            continue
        name, _, heading = link.partition("#")
        target = (ROOT / path).parent / name if name else ROOT / path
        assert target.is_file(), link
        assert not heading or heading in anchors(target), link


def test_every_page_in_docs_is_linked_from_the_index_and_in_the_menu_of_the_site_in_one_order():
    linked = [link for link in LINK.findall((ROOT / "docs/index.md").read_text()) if link.endswith(".md")]
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text())  # names of functions, for mkdocs
    menu = [page for part in yaml.safe_load(text)["nav"] for pages in part.values() for page in pages]
    assert menu == ["index.md", *linked]
    assert sorted(menu) == sorted(path.name for path in PAGES[1:])


def test_pages_of_docs_link_to_nothing_outside_of_it_which_the_site_does_not_have():
    assert [link for path in PAGES[1:] for link in LINK.findall((ROOT / path).read_text()) if link[:2] == ".."] == []


def test_the_method_that_is_shown_as_a_start_is_the_one_that_is_copied():
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/add-a-method.md").read_text(), re.DOTALL)
    assert shown in (ROOT / "lassl/methods/entropy.py").read_text()


def test_the_tree_of_contributing_has_the_folders_of_the_code():
    (tree,) = re.findall(r"```text\nlassl/\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    rooms = re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)
    assert sorted(rooms) == sorted(path.parent.name for path in ROOT.glob("lassl/*/__init__.py"))
    assert all((ROOT / name).is_dir() for name in re.findall(r"^(\w+)/ ", tree, re.MULTILINE))


def test_the_picture_of_the_pipeline_has_every_stage_and_its_arrows_follow_the_order():
    stages = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    (picture,) = re.findall(r"```mermaid\n(.*?)```", (ROOT / README).read_text(), re.DOTALL)
    assert sorted(set(re.findall(r"(\w+)\[", picture))) == sorted(stages)
    for line in picture.splitlines()[1:]:
        found = [stages.index(name) for name in re.findall(r"(\w+)(?:\[[^]]*\])?(?= -->|$)", line.strip())]
        assert found == sorted(found) and len(found) > 1, line


def test_the_method_that_the_readme_shows_is_a_method_with_settings(make_network, batch):
    text = (ROOT / README).read_text()
    (code,), (settings,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "yaml"))
    scope: dict[str, object] = {}
    exec(code, scope)
    mine, options = scope["Mine"], yaml.safe_load(settings)["options"]
    fitted = lassl.fit(mine, steps=2, **options)
    assert set(fitted.networks) == {"network"} and {"ce", "dice_loss", "entropy"} & set(fitted.curves)
    step = mine(make_network, **options).losses(Batch(batch.labeled_image, batch.label), Progress(0, 40, 0, 0))
    assert all(term.isfinite() for term in step.terms.values()) and step.logs["weight"] < 0.1


def test_what_the_page_shows_of_power_is_what_the_command_prints(monkeypatch):
    monkeypatch.chdir(committed())
    (shown,) = re.findall(r"\$ lassl power (repeats\n.*?)```", Path("docs/statistics.md").read_text(), re.DOTALL)
    profile, text = shown.split("\n", 1)
    printed, at = power.report(profile), 0
    for part in text.split("...\n"):  # lines in between are left out
        at = printed.index(part.strip(), at)
    assert text.count("...") == 2
