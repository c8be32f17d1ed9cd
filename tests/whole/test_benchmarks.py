"""The plain way that we are timed against computes the same numbers as ours."""

import copy
import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import busy, gpu, kernels, pairs, plain, profiler, roofline, speed, together
from helpers.project import ROOT
from lassl.evaluation import metrics
from lassl.evaluation.inference import Windows, sliding_window
from lassl.learning import losses, ramps
from lassl.learning.base import Progress
from lassl.methods import mean_teacher
from lassl.model.placement import Placement, place
from lassl.settings.config import Config
from lassl.training.loop import first_state

pytestmark = pytest.mark.slow

SIZE = (32, 16, 48)


@pytest.fixture
def config(monkeypatch) -> Config:
    """The tiny profile without dropout, with patches of three sizes, in the layout that the plain side has."""
    monkeypatch.chdir(ROOT)
    values = pairs.composed("tiny").model_dump()
    values["network"] |= {"width": 3, "dropout": 0.0}
    values["patches"]["size"] = SIZE
    values["compute"]["channels_last"] = False  # another order of summing tips some ReLUs, and gradients with them
    return Config.model_validate(values)


class Ours:
    """A training state of ours at its beginning, a batch for it, and how far it is."""

    def __init__(self, config, name):
        self.config, self.method = config, config.methods[name]
        self.where = place(config.compute)
        self.state = first_state(config, self.method, self.where, 0)
        self.batch = pairs.random_batch(SIZE, self.method.batch)
        self.progress = Progress(step=5, steps=8, epoch=0, seed=0)
        with torch.no_grad():
            for network in self.networks.values():
                network.head[1].weight *= 8  # some voxels certain, some not

    @property
    def networks(self):
        return self.state.algorithm.networks

    @property
    def weight(self):
        return self.method.options["weight"] * ramps.sigmoid_ramp(5 / 8)  # 25 of 40 stairs

    def plain_twins(self):
        """The networks as the plain side has them, and an optimizer for each."""
        twins = [copy.deepcopy(n).to(memory_format=torch.contiguous_format) for n in self.networks.values()]
        settings = {"lr": self.config.train.lr, "momentum": 0.9, "weight_decay": self.method.weight_decay}
        return twins, [torch.optim.SGD(twin.parameters(), **settings) for twin in twins]

    def step(self):
        rates = [self.config.train.lr] * len(self.state.optimizer.param_groups)
        self.state.advance(self.batch, self.progress, rates, self.where)
        return self.state.curves[-1]


def assert_same_weights(network, twin, before):
    pairs = zip(network.parameters(), twin.parameters(), before.parameters(), strict=True)
    for ours, theirs, old in pairs:
        assert not torch.equal(ours, old)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_plain_losses_equal_ours():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 2, 6, 5, 4, generator=generator)
    label = torch.randint(2, (2, 6, 5, 4), generator=generator)
    torch.testing.assert_close(plain.dice_loss(logits, label), losses.dice_loss(logits, label))
    torch.testing.assert_close(F.cross_entropy(logits, label), losses.cross_entropy(logits, label))


def test_a_plain_supervised_step_equals_ours(config):
    ours = Ours(config, "vnet_16")
    (twin,), (optimizer,) = ours.plain_twins()
    before = copy.deepcopy(twin)
    loss = plain.supervised_step(twin, optimizer, ours.batch.image, ours.batch.label.long())
    assert ours.step()["loss"] == pytest.approx(loss, rel=1e-5)
    assert_same_weights(ours.networks["network"], twin, before)


def test_a_plain_step_of_cps_equals_ours(config):
    ours = Ours(config, "cps")
    twins, optimizers = ours.plain_twins()
    before = copy.deepcopy(twins)
    loss = plain.cps_step(*twins, optimizers, ours.batch.image, ours.batch.label.long(), ours.weight)
    assert ours.step()["loss"] == pytest.approx(loss, rel=1e-5)
    for network, twin, old in zip(ours.networks.values(), twins, before, strict=True):
        assert_same_weights(network, twin, old)


