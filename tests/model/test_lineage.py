"""Checkpoints of the field's V-Net under each of its namings: what is taken from them, and what is refused."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from helpers.lineage import network
from lassl.plumbing.errors import LasslError
from lassl.predict.imported_model import read_checkpoint

NAMINGS = ("uamt", "mcnet", "bcp", "dtc")
ADVICE = "use the file as published by its authors"


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(content, name="net.pth", **options):
    """Save a file and read it as a checkpoint."""
    torch.save(content, name, **options)
    return read_checkpoint(Path(name), "net", "A net")


def refused(content, name="net.pth") -> list[str]:
    """The lines with which a file is refused."""
    with pytest.raises(LasslError) as error:
        read(content, name)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{name}: ") and line.endswith(ADVICE) for line in lines)
    return lines


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("naming", NAMINGS)
def test_an_adopted_network_gives_the_logits_of_the_one_that_was_saved(naming, width):
    state, theirs = network(naming, width)
    ours = read(state).network.eval()
    image = torch.randn(2, 1, 32, 16, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = theirs(image), ours(image)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("naming", ["uamt", "mcnet", "bcp"])
def test_a_head_of_several_structures_passes_as_it_is(naming):
    state, theirs = network(naming)
    (weight,) = (name for name in state if name.endswith("out_conv.weight") and "decoder2" not in name)
    bias = weight.replace("weight", "bias")
    more = {weight: torch.cat([state[weight], 0.1 * state[weight]]), bias: torch.cat([state[bias], 0.1 * state[bias]])}
    model = read(state | more)
    assert model.config.classes == 4
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        found, two = model.network.eval()(image), theirs(image)
    torch.testing.assert_close(found, torch.cat([two, 0.1 * two], 1), rtol=1e-4, atol=1e-4)


def test_the_published_width_has_its_number_of_parameters():
    model = read(network("uamt", 16)[0])
    assert (model.config.width, model.config.residual) == (16, False)
    assert sum(p.numel() for p in model.network.parameters()) == 9_448_866


@pytest.mark.parametrize(
    ("naming", "starts"),
    [
        ("uamt", set()),
        ("mcnet", {"decoder2"}),
        ("bcp", {"projection_head", "prediction_head", *(f"contrastive_class_selector_{n}" for n in ("0", "memory1"))}),
        ("dtc", {"out_conv"}),
    ],
)  # fmt: skip
def test_what_serves_training_alone_is_left_aside_and_named(naming, starts):
    record = read(network(naming)[0]).record
    assert {name.split(".")[0] for name in record.left_aside} == starts


def wrapped(state):
    """The ways in which files hold a state dictionary."""
    parallel = {f"module.{name}": value for name, value in state.items()}
    yield state
    yield parallel
    for key in ("net", "state_dict", "model"):
        yield {key: parallel, "opt": {"state": {}, "param_groups": [{"lr": 0.01}]}, "epoch": 3}


def test_a_dictionary_may_be_wrapped_or_come_from_several_gpus():
    state, _ = network("uamt")
    expected = read(state).network.state_dict()
    for content in wrapped(state):
        model = read(content)
        assert all(torch.equal(value, expected[name]) for name, value in model.network.state_dict().items())
        assert model.record.left_aside == (("opt", "epoch") if "opt" in content else ())


def test_files_of_old_pytorch_and_in_half_precision_are_read():
    state, theirs = network("uamt")
    counted = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    model = read(counted, _use_new_zipfile_serialization=False)
    image = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(model.network.eval()(image), theirs(image), rtol=1e-4, atol=1e-4)
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    assert {p.dtype for p in read(halves).network.parameters()} == {torch.float32}


def test_the_record_says_where_the_weights_come_from():
    record = read(network("uamt")[0], "iter_6000.pth").record
    assert (record.trained, record.name, record.title) == ("elsewhere", "net", "A net")
    assert record.checkpoint == "iter_6000.pth"
    assert record.checkpoint_sha256 == os.popen("sha256sum iter_6000.pth").read().split()[0]


def changed(change):
    """A checkpoint of UA-MT's naming after a change."""
    state = dict(network("uamt")[0])
    change(state)
    return state


