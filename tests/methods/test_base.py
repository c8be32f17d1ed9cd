"""What a class must be to serve as an algorithm, and how one that is not is told."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from lassl import methods
from lassl.learning import losses
from lassl.learning.base import Algorithm, Step
from lassl.plumbing.errors import LasslError

WRITTEN = "lassl.methods.mine"


@pytest.fixture
def mine(monkeypatch):
    """Put a module with this content in the place of lassl/methods/mine.py."""

    def mine(**content: object) -> None:
        module = ModuleType(WRITTEN)
        module.__dict__.update(content)
        for defined in (each for each in content.values() if isinstance(each, type) and issubclass(each, Algorithm)):
            monkeypatch.setattr(defined, "__module__", WRITTEN)
        monkeypatch.setitem(sys.modules, WRITTEN, module)
        monkeypatch.setattr(methods, "algorithms", lambda: ["mine"])

    return mine


class Mine(Algorithm):
    """The shortest there is."""

    def __init__(self, make_network, *, weight=1.0):
        super().__init__()
        self.network = make_network()
        self.weight = weight

    @property
    def networks(self):
        return {"network": self.network}

    def losses(self, batch, progress):
        logits = self.network(batch.labeled_image)
        return Step({"cross_entropy": self.weight * losses.cross_entropy(logits, batch.label)}, {})


def test_networks_and_losses_are_all_that_a_method_must_define(mine, make_network, batch, progress):
    mine(Mine=Mine)
    algorithm = methods.build("mine", make_network, {"weight": 2.0})
    assert algorithm.after_step(progress()) is None
    assert algorithm.losses(batch, progress()).terms["cross_entropy"] > 0
    assert all(name.startswith("network.") for name in algorithm.state_dict())


def test_a_method_that_lacks_a_part_is_told_which(mine, make_network):
    mine(Mine=type("Mine", (Algorithm,), {"losses": Mine.losses}))
    with pytest.raises(LasslError, match=r"^lassl/methods/mine.py: class Mine does not define networks; "):
        methods.build("mine", make_network, {})


TWO = {name: type(name, (Mine,), {}) for name in ("Mine", "Yours")}


@pytest.mark.parametrize(
    ("content", "found"),
    [({}, "none"), ({"Mine": nn.Module}, "none"), ({"Mine": lambda make_network: None}, "none"), (TWO, "Mine, Yours")],
)
def test_a_file_without_exactly_one_algorithm_is_told(mine, make_network, content, found):
    mine(**content)
    with pytest.raises(LasslError, match=rf"mine.py: expected one class that inherits from Algorithm, found {found}$"):
        methods.build("mine", make_network, {})


@pytest.mark.parametrize("patches", [2, 4])
def test_the_supervised_step_is_of_the_labeled_patches_alone(make_network, batch, patches):
    logits = make_network()(batch.image)
    step = Mine(make_network).supervised(logits[:patches], batch)
    taught = logits[:2]
    assert list(step.terms) == ["cross_entropy", "dice_loss"]
    expected = losses.cross_entropy(taught, batch.label) + losses.dice_loss(taught, batch.label)
    torch.testing.assert_close(sum(step.terms.values()), 0.5 * expected)
    assert step.logs == {"dice": losses.hard_dice(taught, batch.label)}


def test_an_option_that_a_method_does_not_have_is_told(mine, make_network):
    mine(Mine=Mine)
    with pytest.raises(LasslError, match=r"^params.yaml: options.wieght: unknown; expected weight$"):
        methods.build("mine", make_network, {"wieght": 1})