def test_a_plain_step_of_mean_teacher_equals_ours_where_there_is_no_noise(config, monkeypatch):
    monkeypatch.setattr(mean_teacher, "NOISE", 0.0)
    monkeypatch.setattr(plain, "NOISE", 0.0)
    ours = Ours(config, "mt_un")
    (student, teacher), (optimizer, _) = ours.plain_twins()
    with torch.no_grad():  # a teacher that differs from its student, or there is nothing to follow
        for network in (teacher, ours.networks["teacher"]):
            network.head[1].weight *= -2
    before = copy.deepcopy([student, teacher])
    threshold = ramps.uncertainty_threshold(5 / 8)
    supervised, consistency = plain.mean_teacher_step(
        student, teacher, optimizer, ours.batch.image, ours.batch.label.long(), ours.weight, threshold, step=5
    )
    values = ours.step()
    assert 0.02 < values["mask_share"] < 0.98
    assert values["cross_entropy"] + values["dice_loss"] == pytest.approx(supervised, rel=1e-5)
    assert values["consistency"] == pytest.approx(consistency, rel=1e-4)  # one voxel more in the mask: 2e-5
    assert_same_weights(ours.networks["student"], student, before[0])
    assert_same_weights(ours.networks["teacher"], teacher, before[1])


def test_each_plain_pass_sees_fresh_clipped_noise():
    image = torch.full((40, 30, 20), 3.0)
    torch.manual_seed(0)
    first, second = plain.noisy(image) - 3, plain.noisy(image) - 3
    assert not torch.equal(first, second)
    assert first.abs().max() <= 0.2 + 1e-6
    assert first.std().item() == pytest.approx(0.0942, abs=0.002)  # 0.1, less by the clipping at two deviations: 0.88


@pytest.mark.parametrize("size", [(23, 19, 41), (40, 14, 17)])
def test_the_plain_sliding_window_gives_our_mask(config, size):
    network = next(iter(Ours(config, "vnet_16").networks.values())).eval()
    image = torch.randn(size, generator=torch.Generator().manual_seed(0))
    window, stride = (16, 16, 32), (7, 5, 11)
    mask = plain.sliding_window(network, image.numpy(), window, stride)
    where = Placement(torch.device("cpu"), torch.float32, False)
    (probability,) = sliding_window(network, image, Windows(1, window, stride, 3), where)
    assert mask.shape == size
    assert 0.02 < mask.mean() < 0.98
    clear = ((probability - 0.5).abs() > 1e-5).numpy()  # closer to one half, the order of summing decides
    assert clear.mean() > 0.999
    assert np.array_equal(mask[clear], probability.numpy()[clear] > 0.5)


def test_plain_scores_equal_ours():
    reference = np.zeros((24, 19, 15), bool)
    reference[6:15, 5:12, 3:11] = True
    prediction = pairs.distorted(reference)
    ours = metrics.score(prediction, reference, (1.0, 1.0, 1.0))
    found = (ours.dice_percent, ours.jaccard_percent, ours.asd_voxel, ours.hd95_voxel)
    assert plain.score(prediction, reference) == pytest.approx(found, rel=1e-6)
    assert 30 < ours.dice_percent < 90


@pytest.mark.parametrize("size", [(6, 6, 3), (6, 6, 6)])
def test_a_plain_patch_is_cut_and_turned_like_its_label(tmp_path, size):
    volume = 1 + np.arange(8 * 7 * 5, dtype=np.float32).reshape(8, 7, 5)
    with h5py.File(tmp_path / "case.h5", "w") as file:
        file["image"], file["label"] = volume, (volume % 2).astype(np.uint8)
    rng, seen = np.random.default_rng(0), set()
    for _ in range(20):
        image, label = plain.load_patch(tmp_path / "case.h5", size, rng)
        assert image.shape == (1, *size) and image.dtype == torch.float32
        assert torch.equal((image[0] % 2).long(), label)
        assert len(image[image > 0].unique()) == 6 * 6 * min(size[2], 5)
        seen.add(image.numpy().tobytes())
    assert len(seen) > 10


def test_the_benchmark_prints_a_line_for_each_row(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    speed.main(["--tiny", "--rows", *speed.PAIRS])
    lines = capsys.readouterr().out.splitlines()
    table = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in lines if " | tiny | " in line}
    networks = {"supervised step", "CPS step", "MT+UN step", "inference of a case"}
    assert set(table) == networks | {"scoring of a case", "loading of a batch"}
    for what, (_, _, slow, fast, ratio, *_rest) in table.items():
        assert float(slow) / float(fast) == pytest.approx(float(ratio), rel=0.02), what
    assert any(line.startswith("Loading a batch takes") for line in lines)


def test_the_work_of_a_step_is_counted_in_full_and_is_the_same_on_both_sides(config):
    for row in pairs.STEPS:
        assert count(pairs.plain_step(row, config)) == count(pairs.our_step(row, config)) > 0
    one = count(pairs.our_step("supervised", config))  # four patches, forward and backward
    assert count(pairs.our_step("cps", config)) == 2 * one  # two networks
    forward = count(lambda: pairs.VNet(config.network)(torch.zeros(1, 1, *SIZE)))
    assert count(pairs.our_step("mean_teacher", config)) == one + 9 * 2 * forward  # 1 + 8 passes over two images