def test_a_missing_and_a_renamed_tensor_are_told_by_name():
    def rename(state):
        state["block_two.convolution.3.weight"] = state.pop("block_two.conv.3.weight")

    missing, unknown = refused(changed(rename))
    # 21 convolutions, 8 steps down or up, each with batch norm: 2 + 5 tensors; weight and bias of the head
    assert "1 of 205 tensors of the V-Net are missing: block_two.conv.3.weight;" in missing
    assert "1 names do not belong to the V-Net: block_two.convolution.3.weight;" in unknown


def test_a_transposed_tensor_is_told_with_what_was_found_and_expected():
    def transpose(state):
        state["block_three_dw.conv.0.weight"] = state["block_three_dw.conv.0.weight"].transpose(0, 1)

    (line,) = refused(changed(transpose))
    assert "block_three_dw.conv.0.weight: found (8, 16, 2, 2, 2), expected (16, 8, 2, 2, 2);" in line


def test_of_many_wrong_tensors_some_are_named_and_the_others_counted():
    def widen(state):
        for name in [name for name in state if name.endswith(".bias")]:
            state[name] = torch.zeros(99)

    lines = refused(changed(widen))
    assert len(lines) == 6 and "block_one.conv.0.bias: found (99,), expected (2,)" in lines[0]  # 59 biases
    assert "net.pth: 54 more tensors are wrong in the same ways" in lines[-1]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.full((2,), float("nan")), "found torch.float32 or values that are not finite, expected finite numbers"),
        (torch.ones(2, dtype=torch.int32), "found torch.int32 or values that are not finite"),
        ("text", "found str, expected a tensor"),
    ],
)
def test_numbers_that_are_none_are_told(value, told):
    (line,) = refused(changed(lambda state: state.update({"block_nine.conv.0.bias": value})))
    assert f"block_nine.conv.0.bias: {told}" in line


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "found nothing, expected the V-Net of UA-MT"),
        ({"layer1.0.weight": torch.ones(1), "fc.bias": torch.ones(1)}, "found layer1.0.weight, fc.bias, expected the"),
        (network("uamt")[1].down.state_dict(), "tensors of the V-Net are missing: block_five_up.conv.0.weight"),
        ([1, 2], "found one list, expected a state dictionary"),
        (torch.ones(3), "found one Tensor, expected a state dictionary"),
    ],
)
def test_something_else_is_refused(content, told):
    assert told in refused(content)[0]


def test_another_decoder_than_one_of_transposed_convolutions_is_refused():
    state, _ = network("mcnet")
    names = {name.replace("decoder2.", "decoder."): value for name, value in state.items() if "decoder1" not in name}
    lines = refused(names)
    assert "decoder.block_five_up.conv.0.weight" in lines[0] and "decoder.block_five_up.conv.2.weight" in lines[1]


class Trap:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_reading_runs_nothing():
    (line,) = refused({"net": network("uamt")[0], "extra": Trap()}, "trap.pth")
    assert "mkdir, which is neither tensor nor plain value and was not run" in line
    Path("pickle.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(LasslError, match=r"pickle\.pth: not a readable model \(.*expected a state dictionary"):
        read_checkpoint(Path("pickle.pth"), "net", "A net")
    assert not Path("trapped").exists()


def test_a_whole_network_instead_of_its_weights_is_refused():
    (line,) = refused(network("uamt")[1])
    assert "Logits, which is neither tensor nor plain value and was not run" in line


def test_a_damaged_an_empty_and_an_absent_file_are_refused():
    torch.save(network("uamt")[0], "whole.pth")
    whole = Path("whole.pth").read_bytes()
    Path("cut.pth").write_bytes(whole[: len(whole) // 2])
    Path("page.pth").write_text("<!DOCTYPE html><title>Sign in</title>")
    Path("empty.pth").touch()
    for name in ("cut.pth", "page.pth", "empty.pth", "none.pth"):
        with pytest.raises(LasslError, match=rf"{name}: not a readable model \(.*\); expected .*{ADVICE}") as error:
            read_checkpoint(Path(name), "net", "A net")
        assert "\n" not in str(error.value)
