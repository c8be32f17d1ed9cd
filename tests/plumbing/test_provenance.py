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

from helpers.project import ROOT, default_params
from lassl.methods import algorithms, module_of
from lassl.plumbing.provenance import (
    NO_NUMBERS,
    ROOMS_OF_NONE,
    code_hash,
    counts,
    fingerprint,
    named_modules,
    source,
    stripped,
)
from lassl.settings.config import Config
from pipeline import code

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = default_params()
METHODS = PARAMS["methods"]
LATER = {"ready": ("lassl.model.start",)}  # imported inside a function, for it brings torch
ENTRIES = {
    **{f"pipeline.train {name}": ("pipeline.train", module_of(name)) for name in algorithms()},
    **{f"pipeline.{s}": (f"pipeline.{s}", *LATER.get(s, ())) for s in sorted(STAGES.keys() - {"code", "train"})},
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


def hashed(*modules: str, root: Path = ROOT) -> set[str]:
    """The modules that enter the hashes of some, themselves included."""
    hashes = {}
    for module in modules:
        code_hash(module, root, hashes)
    return set(hashes)


def packages(names: set[str]) -> set[str]:
    return {name for name in names if source(name, ROOT).name == "__init__.py"}


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_the_modules_behind_a_stage_are_those_that_python_loads(loaded, entry):
    found, expected = hashed(*ENTRIES[entry]), {name for name in loaded[entry] if counts(name, ROOT)}
    assert found - packages(found) == expected - packages(expected)
    assert packages(found) <= packages(expected)  # the statements of others count for their modules, see below


def test_every_form_of_import_is_followed(tmp_path, module):
    module("pipeline/__init__.py")
    module("pipeline/go.py", "import os\nimport lassl.a\nfrom lassl import b\nfrom lassl.sub.c import thing\n")
    module("lassl/__init__.py")
    module("lassl/a.py", "import numpy\nfrom lassl import sub as under\n")
    module("lassl/b.py", "def later():\n    from lassl import d\n")
    module("lassl/sub/__init__.py", "import lassl.e")
    module("lassl/sub/c.py", "thing = 1")
    module("lassl/d.py")
    module("lassl/e.py")
    module("lassl/unused.py")
    names = "lassl.a lassl.b lassl.d lassl.e lassl.sub lassl.sub.c pipeline.go"
    assert sorted(hashed("pipeline.go", root=tmp_path)) == names.split()


def test_no_file_of_ours_imports_relatively_or_by_star_which_a_hash_would_miss():
    for path in [*ROOT.glob("lassl/**/*.py"), *ROOT.glob("pipeline/*.py")]:
        text = path.read_text("utf-8")
        assert not re.search(r"^\s*from \.", text, re.MULTILINE), path
        assert all(word != "*" for _, word, _ in stripped(text)[1]), path


PLAIN = 'def f(x):\n    return x + 1\n\n\nclass A:\n    rate = "slow"\n'


@pytest.fixture
def hash_of(tmp_path, module):
    """The hash of a module with a text, beside what else there is."""

    def hash_of(text: str, name: str = "lassl.a") -> str:
        module("lassl/__init__.py")
        module(name.replace(".", "/") + ".py", text)
        return code_hash(name, tmp_path)

    return hash_of


def test_comments_docstrings_layout_and_what_is_for_type_checkers_do_not_count(hash_of):
    dressed = (
        '"""A module."""\n# why\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lassl.b import B\n'
        'def f(x):\n    """Add one."""\n\n    return (x\n        + 1)  # one\n'
        "class A:\n    '''A class.'''\n    rate = 'slow'\n"
    )
    assert hash_of(dressed) == hash_of("from typing import TYPE_CHECKING\n" + PLAIN)


MESSAGES = """def f(x, path):
    if not x:
        raise LasslError(f"{path}: found nothing; mend it")
    if x > 2:
        note("too large")
    for item in bar(x, "train", "step", total=3):
        problems.append(f"{item}: is not one of {x}")
    return "the voxels are wrong"
"""
RENAMED = {
    "found nothing": "empty",
    "mend it": "fix it",
    "too large": "large",
    "train": "learn",
    "step": "steps",
    ": is not one of": ": none of these",
    "the voxels are": "all of it is",
}


@pytest.mark.parametrize("words", RENAMED)
def test_messages_count_only_where_text_is_the_result(module, tmp_path, hash_of, words):
    before = hash_of(MESSAGES), code_hash("lassl.a", tmp_path, prose=True)
    text = MESSAGES.replace(words, RENAMED[words])
    assert text != MESSAGES
    assert hash_of(text) == before[0] and code_hash("lassl.a", tmp_path, prose=True) != before[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stream(seed, 'labeled patch')", "stream(seed, 'other patch')"),  # two words: a name, as of a random stream
        ("columns = 'case dice jaccard'.split()", "columns = 'case jaccard dice'.split()"),
        ("if not x:\n    raise E('a')", "if x:\n    raise E('a')"),
        ("raise A('a')", "raise B('a')"),
        ("raise A(1)", "raise A(2)"),
        ("f'{a} {b} {c}'", "f'{a} {c} {b}'"),
        ("note(f(1))", "note(f(2))"),
    ],
)
def test_what_a_file_does_counts_beside_its_messages(hash_of, old, new):
    assert hash_of(old) != hash_of(new)


