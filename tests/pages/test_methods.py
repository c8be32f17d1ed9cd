"""The page of the methods: what it takes from code, settings and costs, and the committed one."""

import ast
import inspect
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from benchmarks import costs as benchmark
from helpers.project import ROOT, tracked
from lassl.methods import algorithms, class_of
from lassl.pages import methods
from lassl.pages.methods import KINDS, Costs, alike, composed, kinds, page, titles_of
from lassl.pages.prose import blocks, comments, heading
from lassl.pages.public_code import METHODS

COSTS = Costs(
    profile="tiny", turns=3, baseline="vnet_16", device="cpu: Test", threads=2, torch="2.0", ratios={"cps": 2.345}
)

TRACKED = sorted({path.stem for path in tracked("lassl/methods/*.py")} - {"__init__"})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with conf/ and the published titles, and no costs."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/published.yaml").write_text((ROOT / "metrics/published.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def committed():
    """The page of the project's code and settings."""
    with chdir(ROOT):
        return page()


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next."""
    return text.split(f"### {heading}\n")[1].split("\n##")[0]


def test_the_committed_page_is_what_code_and_settings_give(committed):
    assert (ROOT / "docs/methods.md").read_text() == committed


def test_every_algorithm_is_of_one_kind_and_a_new_one_is_of_the_others():
    assert sorted(name for members in KINDS.values() for name in members) == TRACKED
    assert kinds(["mine", "supervised"]) == {"Labels alone": ["supervised"], "Others": ["mine"]}
    assert set(METHODS) < set(algorithms())


def test_every_row_is_named_and_a_row_with_other_cases_has_no_column_of_its_own(monkeypatch, committed):
    monkeypatch.chdir(ROOT)
    rows, text = composed("paper").methods, committed
    assert all(f"`{row}`" in text for row in rows)
    found = alike(rows)
    assert found["supervised"] == {"vnet_16": ["vnet_80"], "vnet_16_matched": [], "vnet_bn": []}
    assert found["cps"]["cps"] == ["cps_32"]
    assert "|  | `vnet_16` | `vnet_16_matched` | `vnet_bn` |  |" in text


@pytest.mark.parametrize("algorithm", TRACKED)
def test_no_word_of_an_algorithms_text_is_lost(committed, algorithm):
    told = ast.get_docstring(ast.parse(Path(inspect.getfile(class_of(algorithm))).read_text()))
    shown = section(committed, methods.class_of(algorithm).__name__).replace("```text", "").replace("```", "")
    assert " ".join(told.split()) in " ".join(shown.split())


def test_indented_lines_and_empty_ones_between_them_become_one_block_as_they_stand():
    lines = ["one", "", "    a  b", "", "      c", "", "two", "    d"]
    assert list(blocks(lines)) == [
        *("one", "", "```text", "a  b", "", "  c", "```", "", "two", "```text", "d", "```", "")
    ]  # fmt: skip


def test_rows_of_one_algorithm_are_told_apart_by_what_stands_at_the_head_of_their_files(project, committed):
    (project / "a.yaml").write_text("# @package methods.a\n# One\n# two.\nlabeled: 1  # of them\n# no head\n")
    assert heading(project / "a.yaml") == "One\ntwo."
    (project / "b.yaml").write_text("# All\n")
    assert heading(project / "b.yaml") == "All"
    assert "(`vnet_bn`):\n  The matched baseline, whose steps have two unlabeled patches too" in committed
    assert "**BCP & 16L+64UL** (`bcp`)\n\n" in committed


def test_options_are_the_published_ones_with_the_comments_of_conf(project):
    (project / "a.yaml").write_text("# head\nname: x\noptions:\n  mix: none  # none | some\n  rate: 1\n")
    assert comments(project / "a.yaml") == {"mix": r"none \| some"}
    text = section(page(), "MeanTeacher")
    assert "| `passes` | 8 | 8 | 0 | 0 | 0 | of the teacher" in text
    assert "| `mask` | certain | certain | all | ambiguous | all |" in text
    assert "| `weight` | 0.1 | 0.1 | 0.1 | 0.1 | 0.25 | `mt_un`, `mt_un_lovasz`, `acmt`: its authors'" in text
    assert ". `mt`: SSL4MIS's. `uncl`: its authors'" in text
    assert "| `weight` in `compact` | 1.0 | 1.0 | 3.0 | 1.0 | 0.25 |" in text
    assert "| `ramp` | 1.0 | 1.0 | 1.0 | 0.75 | 0.0 |" in text
    assert "| `schedule` | step | step | poly | poly | constant | each row's authors'" in text


def test_schedule_and_weight_decay_of_every_row_are_shown(committed):
    for algorithm in TRACKED:
        text = section(committed, methods.class_of(algorithm).__name__)
        assert "\n| `schedule` | " in text and "\n| `weight_decay` | " in text
    assert "| `weight_decay` | 0.0005 | 0.0005 | 0.0005 | 0.0005 | Gupta and Guo's" in committed
    assert "as published" not in committed.replace("unlabeled as published", "").replace("16 as published", "")


def test_whose_a_weight_is_stands_beside_it_for_every_row(committed):
    told = comments(ROOT / "conf/config.yaml")
    for key in yaml.safe_load((ROOT / "conf/config.yaml").read_text())["weights"]:
        assert told[key] in committed, key


def test_costs_are_shown_once_they_are_measured(project):
    assert "*not measured yet*" in page() and "| cost |" not in page()
    (project / "docs").mkdir()
    methods.COSTS.write_text(yaml.safe_dump(COSTS.model_dump()))
    text = page()
    assert "*not measured yet*" not in text and "`vnet_16`, median of 3 turns" in text
    assert "| cost | 2.35 | - | - | - |  |" in section(text, "CPS")


def test_titles_are_those_of_the_paper_and_of_the_field():
    published = {
        "rows": {"cps": {"title": "CPS & 16L", "dice": 1}},
        "field": {"bcp": {"title": "BCP & 16L"}},
    }
    assert titles_of(published) == {"cps": "CPS & 16L", "bcp": "BCP & 16L"}


def test_a_step_of_each_row_is_timed_beside_one_of_the_baseline(project, monkeypatch):
    clock = iter([9.0, 9.0, 6.0, 2.0, 8.0, 2.0, 5.0, 2.0])  # the first two warm up; then ratios 3, 4 and 2.5
    monkeypatch.setattr(benchmark, "seconds", lambda act, keep: act() and next(clock))
    monkeypatch.setattr(benchmark, "method_step", lambda method, config: lambda: True)
    config = composed("tiny")
    config = config.model_copy(update={"methods": {row: config.methods[row] for row in ("vnet_16",)}})
    assert benchmark.ratios(config, 3) == {"vnet_16": 3.0}


def test_the_costs_that_are_written_are_those_that_the_page_reads(project, monkeypatch):
    monkeypatch.setattr(benchmark, "ratios", lambda config, turns: dict.fromkeys(config.methods, float(turns)))
    benchmark.main(["--profile", "tiny", "--turns", "7"])
    costs = Costs.model_validate(yaml.safe_load(methods.COSTS.read_text()))
    assert (costs.profile, costs.turns) == ("tiny", 7) and set(costs.ratios) == set(composed("tiny").methods)
    assert "| cost | 7.00 | 7.00 |" in page()
