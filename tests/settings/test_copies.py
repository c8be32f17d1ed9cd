"""An edit of params.yaml that nothing would read is refused."""

import pytest

from helpers.project import PARAMS_FILE, ROOT
from helpers.project import composed as file_composed
from lassl.settings.config import Config, load
from lassl.settings.copies import edited

pytestmark = pytest.mark.slow


@pytest.fixture
def composed(tmp_path, monkeypatch):
    """Compose conf/ with overrides, in a folder that has conf/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    return lambda *overrides: load(file_composed(*overrides))


def changed(config: Config, **sections: dict) -> Config:
    values = config.model_dump()
    for name, change in sections.items():
        values[name] |= change
    return Config.model_validate(values)


def test_an_edited_weight_that_no_method_would_see_is_refused_with_what_to_type(composed):
    (line,) = edited(changed(composed("method=bcp"), weights={"bcp": 0.7}))
    assert line == (
        "params.yaml: weights.bcp is 0.7, but only methods.bcp.options.weight counts, which is 0.5; "
        "set both with `dvc exp run -S weights.bcp=0.7`, or edit that of the method"
    )


def test_so_is_an_edited_count_of_cases_once_for_all_methods(composed):
    config = composed()
    few = {"few": {"labeled": 12, "unlabeled": 64}}
    (line,) = edited(changed(config, labels=few))
    assert line.startswith("params.yaml: labels.few.labeled is 12, but only methods.")


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("profile=repeats", "method=field"),
        ("profile=compact", "mode=tuning", "method=field"),
        ("profile=compact", "method=cps", "weights.cps=0.77", "labels.few.labeled=7"),
        ("profile=compact", "method=[core,field]", "methods.cps.options.weight=0.3", "methods.mt.labeled=5"),
        ("flaw=fewer_exposures",),
    ],
)
def test_what_was_composed_passes_with_a_row_whose_option_was_overridden(composed, overrides):
    assert edited(composed(*overrides)) == []


def test_an_edit_of_what_counts_passes(composed):
    config = composed("method=bcp")
    methods = config.model_dump()["methods"]
    methods["bcp"]["options"]["weight"] = 0.7
    assert edited(changed(config, methods=methods)) == []


def test_a_method_without_a_file_in_conf_passes(composed):
    config = load(PARAMS_FILE)
    methods = config.model_dump()["methods"]
    assert edited(changed(config, methods={"mine": methods["cps"]})) == []