def test_the_texts_of_table_and_page_count_and_those_of_other_stages_do_not():
    assert set(code.TEXTS) == {"table", "report"} and set(code.TEXTS) < set(STAGES)


@pytest.mark.parametrize(("old", "new"), [("1", "2"), ("slow", "fast"), ("x + 1", "1 + x"), ("rate", "speed")])
def test_what_a_file_does_counts(hash_of, old, new):
    assert hash_of(PLAIN.replace(old, new)) != hash_of(PLAIN)


def test_a_function_with_only_a_docstring_has_a_hash(hash_of):
    assert hash_of('def f():\n    """Nothing."""\n') == hash_of("def f():\n    pass\n")


def test_a_module_may_be_moved_and_renamed_and_its_imports_sorted_anew(tmp_path, module, hash_of):
    module("lassl/beneath.py", PLAIN)
    module("lassl/other.py", "y = 2\n")
    before = hash_of("import os\nfrom lassl import other\nfrom lassl.beneath import A, f\n\nprint(f(1), A, other.y)\n")
    module("lassl/deep/__init__.py", '"""A room."""\n')
    module("lassl/deep/down.py", PLAIN)
    module("lassl/room/__init__.py")
    module("lassl/room/other.py", "y = 2\n")
    text = "import os\nfrom lassl.deep.down import A, f\nfrom lassl.room import other\n\nprint(f(1), A, other.y)\n"
    assert hash_of(text, "pipeline.go") == hash_of(text, "lassl.room.named") == before


def test_what_is_imported_counts_however_deep_and_by_which_name(tmp_path, module, hash_of):
    text = "from lassl.beneath import A\n\nprint(A)\n"
    module("lassl/beneath.py", "from lassl.under import B as A\n")
    module("lassl/under.py", "B = 1\nC = 2\n")
    before = hash_of(text)
    module("lassl/beneath.py", "from lassl.under import C as A\n")
    other = hash_of(text)
    module("lassl/under.py", "B = 3\nC = 2\n")
    assert len({before, other, hash_of(text)}) == 3


def test_a_definition_that_leaves_for_another_module_counts(module, hash_of):
    module("lassl/beneath.py", "def f(x):\n    return x + 1\n")
    assert hash_of("from lassl.beneath import f\n\nprint(f(1))\n") != hash_of(
        "def f(x):\n    return x + 1\n\nprint(f(1))\n"
    )


def test_the_statements_of_a_package_count_for_its_modules(module, hash_of):
    module("lassl/room/b.py", "x = 1\n")
    hashes = set()
    for text in ("", '"""A room."""\n', "y = 1\n", "y = 2\n"):
        module("lassl/room/__init__.py", text)
        hashes.add(hash_of("from lassl.room.b import x\n\nprint(x)\n"))
    assert len(hashes) == 3


def test_a_package_may_import_its_own_modules(module, hash_of):
    module("lassl/room/__init__.py", "def find():\n    from lassl.room import b\n")
    module("lassl/room/b.py", "x = 1\n")
    before = hash_of("from lassl.room.b import x\n\nprint(x)\n"), hash_of("from lassl.room import find\n\nfind()\n")
    module("lassl/room/b.py", "x = 2\n")
    after = hash_of("from lassl.room.b import x\n\nprint(x)\n"), hash_of("from lassl.room import find\n\nfind()\n")
    assert before[0] != after[0] and before[1] != after[1]


def test_a_circle_of_imports_has_no_hash(module, hash_of):
    module("lassl/b.py", "from lassl import a\n")
    with pytest.raises(ValueError, match="imports itself"):
        hash_of("from lassl import b\n")


def test_a_fingerprint_is_one_hash_of_all_modules_in_whichever_order(tmp_path, module):
    module("pipeline/__init__.py")
    module("pipeline/go.py", "from lassl import b\n")
    module("lassl/__init__.py")
    module("lassl/b.py", "x = 1\n")
    module("lassl/c.py", "x = 3\n")
    before = fingerprint("pipeline.go", "lassl.c", root=tmp_path)
    assert re.fullmatch("[0-9a-f]{64}\n", before) and before == fingerprint("lassl.c", "pipeline.go", root=tmp_path)
    module("lassl/b.py", "x = 2\n")
    assert fingerprint("pipeline.go", "lassl.c", root=tmp_path) != before


