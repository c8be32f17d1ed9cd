"""The loop and the model file, on a cohort of eight tiny scans."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.trainings import settings, trained
from lassl.data.label_split import choose_cases
from lassl.data.patches import PatchSource
from lassl.data.prepared import open_prepared
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.publish import publish
from lassl.model.placement import make_deterministic, place
from lassl.model.trained import load_model
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config
from lassl.settings.sections import BatchSize, Patches
from lassl.training.loop import fit
from lassl.training.step import sgd
from lassl.training.train import cases_of, train

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder to write outputs to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("method", ["vnet_16", "cps_alw", "mt_un_lovasz"])
def test_the_same_run_twice_gives_the_same_weights_bit_for_bit(tiny_data, workspace, method):
    config = settings(tiny_data)
    first = trained(config, method).record.weights_sha256
    assert trained(config, method).record.weights_sha256 == first
    assert trained(config, method, seed=1).record.weights_sha256 != first
    assert trained(config, method, label_split=1).record.weights_sha256 != first


def test_training_learns_what_can_be_learned(tiny_data, workspace):
    config = settings(tiny_data, train={"steps": 60, "lr": 0.05}, network={"width": 4, "dropout": 0.0})
    run = config.run("vnet_16", 0, 0)
    train(config, run)
    evaluate(config, run)
    publish(run)
    assert json.loads(run.metrics.read_text())["dice"] > 70


def test_every_step_is_logged_under_its_name(tiny_data, workspace):
    config = settings(tiny_data)
    trained(config, "cps_alw")
    folder = config.run("cps_alw", 0, 0).curves
    names = {"supervised_first", "supervised_second", "cross_labeled", "cross_unlabeled", "loss", "dice", "weight"}
    names |= {"weight_unlabeled", "agreement", "learning_rate"}
    assert {path.stem for path in folder.glob("*.tsv")} == names
    frames = {name: pd.read_csv(folder / f"{name}.tsv", sep="\t")[name] for name in names}
    terms = sum(frames[n] for n in ("supervised_first", "supervised_second", "cross_labeled", "cross_unlabeled"))
    assert np.allclose(terms, frames["loss"], rtol=1e-5)
    assert frames["learning_rate"].tolist() == pytest.approx([0.1, 0.069454, 0.037270], rel=1e-3)


def test_a_profile_can_give_all_rows_one_schedule(tiny_data, workspace):
    config = settings(tiny_data, train={"steps": 4, "schedule": "constant"})
    for method in ("vnet_16", "cps"):
        trained(config, method)
        rates = pd.read_csv(config.run(method, 0, 0).curves / "learning_rate.tsv", sep="\t")["learning_rate"]
        assert rates.tolist() == 4 * [config.train.lr]


def test_a_loss_that_is_not_finite_stops_the_training_and_leaves_no_model(tiny_data, workspace):
    config = settings(tiny_data, train={"lr": 1e30, "steps": 10})
    with pytest.raises(LasslError, match=r"step \d+: the loss is not finite .*lower train.lr"):
        trained(config)
    assert not list(workspace.glob("models/**/*")) or not any(p.is_file() for p in workspace.glob("models/**/*"))


def test_too_few_cases_and_unknown_options_are_named(tiny_data, workspace):
    config = settings(tiny_data)
    values = config.model_dump()
    values["methods"]["vnet_16"]["labeled"] = 7
    with pytest.raises(LasslError, match="expected 7 labeled"):
        trained(Config.model_validate(values))
    values = config.model_dump()
    values["methods"]["cps"]["options"]["wieght"] = 1
    with pytest.raises(LasslError, match="wieght"):
        trained(Config.model_validate(values), "cps")
    values["methods"]["cps"]["algorithm"] = "cpss"
    with pytest.raises(LasslError, match=r"cpss.*cps"):
        trained(Config.model_validate(values), "cps")
    with pytest.raises(LasslError, match="methods has no 'vnet_17'"):
        trained(config, "vnet_17")


@pytest.mark.parametrize(("method", "rates"), [("vnet_16", [0.1]), ("mt_un", [0.1]), ("cps", [0.1, 0.01])])
def test_every_trained_network_but_the_first_has_a_learning_rate_of_its_own(tiny_data, prepared, method, rates):
    config = settings(tiny_data, train={"lr": 0.1, "schedule": f"{__name__}:a_tenth_for_the_second"})
    where = place(config.compute)
    label_split = cases_of(config, config.methods[method], prepared, 0)
    source = PatchSource(prepared, label_split, config.patches, config.methods[method].batch, 0)
    groups = fit(config, config.methods[method], source, where, 0).optimizer.param_groups
    assert [group["lr"] for group in groups] == pytest.approx(rates)


def a_tenth_for_the_second(done: int, steps: int, network: int) -> float:
    return 0.1**network


def test_the_groups_of_the_optimizer_hold_every_trainable_weight_once(make_network):
    class Pair(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.frozen = make_network(), make_network(), make_network().requires_grad_(False)
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.networks = {"a": self.a, "frozen": self.frozen, "b": self.b}

    pair = Pair()
    first, second = (group["params"] for group in sgd(pair, 0.1, 0.9, 0.0).param_groups)
    assert {id(p) for p in first} == {id(p) for p in (pair.scale, *pair.a.parameters())}
    assert [id(p) for p in second] == [id(p) for p in pair.b.parameters()]


def test_patches_whose_bf16_gradients_are_wrong_on_the_cpu_are_refused(tiny_data, workspace):
    with pytest.raises(LasslError, match=r"patches.size \[16, 16, 16\].*fp32"):
        trained(settings(tiny_data, compute={"precision": "bf16"}))


def test_bf16_gradients_are_right_at_the_sizes_that_the_profiles_use():
    for size in ((3, 3, 2), (4, 4, 3), (7, 7, 5)):  # the V-Net's bottom for patches of 48, 64 and 112
        image = torch.randn(2, 32, *size)
        kernel = (0.1 * torch.randn(32, 32, 3, 3, 3)).requires_grad_()
        (exact,) = torch.autograd.grad(torch.nn.functional.conv3d(image, kernel, padding=1).square().sum(), kernel)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = torch.nn.functional.conv3d(
                image.contiguous(memory_format=torch.channels_last_3d),
                kernel.contiguous(memory_format=torch.channels_last_3d),
                padding=1,
            )
        (found,) = torch.autograd.grad(output.float().square().sum(), kernel)
        assert (found - exact).norm() < 0.02 * exact.norm()


def test_a_damaged_model_is_named_with_its_remedy(workspace):
    path = Path("models/broken.pt")
    path.parent.mkdir()
    path.write_bytes(b"nothing")
    with pytest.raises(LasslError, match=r"broken.pt: not a readable model (?s:.*)delete it"):
        load_model(path)
    with pytest.raises(LasslError, match=r"absent.pt: not found"):
        load_model(Path("models/absent.pt"))


def test_the_deterministic_switch_is_for_cuda_and_sets_what_torch_asks_for(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        make_deterministic(True)
        assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        make_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.benchmark


def test_the_record_tells_time_memory_and_machine(tiny_data, workspace):
    training = trained(settings(tiny_data)).record.training
    assert training.seconds > 0 and training.resumed == 0
    assert 50 < training.peak_memory_mib < 20_000
    assert training.device.startswith("cpu: ") and training.torch == torch.__version__
    assert torch.backends.cpu.get_cpu_capability() in training.device  # a name alone spans several arithmetics
    assert (training.precision, training.precision_reason) == ("fp32", "asked for")


def test_fp16_scales_the_loss_and_learns_like_fp32(tiny_data):
    config = settings(tiny_data, train={"steps": 2}, network={"dropout": 0.0})
    opened = open_prepared(tiny_data.prepared)
    label_split = choose_cases(opened.split.train, opened.with_label, 3, 0, 0)
    source = PatchSource(opened, label_split, Patches(pool=1, size=(16, 16, 16)), BatchSize(labeled=2, unlabeled=0), 0)
    full = place(config.compute.model_copy(update={"precision": "fp32"}))
    weights = []
    for where in (full, replace(full, dtype=torch.float16)):
        algorithm = fit(config, config.methods["vnet_16"], source, where, 0).algorithm
        weights.append(torch.cat([p.detach().flatten() for p in algorithm.network.parameters()]))
    assert not torch.equal(*weights)
    torch.testing.assert_close(*weights, atol=2e-2, rtol=0)


def test_curves_for_tensorboard_are_those_of_the_run_and_change_no_weight(tiny_data, workspace):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plain = trained(settings(tiny_data), "cps").record.weights_sha256
    config = settings(tiny_data, running={"tensorboard": True})
    assert trained(config, "cps").record.weights_sha256 == plain
    run = config.run("cps", 0, 0)
    found = EventAccumulator(str(run.tensorboard)).Reload()
    assert set(found.Tags()["scalars"]) == {path.stem for path in run.curves.glob("*.tsv")}
    for name in found.Tags()["scalars"]:
        curve = pd.read_csv(run.curves / f"{name}.tsv", sep="\t")
        assert [event.step for event in found.Scalars(name)] == curve["step"].tolist()
        assert [event.value for event in found.Scalars(name)] == pytest.approx(curve[name].tolist(), rel=1e-5)


def test_curves_for_tensorboard_without_its_package_are_refused_before_the_first_step(
    tiny_data, workspace, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(LasslError, match=r"running\.tensorboard: the package tensorboard is not installed"):
        trained(settings(tiny_data, running={"tensorboard": True}))
    assert not list(workspace.glob("models/**/*.pt")) and not Path("build/tensorboard").exists()


def test_labels_with_more_classes_than_the_network_are_refused_before_the_first_step(tiny_data, tiny_data_of_three):
    config, opened = settings(tiny_data), open_prepared(tiny_data_of_three.prepared)
    method = config.methods["vnet_16"]
    source = PatchSource(opened, cases_of(config, method, opened, 0), config.patches, method.batch, 0)
    with pytest.raises(LasslError, match=r"^data.structures: found class 3 in the labels .*, expected 1 at most; "):
        fit(config, method, source, place(config.compute), 0)


def test_a_cohort_of_three_structures_trains_and_its_model_says_so(tiny_data_of_three, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = trained(settings(tiny_data_of_three), "mt_un")
    assert model.config.classes == 4
    assert [network.head[1].out_channels for network in model.networks.values()] == [4, 4]
