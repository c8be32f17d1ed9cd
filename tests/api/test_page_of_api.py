"""docs/api.md: a section for each function, and examples that run."""

import re

import torch

import lassl
from helpers.project import ROOT
from lassl.evaluation.scores import Scores

PAGE = (ROOT / "docs/api.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"^## lassl\.(\w+)\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))


def test_every_function_has_a_section_that_begins_with_an_example():
    assert list(EXAMPLES) == ["load", "score", "fit", "VNet", "losses"]
    for name, code in EXAMPLES.items():
        compile(code, name, "exec")


def test_the_class_of_the_example_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"lassl": lassl}
    exec(EXAMPLES["fit"].split("fitted = ")[0], names)
    found = lassl.fit(names["Mine"], steps=2, labeled=2, unlabeled=2, weight=0.2)
    assert found.curves["certainty"].between(0, 0.2).all()


def test_the_examples_of_network_and_losses_run():
    names = {"lassl": lassl, "torch": torch}
    exec(EXAMPLES["losses"], names)
    assert names["logits"].grad.abs().sum() > 0
    exec(EXAMPLES["VNet"].replace("width=16", "width=1").replace("112, 112, 80", "32, 16, 16"), names)
    assert names["logits"].shape == (1, 2, 32, 16, 16)


def test_every_loss_and_every_score_is_in_a_table():
    public = {name for name, each in vars(lassl.losses).items() if callable(each) and not name.startswith("_")}
    losses = {name for name in public if getattr(lassl.losses, name).__module__ == lassl.losses.__name__}
    assert losses == set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
    assert all(f"`{name}`" in PAGE for name in Scores.__dataclass_fields__)
