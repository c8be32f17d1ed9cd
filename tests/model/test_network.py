"""The network that params.yaml names: the V-Net, or a class of somebody's own, and what is wrong with some classes."""

import pytest
import torch

from helpers import small_unet
from lassl.model.network import build_network, tried, with_weights
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Network

SHAPE = {"width": 2, "residual": True, "dropout": 0.1}
SIZE = (16, 16, 32)


def named(name: str, **options: object) -> Network:
    return Network.model_validate({**SHAPE, "name": name, "options": options})


def small(name: str = "SmallUNet", **options: object) -> Network:
    return named(f"helpers.small_unet:{name}", **options)


def refusal(config: Network) -> str:
    with pytest.raises(LasslError) as error:
        tried(config, SIZE)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("config", [Network.model_validate(SHAPE), named("vnet")])
def test_without_a_name_and_as_vnet_it_is_the_v_net_with_the_weights_of_the_seed(config):
    weights = []
    for make in (VNet, build_network):
        torch.manual_seed(3)
        weights.append([*make(config).state_dict().values(), torch.rand(1)])  # chance after it is moved alike
    assert type(build_network(config)) is VNet
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_the_v_net_is_written_as_before_and_a_class_with_its_name_and_options():
    assert named("vnet").model_dump() == SHAPE
    config = small(width=3)
    assert config.model_dump() == {"name": "helpers.small_unet:SmallUNet", "options": {"width": 3}, **SHAPE}
    assert Network.model_validate_json(config.model_dump_json()) == config


def test_options_are_the_keyword_arguments_of_the_class():
    network = build_network(small(width=3))
    assert type(network) is small_unet.SmallUNet and network.logits.in_channels == 3


def test_a_class_gets_the_number_of_classes_where_there_are_several_structures():
    network = tried(small().model_copy(update={"classes": 4}), SIZE)
    assert network.logits.out_channels == 4
    assert build_network(small()).logits.out_channels == 2
    without = named("helpers.small_unet:TwoOnly").model_copy(update={"classes": 4})
    assert "cannot be made with network.options {'classes': 4}" in refusal(without)


def test_a_network_that_does_what_it_has_to_is_taken_and_no_chance_is_moved():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert isinstance(tried(small(), SIZE), small_unet.SmallUNet)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "nowhere:Net",
            r"cannot find 'nowhere:Net' \(No module named 'nowhere'\); .*set PYTHONPATH to the folder that it is in$",
        ),
        ("helpers.small_unet:Huge", "cannot find .*no attribute 'Huge'"),
        ("math:hypot", "found <built-in function hypot>, expected a class that inherits from torch.nn.Module"),
        ("fractions:Fraction", "found <class 'fractions.Fraction'>, expected a class that inherits from torch.nn.Mod"),
    ],
)
def test_a_name_that_leads_to_no_network_is_refused_with_what_is_there(name, reason):
    with pytest.raises(LasslError, match=f"^network {name}: {reason}"):
        build_network(named(name))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("import torch\nhalf = 1 / 0\n", "ZeroDivisionError: division by zero, at broken.py:2"), ("def", "SyntaxError: ")],
)
def test_a_module_that_fails_is_told_with_its_line(tmp_path, monkeypatch, text, reason):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert reason in refusal(named("broken:Net"))


def test_options_that_the_class_does_not_take_are_told_with_those_that_it_does():
    message = refusal(small(depth=3))
    assert "unexpected keyword argument 'depth'" in message
    assert message.endswith("expected options of SmallUNet(width: int = 4, dropout: float = 0.1, classes: int = 2)")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("OneLogit", "gives (2, 1, 16, 16, 32) in training, expected logits (2, 2, 16, 16, 32): one for each of 2"),
        ("DeeplySupervised", "gives a list in training, expected logits (2, 2, 16, 16, 32)"),
        ("Thirds", "fails: RuntimeError: Sizes of tensors must match"),
    ],
)
def test_a_network_that_gives_something_else_is_told_what_and_what_is_expected(name, reason):
    message = refusal(small(name))
    assert message.startswith(
        f"network helpers.small_unet:{name}: on two patches of 16 x 16 x 32 voxels (patches.size) it"
    )
    assert reason in message
    assert name != "Thirds" or ", at small_unet.py:" in message


def test_weights_of_a_class_that_changed_are_refused():
    weights = build_network(small(width=3)).state_dict()
    assert with_weights(small(width=3), weights)
    with pytest.raises(
        LasslError, match=r"SmallUNet: the weights do not fit the class, which changed since .*train ag"
    ):
        with_weights(small(width=2), weights)
