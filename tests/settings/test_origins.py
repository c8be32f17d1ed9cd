"""The file of conf/ that an error about params.yaml names."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.project import ROOT
from lassl.plumbing.errors import LasslError
from lassl.settings.compose import compose
from lassl.settings.config import load
from lassl.settings.origins import ABSENT, origin

FILES = {
    "config.yaml": "train:\n  lr: 0.01\n  steps: 6000\nmethods: {}\n",
    "profile/mine.yaml": "# @package _global_\nprofile: mine\ntrain:\n  steps: 12\n",
    "method/mine.yaml": "# @package methods.mine\ndefaults:\n  - own@_here_\n  - _self_\nlabeled: 0\n",
    "method/own.yaml": "labeled: ???\nunlabeled: ???\nweight_decay: 1e-4\noptimizer: {weight_decay: 1e-4}\n",
}
PARAMS = {"profile": "mine"}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A folder conf/ with a profile, a row and its algorithm."""
    for name, text in FILES.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "conf"


@pytest.mark.parametrize(
    "key, found, expected",
    [
        (("train", "lr"), 0.01, "config.yaml"),
        (("train", "lr"), -1, None),  # given with -S
        (("train", "steps"), 12, "profile/mine.yaml"),
        (("train", "steps"), 6000, "config.yaml"),
        (("train", "rate"), ABSENT, None),
        (("methods", "mine", "labeled"), 0, "method/mine.yaml"),
        (("methods", "mine", "labeled"), "???", "method/mine.yaml"),
        (("methods", "mine", "weight_decay"), 0.0001, "method/own.yaml"),
        (("methods", "mine", "weight_decay"), -1, None),
        (("methods", "mine", "optimizer"), {"weight_decay": 0.0001}, "method/own.yaml"),
        (("methods", "mine", "schedule"), ABSENT, "method/own.yaml"),
        (("methods", "mine"), {"labeled": 0}, "method/mine.yaml"),
        (("methods", "other", "schedule"), ABSENT, None),
        (("methods",), ABSENT, None),
    ],
)
def test_a_value_comes_from_the_file_that_says_so(conf, key: tuple[str, ...], found: Any, expected: str | None):
    assert origin(key, found, PARAMS, conf) == (expected and conf / expected)


def test_a_file_that_cannot_be_read_is_not_named(conf):
    (conf / "config.yaml").write_text("train: [")
    assert origin(("train", "lr"), 0.01, PARAMS, conf) is None
    assert origin(("train", "lr"), 0.01, None, conf) is None


def test_an_error_about_a_new_row_names_the_files_that_were_written_for_it(tmp_path, monkeypatch):
    """The algorithm lacks two keys and has a third that nothing reads; the row lacks its number of labeled cases."""
    root = Path.cwd()
    for name in ("config.yaml", "profile/tiny.yaml"):
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text((root / "conf" / name).read_text())
    monkeypatch.chdir(tmp_path)
    own = {"algorithm": "own", "labeled": "???", "batch": {"labeled": 2, "unlabeled": 2}, "options": {}}
    for name, text in {
        "method/own": yaml.safe_dump(own | {"optimizer": {"weight_decay": 1e-4}}),
        "method/mine": f"# @package methods.mine\n{yaml.safe_dump({'defaults': ['own@_here_', '_self_']})}",
    }.items():
        path = Path(f"conf/{name}.yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "unlabeled: 64\n" * (name == "method/mine"))
    compose(Path("params.yaml"), "profile=tiny", "method=mine")
    with pytest.raises(LasslError) as caught:
        load()
    ends = {line.split(": ")[1]: line.rsplit("; ")[-1] for line in str(caught.value).splitlines()}
    assert ends == {
        "methods.mine.labeled": "fix it in conf/method/mine.yaml",
        "methods.mine.weight_decay": "add it to conf/method/own.yaml",
        "methods.mine.schedule": "add it to conf/method/own.yaml",
        "methods.mine.optimizer": "fix it in conf/method/own.yaml",
    }


@pytest.mark.parametrize(("flaw", "row"), [("broken_dice", "cps_alw"), ("fewer_exposures", "vnet_16")])
def test_a_flaw_of_a_row_that_was_not_chosen_says_in_one_line_to_choose_it(tmp_path, monkeypatch, flaw, row):
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    compose(Path("params.yaml"), "method=cps", f"flaw={flaw}")
    with pytest.raises(LasslError) as caught:
        load()
    assert str(caught.value) == (
        f"params.yaml: methods.{row}: found only a part of its settings, because the row was not chosen; "
        f"choose it with method={row}, or leave out what sets this part"
    )
    compose(Path("params.yaml"), f"method={row}", f"flaw={flaw}")
    assert list(load().methods) == [row]
