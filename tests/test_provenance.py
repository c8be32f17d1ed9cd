"""What code counts for a stage, and that dvc.yaml asks for it."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lassl.methods import algorithms, module_of
from lassl.provenance import PLUMBING, closure, code_hash, fingerprint, imports, named_modules
from pipeline import code

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
METHODS = PARAMS["methods"]
ENTRIES = {
    **{f"pipeline.train {name}": ("pipeline.train", module_of(name)) for name in algorithms()},
    **{f"pipeline.{stage}": (f"pipeline.{stage}",) for stage in STAGES if stage not in ("code", "train")},
}
LOAD = """
import importlib, json, sys
def ours():
    return [name for name in sys.modules if name.split(".")[0] in ("lassl", "pipeline")]
loaded = {}
for entry, modules in json.loads(sys.argv[1]).items():
    for name in ours():
        del sys.modules[name]
    for module in modules:
        importlib.import_module(module)
    loaded[entry] = sorted(ours())
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """Modules of ours that Python has after importing each entry, starting from none."""
    command = [sys.executable, "-c", LOAD, json.dumps(ENTRIES)]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(output)


@pytest.fixture
def module(tmp_path):
    """Write a file of a package of ours."""

    def module(name: str, text: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return module


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_closure_of_a_stage_is_what_python_loads(loaded, entry):
    found = {name for start in ENTRIES[entry] for name in closure(start, ROOT)}
    assert sorted(found) == loaded[entry]


def test_a_closure_follows_every_form_of_import_and_its_packages(tmp_path, module):
    module("pipeline/__init__.py")
    module("pipeline/go.py", "import os\nimport lassl.a\nfrom lassl import b\nfrom lassl.sub.c import thing\n")
    module("lassl/__init__.py")
    module("lassl/a.py", "import numpy\nfrom pipeline import go\n")  # a circle
    module("lassl/b.py", "def later():\n    from lassl import d\n")
    module("lassl/sub/__init__.py", "import lassl.e")
    module("lassl/sub/c.py", "thing = 1")
    module("lassl/d.py")
    module("lassl/e.py")
    module("lassl/unused.py")
    names = "lassl lassl.a lassl.b lassl.d lassl.e lassl.sub lassl.sub.c pipeline pipeline.go"
    found = closure("pipeline.go", tmp_path)
    assert list(found) == names.split()
    assert found["lassl.sub"] == tmp_path / "lassl/sub/__init__.py"


def test_no_file_of_ours_imports_relatively_or_by_star_which_a_closure_would_miss():
    for path in [*ROOT.glob("lassl/**/*.py"), *ROOT.glob("pipeline/*.py")]:
        assert not re.search(r"^\s*from \.", path.read_text(), re.MULTILINE), path
        assert not any(name.endswith(".*") for name in imports(path)), path


PLAIN = 'def f(x):\n    return x + 1\n\n\nclass A:\n    rate = "slow"\n'


def test_comments_docstrings_and_layout_do_not_count(module):
    dressed = (
        '"""A module."""\n# why\ndef f(x):\n    """Add one."""\n\n    return (x\n        + 1)  # one\n'
        "class A:\n    '''A class.'''\n    rate = 'slow'\n"
    )
    assert code_hash(module("a.py", dressed)) == code_hash(module("b.py", PLAIN))


@pytest.mark.parametrize(("old", "new"), [("1", "2"), ("slow", "fast"), ("x + 1", "1 + x"), ("rate", "speed")])
def test_what_a_file_does_counts(module, old, new):
    assert code_hash(module("a.py", PLAIN.replace(old, new))) != code_hash(module("b.py", PLAIN))


def test_a_function_with_only_a_docstring_has_a_hash(module):
    only = code_hash(module("a.py", 'def f():\n    """Nothing."""\n'))
    assert only == code_hash(module("b.py", "def f():\n    pass\n"))


def test_a_fingerprint_is_a_sorted_line_of_hash_and_path_for_each_file(tmp_path, module):
    module("pipeline/go.py", "from lassl import b\n")
    module("lassl/__init__.py")
    path = module("lassl/b.py", "x = 1\n")
    lines = fingerprint("pipeline.go", "lassl.b", root=tmp_path).splitlines()
    assert [line.split("  ")[1] for line in lines] == ["lassl/__init__.py", "lassl/b.py", "pipeline/go.py"]
    assert lines[1] == f"{code_hash(path)}  lassl/b.py"
    path.write_text("x = 2\n")
    changed = fingerprint("pipeline.go", root=tmp_path).splitlines()
    assert [a == b for a, b in zip(lines, changed, strict=True)] == [True, False, True]


def test_modules_that_compute_no_number_do_not_count(tmp_path, module):
    module("lassl/__init__.py")
    module("lassl/go.py", "from lassl import config, errors, files, machine, progress, provenance, deep\n")
    for name in PLUMBING:
        module(name.replace(".", "/") + ".py", "from lassl import beneath\n")
    module("lassl/deep.py")
    module("lassl/beneath.py")
    paths = [line.split("  ")[1] for line in fingerprint("lassl.go", root=tmp_path).splitlines()]
    assert paths == ["lassl/__init__.py", "lassl/beneath.py", "lassl/deep.py", "lassl/go.py"]
    assert all((ROOT / (name.replace(".", "/") + ".py")).is_file() for name in PLUMBING)


def test_the_modules_of_ours_that_settings_name_are_found_at_any_depth():
    method = {"schedule": "lassl.b:f", "options": {"measure": "lassl.sub.a:g", "kind": "mse", "passes": 8}}
    settings = {"method": method, "cases": {"unlabeled": "lassl.b:h"}, "size": [16, 16], "none": None}
    assert named_modules(settings) == ["lassl.b", "lassl.sub.a"]
    assert named_modules({"failures": "math:hypot", "use": "last", "text": "in lassl.b:f", "folder": "lassl.b"}) == []
    assert named_modules(PARAMS) == []


def written(folder: Path, params: dict) -> dict[str, str]:
    """What the stage `code` writes for params.yaml in a folder, by path."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for name in ("lassl", "pipeline"):
        (folder / name).symlink_to(ROOT / name)
    before = os.getcwd()
    try:
        os.chdir(folder)
        code.main()
    finally:
        os.chdir(before)
    files = [path for path in (folder / "build/code").rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.fixture(scope="module")
def fingerprints(tmp_path_factory) -> dict[str, str]:
    return written(tmp_path_factory.mktemp("project"), PARAMS)


def flaws_in(fingerprint: str) -> set[str]:
    return set(re.findall(r"lassl/flaws/(\w+)\.py", fingerprint)) - {"__init__"}


def test_no_flaw_counts_where_none_is_named_but_for_the_table_that_shows_a_policy(fingerprints):
    found = {path: flaws_in(text) for path, text in fingerprints.items() if flaws_in(text)}
    assert found == {"build/code/table": {"empty_zero"}}
    for starts in ENTRIES.values():
        loaded = {name for start in starts for name in closure(start, ROOT)}
        assert ("lassl.flaws" in loaded) == (starts == ("pipeline.table",))


def test_a_named_flaw_counts_for_the_stage_that_uses_it_and_for_no_other(tmp_path):
    params = copy.deepcopy(PARAMS)
    params["data"]["margins"] = "lassl.flaws.unseeded_margins:unseeded"
    params["train"]["schedule"] = "lassl.flaws.crossed_schedulers:crossed"
    params["cases"]["unlabeled"] = "lassl.flaws.overlap:overlap"
    params["snapshots"] = {"count": 2, "use": "lassl.flaws.test_selection:oracle"}
    params["evaluate"]["failures"] = "lassl.flaws.empty_zero:zero"
    params["methods"]["cps_alw"]["options"]["measure"] = "lassl.flaws.broken_dice:broken_dice"
    expected = {f"train/{name}": {"crossed_schedulers", "overlap"} for name in METHODS}
    expected["train/cps_alw"] |= {"broken_dice"}
    expected |= {"prepare": {"unseeded_margins"}, "evaluate": {"test_selection", "empty_zero"}}
    expected |= {"table": {"empty_zero"}}
    found = {path.removeprefix("build/code/"): flaws_in(text) for path, text in written(tmp_path, params).items()}
    assert {stage: flaws for stage, flaws in found.items() if flaws} == expected


def test_an_algorithm_counts_for_its_own_rows_alone(fingerprints):
    for name, method in METHODS.items():
        text = fingerprints[f"build/code/train/{name}"]
        files = {module.replace(".", "/") + ".py" for module in map(module_of, algorithms())}
        assert {file for file in files if file in text} == {module_of(method["algorithm"]).replace(".", "/") + ".py"}


def test_what_follows_training_does_not_count_for_it(fingerprints):
    for name in METHODS:
        text = fingerprints[f"build/code/train/{name}"]
        assert "lassl/training.py" in text and "lassl/vnet.py" in text
        for later in ("table", "metrics", "evaluation", "inference", "readme"):
            assert f"lassl/{later}.py" not in text


def test_what_comes_before_the_table_does_not_count_for_it(fingerprints):
    text = fingerprints["build/code/table"]
    assert "lassl/table.py" in text
    for earlier in ("vnet", "training", "evaluation", "inference", "phantom", "preprocess"):
        assert f"lassl/{earlier}.py" not in text


def test_the_training_code_does_not_count_for_the_evaluation(fingerprints):
    text = fingerprints["build/code/evaluate"]
    assert "lassl/evaluation.py" in text
    for other in ("training", "ramps", "losses", "methods/mean_teacher", "phantom", "table"):
        assert f"lassl/{other}.py" not in text


def test_every_stage_depends_on_its_code_and_that_file_is_written(fingerprints):
    wanted = {stage: f"build/code/{stage}" for stage in STAGES if stage not in ("ready", "code")}
    wanted["train"] = "build/code/train/${item.method}"
    for stage, path in wanted.items():
        assert path in STAGES[stage]["deps"], stage
    names = {path.replace("${item.method}", name) for path in wanted.values() for name in METHODS}
    assert set(fingerprints) == names


def test_every_stage_runs_the_module_of_its_name():
    for stage, content in STAGES.items():
        (name,) = re.findall(r"^python -m ([\w.]+)", content["cmd"])
        assert name == f"pipeline.{stage}"
        assert (ROOT / "pipeline" / f"{stage}.py").is_file()
