"""The flaws' files: one of conf/flaw/ for each, which changes one thing, and no way to a flaw but by its name."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from helpers.project import ROOT, composed
from lassl.plumbing.plugins import plugin

pytestmark = pytest.mark.slow

MODULES = {path.stem for path in (ROOT / "lassl/flaws").glob("*.py")} - {"__init__", "page"}
PROFILES = sorted(path.stem for path in (ROOT / "conf/profile").glob("*.yaml"))
CHANGED = {  # flaw -> keys of params.yaml that it changes, beside the variant
    "broken_dice": {"methods.cps_alw.options.measure"},
    "crossed_schedulers": {"train.schedule"},
    "empty_zero": {"evaluate.failures"},
    "fewer_exposures": {"methods.vnet_16.batch.labeled"},
    "overlap": {"cases.unlabeled"},
    "test_selection": {"snapshots.count", "snapshots.use"},
    "unseeded_margins": {"data.margins"},
}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write outputs to."""
    monkeypatch.chdir(tmp_path)


def flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Give the values by their dotted keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def test_there_is_a_file_of_conf_for_every_flaw():
    assert {path.stem for path in (ROOT / "conf/flaw").glob("*.yaml")} == set(CHANGED)


@pytest.mark.parametrize("flaw", CHANGED)
def test_a_flaw_changes_what_it_is_about_and_the_name_of_the_runs_and_nothing_else(flaw):
    honest, flawed = (dict(flat(yaml.safe_load(composed(*o).read_text()))) for o in ([], [f"flaw={flaw}"]))
    changed = {key for key in honest.keys() | flawed.keys() if honest.get(key, ...) != flawed.get(key, ...)}
    assert changed == CHANGED[flaw] | {"variant"}
    assert flawed["variant"] == f"-{flaw}"


def test_every_flaws_module_is_named_by_the_one_file_of_its_name():
    named = {}
    for path in (ROOT / "conf/flaw").glob("*.yaml"):
        for module, function in re.findall(r"lassl\.flaws\.(\w+):(\w+)", path.read_text()):
            named.setdefault(module, []).append(path.stem)
            assert callable(plugin("key", f"lassl.flaws.{module}:{function}", {}))
    assert named == {module: [module] for module in MODULES}


def test_every_flaw_but_one_that_is_a_setting_has_a_part_of_its_name_and_the_page_says_so():
    (setting,) = set(CHANGED) - MODULES
    assert MODULES < set(CHANGED)
    assert f"`{setting}` is a setting and needs no part" in (ROOT / "docs/flaws.md").read_text()


@pytest.mark.parametrize("profile", PROFILES)
def test_without_a_flaw_nothing_of_the_flaws_is_named(profile):
    assert "flaw" not in composed(f"profile={profile}").read_text()


def test_no_core_module_knows_of_flaws():
    found = {}
    modules = {*ROOT.glob("lassl/**/*.py"), *ROOT.glob("pipeline/**/*.py")} - {*ROOT.glob("lassl/flaws/**/*.py")}
    modules -= {*ROOT.glob("lassl/pages/*.py")}
    for path in modules:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                node.value = ""  # prose: docstrings, messages, headings
        if lines := [line for line in ast.unparse(tree).splitlines() if "flaw" in line.lower()]:
            found[str(path.relative_to(ROOT))] = lines
    assert found == {}
