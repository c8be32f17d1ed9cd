"""The marked places of docs/methods.md: what they take from code, settings and costs."""

import ast
import inspect
import re
import shutil
from pathlib import Path

import pytest
import yaml

from benchmarks import costs as benchmark
from helpers.project import ROOT
from lassl.methods import class_of
from lassl.pages import methods
from lassl.pages.methods import PAGE, Costs, alike, composed, contents, costs, method, rows_of
from lassl.pages.prose import blocks, comments, heading
from lassl.plumbing.errors import LasslError

COSTS = Costs(
    profile="tiny", turns=3, baseline="vnet_16", device="cpu: Test", threads=2, torch="2.0", ratios={"cps": 2.345}
)

SHOWN = re.findall(r"^<!-- method: (\w+) -->$", (ROOT / PAGE).read_text(), re.MULTILINE)


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
    """The page as it is committed; tests/whole/test_docs.py holds that it is what code and settings give."""
    return (ROOT / PAGE).read_text()


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next."""
    return text.split(f"### {heading}\n")[1].split("\n##")[0]


def test_every_row_of_the_field_that_has_a_title_is_on_the_page_once(monkeypatch, committed):
    monkeypatch.chdir(ROOT)
    published = yaml.safe_load((ROOT / "metrics/published.yaml").read_text())
    titled = [row for row in composed("paper").methods if row in {**published["rows"], **published["field"]}]
    assert len(titled) >= 28
    assert [row for row in titled if committed.count(f"(`{row}`)") != 1] == []
    assert len(SHOWN) == len(set(SHOWN))


def test_the_contents_are_the_methods_of_the_page_under_its_headings(project):
    PAGE.parent.mkdir()
    PAGE.write_text(
        "# Methods\n\n## How\n\n## Two networks\n\n<!-- method: cps -->\n### CPS\n<!-- end of method -->\n"
        "\n## Others\n<!-- method: vat -->\n<!-- end of method -->\n<!-- method: ict -->\n<!-- end of method -->\n"
    )
    assert contents().splitlines() == [
        "3 algorithms in `lassl/methods/`, in 7 rows of `conf/method/`:",
        "",
        "- Two networks",
        "    - [CPS](#cps): CPS, CPS+ALW, CPS+CutMix, CPS+Lovasz+ALW",
        "- Others",
        "    - [VAT](#vat): VAT",
        "    - [ICT](#ict): ICT",
    ]


def test_an_algorithm_that_is_not_there_is_told(project):
    with pytest.raises(LasslError, match=r"^lassl/methods/nothing\.py: not found; expected one of .*cps"):
        method("nothing")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with conf/ of its own, and an algorithm that field.yaml does not know."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.setattr(methods, "algorithms", lambda: ["mine"])
    monkeypatch.chdir(tmp_path)
    row = tmp_path / "conf/method/mine.yaml"
    row.unlink(missing_ok=True)
    return row


def test_an_algorithm_of_ones_own_has_the_row_of_its_name(mine):
    row = (ROOT / "conf/method/entropy.yaml").read_text()
    mine.write_text(row.replace("methods.entropy", "methods.mine").replace("algorithm: entropy", "algorithm: mine"))
    assert list(rows_of("mine", "paper")) == ["mine"]


@pytest.mark.parametrize("other", [True, False])
def test_an_algorithm_without_a_row_is_told(mine, other):
    if other:  # a row of its name, but of another algorithm
        mine.write_text((ROOT / "conf/method/entropy.yaml").read_text().replace("methods.entropy", "methods.mine"))
    with pytest.raises(LasslError, match=r"^conf/method/mine\.yaml: found no row for the algorithm mine; write"):
        rows_of("mine", "paper")


def test_rows_that_differ_in_their_cases_alone_have_one_column(monkeypatch, committed):
    monkeypatch.chdir(ROOT)
    found = alike(rows_of("supervised", "paper"))
    assert found == {"vnet_16": ["vnet_80"], "vnet_16_matched": [], "vnet_bn": []}
    assert alike(rows_of("cps", "paper"))["cps"] == ["cps_32"]
    assert "|  | `vnet_16` | `vnet_16_matched` | `vnet_bn` |  |" in committed


def test_what_the_introduction_says_of_the_schedule_holds(monkeypatch, committed):
    monkeypatch.chdir(ROOT)
    assert composed("paper").train.schedule is None and composed("compact").train.schedule == "poly"
    told = " ".join(committed.split())
    assert "if `train.schedule` is null, as in `paper`. `compact` uses `poly` for all rows" in told


@pytest.mark.parametrize("algorithm", SHOWN)
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
    assert "(`vnet_bn`):\n  The matched baseline, with two unlabeled patches added to each step" in committed
    assert "**BCP & 16L+64UL** (`bcp`)\n\n" in committed


def test_options_are_the_published_ones_with_the_comments_of_conf(project):
    (project / "a.yaml").write_text("# head\nname: x\noptions:\n  mix: none  # none | some\n  rate: 1\n")
    assert comments(project / "a.yaml") == {"mix": r"none \| some"}
    text = method("mean_teacher")
    assert "| `passes` | 8 | 8 | 0 | 0 | 0 | of the teacher" in text
    assert "| `mask` | certain | certain | all | ambiguous | all |" in text
    assert "| `weight` | 0.1 | 0.1 | 0.1 | 0.1 | 0.25 | `mt_un`, `mt_un_lovasz`, `acmt`: its authors'" in text
    assert ". `mt`: SSL4MIS's. `uncl`: its authors'" in text
    assert "| `weight` in `compact` | 1.0 | 1.0 | 3.0 | 1.0 | 0.0833 |" in text
    assert "| `ramp` | 1.0 | 1.0 | 1.0 | 0.75 | 0.0 |" in text
    assert "| `schedule` | step | step | poly | poly | constant | step as in UA-MT" in text


def test_schedule_and_weight_decay_of_every_row_are_shown(committed):
    for algorithm in SHOWN:
        text = section(committed, methods.class_of(algorithm).__name__)
        assert "\n| `schedule` | " in text and "\n| `weight_decay` | " in text
    assert "| `weight_decay` | 0.0005 | 0.0005 | 0.0005 | 0.0005 | Gupta and Guo's" in committed
    assert "as published" not in committed.replace("unlabeled as published", "").replace("16 as published", "")


def test_whose_a_weight_is_stands_beside_it_for_every_row(committed):
    told = comments(ROOT / "conf/config.yaml")
    for key in yaml.safe_load((ROOT / "conf/config.yaml").read_text())["weights"]:
        assert told[key] in committed, key


def test_costs_are_shown_once_they_are_measured(project):
    assert costs() == "Cost of a step: *not measured yet*." and "| cost |" not in method("cps")
    methods.COSTS.parent.mkdir()
    methods.COSTS.write_text(yaml.safe_dump(COSTS.model_dump()))
    assert costs() == (
        "Cost: time per step relative to `vnet_16`, median of 3 rounds, profile `tiny`, cpu: Test, "
        "2 threads, torch 2.0."
    )
    assert "| cost | 2.35 | - | - | - |  |" in method("cps")


def test_a_title_is_that_of_the_paper_or_of_the_field_and_a_row_without_one_is_named(project):
    published = {"rows": {"cps": {"title": "CPS & 16L", "dice": 1}}, "field": {"cps_cutmix": {"title": "C & 16L"}}}
    Path("metrics/published.yaml").write_text(yaml.safe_dump(published))
    text = method("cps")
    assert "- **CPS & 16L** (`cps`); with other numbers of cases: `cps_32`:\n" in text
    assert "\n- `cps_alw`:\n" in text and "\n- **C & 16L** (`cps_cutmix`):\n" in text


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
    assert "| cost | 7.00 | 7.00 |" in method("cps")
