"""The number format: what `auto` takes on which hardware, and what is told about it."""

import pytest
import torch

from helpers.trainings import predicting, settings
from lassl.data.prepared import open_prepared
from lassl.model.placement import make_deterministic, multiplies_bf16, place
from lassl.predict.task import placement_for
from lassl.settings.sections import Compute
from lassl.training.train import shaped_by


def compute(device: str = "cpu", format: str = "auto") -> Compute:
    return Compute.model_validate(
        {"device": device, "precision": format, "channels_last": True, "deterministic": False, "threads": 1}
    )


@pytest.fixture
def with_bf16(monkeypatch):
    monkeypatch.setattr("lassl.model.placement.multiplies_bf16", lambda: True)


@pytest.fixture
def without_bf16(monkeypatch):
    monkeypatch.setattr("lassl.model.placement.multiplies_bf16", lambda: False)
    monkeypatch.setattr("lassl.predict.task.multiplies_bf16", lambda: False)


def test_auto_is_bf16_on_a_processor_that_multiplies_it(with_bf16, capsys):
    where = place(compute(), (64, 64, 48))
    assert (where.name, where.slow) == ("bf16", "")
    assert where.reason.startswith("auto: the processor multiplies bf16")
    assert capsys.readouterr().err == ""


def test_auto_is_fp32_on_a_processor_that_does_not(without_bf16, capsys):
    where = place(compute(), (64, 64, 48))
    assert (where.name, where.reason) == ("fp32", "auto: the processor multiplies no bf16")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("voxels", [16, 32])
def test_auto_is_fp32_for_patches_whose_bf16_gradients_are_wrong(with_bf16, voxels):
    where = place(compute(), (voxels, 64, 64))
    assert where.name == "fp32" and f"{voxels} voxels along x" in where.reason
    where.check_patch((voxels, 64, 64), 4)


def test_bf16_that_is_asked_for_on_a_processor_without_it_goes_on_and_says_how_slow_it_will_be(without_bf16, capsys):
    where = place(compute(format="bf16"), (64, 64, 48))
    assert (where.name, where.reason) == ("bf16", "asked for")
    assert "46 times as long" in capsys.readouterr().err


@pytest.mark.parametrize(("capability", "name"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_on_a_gpu_is_bf16_from_compute_capability_8_and_fp16_below(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    try:
        where = place(compute(device="auto"), (16, 16, 16))
    finally:
        make_deterministic(False)
    assert (where.device.type, where.name) == ("cuda", name)
    assert ".".join(map(str, capability)) in where.reason


def test_what_torch_can_do_is_asked_too(monkeypatch):
    monkeypatch.setattr("lassl.plumbing.processor.bf16_units", lambda: [])
    multiplies_bf16.cache_clear()
    try:
        assert not multiplies_bf16()
    finally:
        multiplies_bf16.cache_clear()


def test_a_checkpoint_is_bound_to_the_format_that_was_taken(tiny_data, monkeypatch):
    config = settings(tiny_data, compute={"precision": "auto"})
    told = []
    for patch in ((16, 16, 16), (64, 64, 64)):
        monkeypatch.setattr("lassl.model.placement.multiplies_bf16", lambda: True)
        where = place(config.compute, patch)
        run, cohort = config.run("vnet_16", 0, 0), open_prepared(tiny_data.prepared).manifest_hash
        told.append(shaped_by(config, run, cohort, "code", where))
    assert {key for key in told[0] if told[0][key] != told[1][key]} == {"precision"}


def test_a_model_of_a_bf16_training_predicts_in_fp32_where_bf16_would_be_slow(without_bf16):
    model = predicting(precision="bf16")
    assert placement_for(model, "cpu").name == "fp32"
    assert placement_for(model, "cpu", "bf16").name == "bf16"


def test_the_threads_are_those_of_the_configuration_whatever_the_machine_has():
    for threads in (2, 1):
        place(compute().model_copy(update={"threads": threads}))
        assert torch.get_num_threads() == threads