@pytest.mark.parametrize("name", ["settings.config", "settings", "paths", "plumbing.files", "plumbing"])
def test_plumbing_the_reader_of_settings_and_names_of_files_do_not_count(module, hash_of, name):
    hashes = set()
    for content in ("x = 1\n", "x = 2\n"):
        module(f"lassl/{name.replace('.', '/')}{'/__init__' * (name == 'plumbing')}.py", content)
        hashes.add(hash_of(f"from lassl.{name} import x\n\nprint(x)\n"))
    assert len(hashes) == 1


def test_a_module_counts_that_is_called_like_one_that_does_not(module, hash_of):
    hashes = set()
    for content in ("x = 1\n", "x = 2\n"):
        module("lassl/data/__init__.py")
        module("lassl/data/config.py", content)
        hashes.add(hash_of("from lassl.data.config import x\n\nprint(x)\n"))
    assert len(hashes) == 2


def test_what_does_not_count_is_the_outermost_packages_and_files_beside_the_rooms():
    assert (set(NO_NUMBERS), set(ROOMS_OF_NONE)) == (
        {"lassl", "pipeline", "lassl.paths"},
        {"lassl.plumbing", "lassl.settings"},
    )
    assert all(source(name, ROOT) is not None and not counts(name, ROOT) for name in NO_NUMBERS)
    assert counts("lassl.seeds", ROOT)


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


def files_behind(params: dict = PARAMS) -> dict[str, set[str]]:
    """The files that count for each stage and row, for the contents of params.yaml."""
    stages = code.behind(Config.model_validate(params))
    return {
        stage: {source(name, ROOT).relative_to(ROOT).as_posix() for name in hashed(*modules)}
        for stage, modules in stages.items()
    }


def flaws_in(files: set[str]) -> set[str]:
    return {Path(file).stem for file in files if file.startswith("lassl/flaws/")} - {"__init__"}


def test_no_flaw_counts_where_none_is_named():
    found = {stage: flaws_in(files) for stage, files in files_behind().items() if flaws_in(files)}
    assert found == {}


def test_a_named_flaw_counts_for_the_stage_that_uses_it_and_for_no_other(tmp_path, fingerprints):
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
    found = {stage: flaws_in(files) for stage, files in files_behind(params).items()}
    assert {stage: flaws for stage, flaws in found.items() if flaws} == expected
    flawed = written(tmp_path, params)
    changed = {path.removeprefix("build/code/") for path in flawed if flawed[path] != fingerprints[path]}
    assert changed == expected.keys()


def test_an_algorithm_counts_for_its_own_rows_alone():
    for name, method in METHODS.items():
        files = files_behind()[f"train/{name}"]
        own = {module.replace(".", "/") + ".py" for module in map(module_of, algorithms())}
        assert own & files == {module_of(method["algorithm"]).replace(".", "/") + ".py"}


def rooms_of(files: set[str]) -> set[str]:
    """The rooms that have some of the files."""
    return {Path(file).parts[1] for file in files if len(Path(file).parts) > 2}


def without(files: set[str], *names: str) -> bool:
    """Whether none of the files is one of these, or is in one of these rooms, each of which must exist."""
    unknown = [name for name in names if not (ROOT / "lassl" / name).exists()]
    assert not unknown, f"lassl/ has no {unknown}: name what took its place"
    found = rooms_of(files) | {Path(file).relative_to("lassl").as_posix() for file in files if file.startswith("lassl")}
    return not found & set(names)


def test_a_room_or_file_that_does_not_exist_is_not_taken_for_one_that_does_not_count():
    assert without({"lassl/results/table.py"}, "training", "data/phantom.py")
    assert not without({"lassl/results/table.py"}, "results") and not without({"lassl/a.py", "lassl/data/b.py"}, "data")
    with pytest.raises(AssertionError, match=r"no \['vnet.py'\]"):
        without({"lassl/results/table.py"}, "vnet.py")


def test_what_follows_training_does_not_count_for_it():
    for name in METHODS:
        files = files_behind()[f"train/{name}"]
        assert {"lassl/training/train.py", "lassl/model/vnet.py"} <= files
        assert without(files, "evaluation", "results", "report", "pages", "predict", "cli", "data/phantom.py")


def test_what_comes_before_the_table_does_not_count_for_it():
    files = files_behind()["table"]
    assert "lassl/results/table.py" in files
    assert without(files, "training", "learning", "methods", "predict", "report", "pages", "cli", "images")
    assert without(files, "model/vnet.py", "evaluation/inference.py", "evaluation/evaluate.py", "data/prepare.py")


def test_the_training_code_does_not_count_for_the_evaluation():
    files = files_behind()["evaluate"]
    assert "lassl/evaluation/evaluate.py" in files
    assert without(files, "training", "methods", "learning/losses.py", "learning/ramps.py", "learning/teacher.py")
    assert without(files, "results", "report", "pages", "predict", "cli", "data/phantom.py")


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