def count(act) -> int:
    with speed.FlopCounterMode(display=False) as counter:
        act()
    return counter.get_total_flops()


def test_memory_is_that_of_the_measured_process_and_not_of_its_parent(monkeypatch):
    monkeypatch.chdir(ROOT)
    ballast = torch.ones(400 * 2**20, dtype=torch.uint8)
    title, peak, below = speed.memory_cells("cps", tiny=True)
    assert (title, below) == ("CPS step", "yes")
    assert 150 < int(peak) < speed.peak_mib("cps", pairs.composed("tiny")) - ballast.numel() / 2**20 / 2


def test_the_benchmark_of_a_gpu_measures_on_a_cpu_what_it_would_there(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(gpu, "CASE", (20, 18, 16))
    gpu.main(["--profile", "tiny", "--device", "cpu", "--rows", "supervised", "lovasz"])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert lines[0] == gpu.HEADER and [line[0] for line in lines[2:]] == ["supervised step", "mt_un_lovasz"]
    _, slow, fast, ratio, compiled, *_ = lines[2]
    apart = float(slow) / min(float(fast), float(compiled))
    assert apart == pytest.approx(float(ratio), rel=0.1, abs=0.06)  # all are rounded, a ratio to 0.1
    assert lines[3][1] == lines[3][3] == " " or lines[3][1] == ""  # no plain script of that row
    assert together.steps_a_second("tiny", "cpu", 1, 0.0) > 0


def test_the_hours_of_a_profile_are_those_of_its_seven_rows(config):
    rows = {name: gpu.Timed(None, 2.0, 3.0, flop=1, peak=2**30 * n, data=0.5) for n, name in enumerate(gpu.ROWS, 1)}
    told = gpu.estimate(config.model_copy(update={"train": config.train.model_copy(update={"steps": 3600})}), rows)
    assert "3600 steps each, train for 17.5 h" in told and told.endswith("in 5.0 GiB.")  # 7 x 3600 x 2.5 s


def test_without_a_gpu_its_benchmarks_say_what_they_would_do(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    together.main([])
    kernels.main([])
    told = capsys.readouterr().out
    assert "times a step of supervised, cps" in told and "lets 3 trainings share it" in told
    assert "by kernel and by level, compiled and eager" in told and "batch 16" in told


def test_steps_beside_other_work_are_timed_in_processes_of_their_own():
    assert 0 < busy.together("quick", 1, busy.SPIN["plain"], 0.01, others=1) < 60


def test_the_roofline_has_the_operations_that_torch_counts_and_the_bytes_of_the_volumes(config):
    works = roofline.step_work(config, batch=4)
    assert sum(work.flop for work in works) == count(pairs.our_step("supervised", config))
    assert next(work.voxels for work in works if work.level == 2) == (8, 4, 12)
    voxels, width = 4 * 32 * 16 * 48, 3
    norms = sum(work.bytes for work in works if work.level == 0 and work.norm)
    assert norms == 2 * 8 * 3 * voxels * width  # encoder, doubling and decoder; two bytes a value
    first, halving = [work for work in works if work.level == 0 and not work.norm][:2]
    assert first.bytes == 2 * 2 * voxels * (1 + width)  # no gradient of the image
    assert halving.bytes == 3 * 2 * (voxels * width + voxels // 8 * 2 * width)
    assert first.seconds(bandwidth=1.0, speed=1e30) == first.bytes
    assert first.seconds(bandwidth=1e30, speed=2.0) == first.flop / 2


def test_the_table_of_the_roofline_on_the_page_is_what_the_command_prints(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    roofline.main([])
    table = capsys.readouterr().out.strip()
    assert "| all |  |  | 959 | 100% |" in table  # as torch counts it: 0.959 TFLOP
    assert table in (ROOT / "docs/performance.md").read_text()


def test_the_time_of_a_step_is_shown_by_kernel_by_level_and_by_variant(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(ROOT)
    words = ["--profile", "tiny", "--device", "cpu", "--variants", "compiled", "fp16", "batch 8", "--top", "3"]
    kernels.main([*words, "--output", str(tmp_path / "found.json")])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found["ways"]) == {"compiled", "eager"}
    spent = {(level, part) for level, part, *_ in found["ways"]["eager"]["kernels"]}
    assert spent >= {(str(level), part) for level in range(5) for part in ("forward", "backward")}
    assert ("other", "update") in spent
    (whole,) = [line for line in lines if line[0] == "all" and len(line) == 10]
    assert float(whole[4]) == pytest.approx(sum(time for *_, time, _ in found["ways"]["compiled"]["kernels"]), abs=1e-3)
    variants = {line[0]: line for line in lines if line[0] in kernels.VARIANTS}
    assert variants["compiled"][-1] == "1.00" and "works only on CUDA" in variants["fp16"][2]
    first, large = found["variants"]["compiled"], found["variants"]["batch 8"]
    assert (first["patches"], large["patches"]) == (4, 8)
    ratio = large["step_ms"] / first["step_ms"] / 2
    assert float(variants["batch 8"][-1]) == pytest.approx(ratio, abs=0.006)


def event(name, *shapes, parent=None, kernels=(), device=profiler.DeviceType.CPU, annotation=False):
    """An event of the profiler, as far as it is looked at."""
    return SimpleNamespace(
        **{"name": name, "input_shapes": [list(shape) for shape in shapes], "cpu_parent": parent},
        **{"kernels": [SimpleNamespace(name=kernel, duration=time) for kernel, time in kernels]},
        **{"device_type": device, "is_user_annotation": annotation},
    )


def test_a_kernel_of_a_card_counts_for_the_grid_and_the_part_of_what_launched_it(monkeypatch):
    size, fine, coarse = (32, 16, 48), (2, 4, 16, 8, 24), (2, 8, 8, 4, 12)
    around = event("autograd::engine::evaluate_function: CompiledFunctionBackward")
    doubling = event("aten::conv_transpose3d", coarse, (8, 4, 2, 2, 2))
    update = event("Optimizer.step#SGD.step", kernels=[("a range over all", 900.0)], annotation=True)
    events = [
        event("triton_fused", fine, (2, 8), coarse, kernels=[("triton_fused", 30.0)]),
        event("aten::cudnn_convolution_transpose", coarse, parent=doubling, kernels=[("implicit_gemm", 20.0)]),
        event("aten::add_", fine, parent=doubling, kernels=[("add", 2.0)]),
        event("aten::convolution_backward", fine, coarse, parent=around, kernels=[("dgrad", 40.0), ("wgrad", 10.0)]),
        event("aten::copy_", (7,), parent=event("aten::sum", (2, 32, 16, 48)), kernels=[("copy", 6.0)]),
        event("aten::_fused_sgd_", (8, 4, 2, 2, 2), parent=update, kernels=[("sgd", 8.0)]),
        event("dgrad", device=profiler.DeviceType.CUDA),
        update,
    ]
    monkeypatch.setattr(profiler, "wait", lambda device: None)
    monkeypatch.setattr(profiler, "profile", lambda **_: Watched(events))
    made = []
    found = profiler.profiled(lambda: made.append(1), SimpleNamespace(type="cuda"), size, steps=2)
    assert len(made) == 2
    assert found == {
        ("1", "backward", "dgrad"): (0.02, 0.5),
        ("1", "forward", "triton_fused"): (0.015, 0.5),
        ("1", "forward", "implicit_gemm"): (0.01, 0.5),
        ("1", "backward", "wgrad"): (0.005, 0.5),
        ("other", "update", "sgd"): (0.004, 0.5),
        ("0", "forward", "copy"): (0.003, 0.5),
        ("1", "forward", "add"): (0.001, 0.5),
    }


class Watched:
    """What torch.profiler.profile gives, with events that are known."""

    def __init__(self, events):
        self.events = lambda: events

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_the_tables_are_still_shown_if_the_profiler_sees_no_kernel_or_a_step_fails():
    works = [roofline.Work(0, (2, 2, 2), 1, False, 8, 4)]
    table = kernels.level_table({"eager": {"step_ms": 1.0, "kernels": []}}, works, 1.0, 1.0)
    assert "| 0 | 8000.000 | 0.000 | 0.000 | 0.000 |  |" in table

    def fails():
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    failed = kernels.tried(fails)
    assert failed == {"failed": "CUDA out of memory."}
    assert kernels.variant_table({"batch 16": failed}).endswith("| batch 16 |  | CUDA out of memory. |  |")


def test_a_mode_of_compiling_is_that_of_every_network_that_is_compiled(config, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **words: asked.append(words))
    kernels.step_of(config, mode="reduce-overhead")
    assert asked == []  # nothing is compiled on a CPU
    monkeypatch.setattr(gpu, "place", lambda *_: Placement(torch.device("cpu"), torch.float32, False, compiled=True))
    kernels.step_of(config, mode="reduce-overhead")
    assert asked == [{"dynamic": False}, {"dynamic": False, "mode": "reduce-overhead"}]  # the last one counts
