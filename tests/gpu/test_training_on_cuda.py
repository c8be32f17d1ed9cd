"""Training on a GPU: the numbers of the CPU, the same bits where that is asked for, and nothing lost."""

import re
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from helpers.project import ROOT
from helpers.trainings import Kept, Trial
from lassl.data.patches import Batch
from lassl.data.prepared import open_prepared
from lassl.learning.base import Progress
from lassl.model.placement import place
from lassl.settings.compose import compose
from lassl.settings.config import load
from lassl.training import step as steps_module
from lassl.training.loop import first_state
from lassl.training.step import NotFinite, State

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA"),
]
SEVEN = ("vnet_16", "vnet_80", "cps", "cps_32", "mt_un", "mt_un_lovasz", "cps_alw")
OWN = re.compile("^algorithm:|@_here_", re.MULTILINE)  # what the file of a method has, and no list of methods
ROWS = sorted(path.stem for path in (ROOT / "conf/method").glob("*.yaml") if OWN.search(path.read_text()))
LIMIT_BYTES = 11e9  # of the card that the paper's settings are meant for
STEPS = 4


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave torch's switches as they were."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_convolutions_of_the_paper_are_right_on_this_card(precision):
    compute = load(ROOT / "params.yaml").compute.model_copy(update={"device": "cuda", "precision": precision})
    place(compute).check_patch((112, 112, 80), 16)


@pytest.fixture
def same_chance(monkeypatch) -> None:
    """Random numbers are drawn on the CPU whatever the device, dropout's too, so that devices can be compared."""
    for name in ("rand", "randn"):
        draw = getattr(torch, name)

        def drawn(*size, generator=None, device=None, draw=draw):
            return draw(*size, generator=generator).to(device or "cpu")

        monkeypatch.setattr(torch, name, drawn)
    own = Progress.generator
    monkeypatch.setattr(Progress, "generator", lambda self, purpose, device: own(self, purpose, torch.device("cpu")))

    def dropped(x, p=0.5, training=True, inplace=False, whole=True):
        if not training or not p:
            return x
        size = (*x.shape[:2], 1, 1, 1) if whole else x.shape
        return x * (torch.bernoulli(torch.full(size, 1 - p)) / (1 - p)).to(x.device)

    monkeypatch.setattr(F, "dropout3d", dropped)
    monkeypatch.setattr(F, "dropout", lambda *words, **more: dropped(*words, **more, whole=False))


@pytest.fixture
def trial(tiny_data, prepared):
    """Make a trial of a row."""

    def make(row: str, dropout: float = 0.1, side: int = 16, **compute) -> Trial:
        return Trial(
            row, STEPS, tiny_data, prepared,
            train={"lr": 0.01}, network={"dropout": dropout}, patches={"size": (side, side, side)}, compute=compute,
        )  # fmt: skip

    return make


@pytest.mark.parametrize("row", ROWS)
def test_some_steps_in_fp32_are_those_of_the_cpu(row, trial, same_chance):
    found = {device: trial(row, device=device, precision="fp32").fit() for device in ("cpu", "cuda")}
    for step, (on_cpu, on_gpu) in enumerate(zip(found["cpu"].curves, found["cuda"].curves, strict=True)):
        # the first step starts alike; then each value depends on the updates, where rounding soon tips whole voxels
        assert on_gpu == pytest.approx(on_cpu, **({"rel": 3e-2, "abs": 1e-2} if step else {"rel": 1e-3, "abs": 1e-4}))


def same(a: State, b: State) -> bool:
    """Whether two trainings ended with the same bits."""
    pairs = zip(a.algorithm.state_dict().values(), b.algorithm.state_dict().values(), strict=True)
    return a.curves == b.curves and all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("row", ROWS)
def test_deterministic_gives_the_same_bits_twice_and_after_a_stop(row, precision, trial):
    tried, kept = trial(row, device="cuda", precision=precision, deterministic=True), Kept(STEPS // 2)
    whole = tried.fit(kept)
    assert same(whole, tried.fit())
    resumed = tried.fit(Kept(STEPS // 2, kept.content))
    assert resumed.resumed == 1 and same(whole, resumed)


@pytest.mark.parametrize("row", ROWS)
def test_three_structures_deterministic_give_the_same_bits_twice(row, tiny_data_of_three):
    opened = open_prepared(tiny_data_of_three.prepared)
    compute = {"device": "cuda", "precision": "bf16", "deterministic": True}
    tried = Trial(row, STEPS, tiny_data_of_three, opened, train={"lr": 0.01}, compute=compute)
    assert same(tried.fit(), tried.fit())


@pytest.mark.parametrize("row", ["vnet_16", "cps_alw"])
def test_fp16_with_scaling_survives_an_overflow(row, trial):
    tried = trial(row, device="cuda", precision="fp16")
    state, scale = tried.state, 2.0**30  # far above what fp16's gradients bear
    state.scaler = torch.amp.GradScaler("cuda", init_scale=scale)
    first = next(p for p in state.algorithm.parameters() if p.requires_grad)
    before = first.detach().clone()
    for step in range(30):
        rates = [0.01] * len(state.optimizer.param_groups)
        state.advance(tried.source[step], Progress(step, 30, tried.source.epoch(step), 0), rates, tried.where)
        if not step:
            assert torch.equal(first, before) and state.scaler.get_scale() < scale
    assert not torch.equal(first, before)
    assert all(p.isfinite().all() for p in state.algorithm.parameters())
    assert torch.tensor([values["loss"] for values in state.curves]).isfinite().all()


@pytest.mark.parametrize("row", ["vnet_16", "cps", "mt_un"])
def test_compiled_networks_train_as_others_do(row, trial):
    # sides of 32: torch 2.11 takes the gradient of a 3x3x3 kernel at 1x1x1 voxels for one of another layout, and stops
    plain = trial(row, 0.0, 32, device="cuda", precision="fp32").fit()
    compiled = trial(row, 0.0, 32, device="cuda", precision="fp32", compile=True).fit()
    for step, (found, expected) in enumerate(zip(compiled.curves, plain.curves, strict=True)):
        assert found == pytest.approx(expected, **({"rel": 3e-2, "abs": 1e-2} if step else {"rel": 1e-3, "abs": 1e-4}))


def test_patches_cut_on_the_gpu_are_those_of_the_cpu(trial):
    on_gpu, on_cpu = trial("cps", device="cuda").source, trial("cps", device="cpu").source
    assert on_gpu.device.type == "cuda"
    for step in range(8):
        assert torch.equal(on_gpu[step].image.cpu(), on_cpu[step].image)
        assert torch.equal(on_gpu[step].label.cpu(), on_cpu[step].label)


def test_cases_that_do_not_fit_stay_on_the_cpu_and_train_the_same(trial, monkeypatch):
    fits = trial("vnet_16", device="cuda", precision="fp32", deterministic=True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 1000))
    spills = trial("vnet_16", device="cuda", precision="fp32", deterministic=True)
    assert spills.source.device.type == "cpu"
    assert same(fits.fit(), spills.fit())


def test_a_loss_that_is_not_finite_is_found_by_its_step_when_values_are_read(trial, monkeypatch):
    monkeypatch.setattr(steps_module, "READ_EVERY", 3)
    tried = trial("vnet_16", device="cuda", precision="fp32")
    spoiled = tried.source[0].image * float("nan")
    for step in range(3):
        batch = tried.source[step]
        seen = Batch(spoiled, batch.label) if step == 1 else batch
        if step == 2:
            with pytest.raises(NotFinite, match="step 1: the loss is not finite"):
                tried.state.advance(seen, Progress(step, 9, 0, 0), [0.01], tried.where)
        else:
            tried.state.advance(seen, Progress(step, 9, 0, 0), [0.01], tried.where)
    assert len(tried.state.curves) == 1


@pytest.mark.parametrize("row", SEVEN)
def test_a_step_at_paper_scale_fits_an_11_gb_card(row, tmp_path, monkeypatch):
    from lassl.settings import config

    monkeypatch.chdir(ROOT)
    compose(tmp_path / "params.yaml", "profile=paper", f"method={row}")
    params = config.load(tmp_path / "params.yaml")
    method = params.methods[row]
    where = place(params.compute.model_copy(update={"device": "cuda", "precision": "bf16", "compile": False}))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    state = first_state(params, method, where, 0)
    labeled, unlabeled = method.batch.labeled, method.batch.unlabeled
    batch = Batch(
        torch.randn(labeled + unlabeled, 1, *params.patches.size),
        (torch.rand(labeled, *params.patches.size) > 0.9).to(torch.uint8),
    )
    for step in range(2):
        state.advance(batch, Progress(step, 2, 0, 0), [0.01] * len(state.optimizer.param_groups), where)
    peak = torch.cuda.max_memory_allocated()
    print(f"{row}: {peak / 2**30:.2f} GiB")
    assert peak < LIMIT_BYTES
