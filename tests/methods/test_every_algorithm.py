"""What every algorithm in lassl/methods/ keeps to, in each way that a row of conf/method/ takes it: a new one, too."""

import inspect
import math

import pytest
import torch
import yaml

from helpers.project import ROOT
from helpers.trainings import Kept, Trial
from lassl.data.patches import Batch, PatchSource
from lassl.data.prepared import Prepared, open_prepared
from lassl.learning import margins
from lassl.learning.base import Algorithm, Progress
from lassl.learning.losses import hard_dice
from lassl.methods import algorithms, build, class_of
from lassl.model.vnet import VNet
from lassl.seeds import stream_seed
from lassl.settings.sections import BatchSize

pytestmark = pytest.mark.slow

STEPS = 6  # two passes over the three labeled cases, and more
RATE = 0.05


def rows() -> dict[str, tuple[str, str]]:
    """The algorithm of each row in conf/method/, its own or its base's, and the options that it has other than that."""
    contents = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "conf/method").glob("*.yaml"))}
    found = {}
    for row, content in contents.items():
        bases = [str(each) for each in content.get("defaults", []) if str(each).endswith("@_here_")]
        if bases:
            base = contents[bases[0].removesuffix("@_here_")]
            found[row] = content.get("algorithm", base["algorithm"]), repr(content.get("options", {}))
        elif "algorithm" in content:
            found[row] = content["algorithm"], "{}"
    return found


WAYS = {way: row for row, way in reversed(rows().items())}  # (algorithm, options) -> the first row that is so
FIRST = {algorithm: row for (algorithm, _), row in WAYS.items()}  # a row of each algorithm
EITHER = [*((row, 2) for row in sorted(WAYS.values())), *((row, 4) for row in sorted(FIRST.values()))]


def trial_of(row: str, steps: int, tiny_data, prepared: Prepared) -> Trial:
    """A trial of a row at this file's learning rate."""
    return Trial(row, steps, tiny_data, prepared, train={"lr": RATE})


def advance(trial: Trial, batch: Batch) -> dict[str, float]:
    """Make a step half way up the ramps, in the first epoch; gives its values."""
    rates = [RATE] * len(trial.state.optimizer.param_groups)
    trial.state.advance(batch, Progress(STEPS // 2, STEPS, 0, 0), rates, trial.where)
    return trial.state.curves[-1]


@pytest.fixture(params=sorted(WAYS.values()))
def trial(request, tiny_data, prepared):
    """Make a trial of each row."""
    return lambda steps=STEPS: trial_of(request.param, steps, tiny_data, prepared)


@pytest.fixture(params=EITHER, ids=[f"{row}-{classes} classes" for row, classes in EITHER])
def either_trial(request):
    """Make a trial of each row with two classes, and of a row of each algorithm with four."""
    row, classes = request.param
    data = request.getfixturevalue("tiny_data" if classes == 2 else "tiny_data_of_three")
    opened = open_prepared(data.prepared)
    return lambda steps=STEPS: trial_of(row, steps, data, opened)


def test_every_algorithm_has_its_settings_and_a_row_that_takes_it():
    files = (yaml.safe_load(path.read_text()) for path in (ROOT / "conf/method").glob("*.yaml"))
    assert {content["algorithm"] for content in files if "algorithm" in content} == set(algorithms())
    assert {algorithm for algorithm, _ in WAYS} == set(algorithms())


def test_the_network_that_is_evaluated_starts_with_the_same_weights_in_every_row(trial):
    tried = trial()
    torch.manual_seed(stream_seed(0, "weights"))
    alone = VNet(tried.config.network).state_dict()
    first = next(iter(tried.state.algorithm.networks.values())).state_dict()
    assert first.keys() == alone.keys() and all(torch.equal(value, alone[name]) for name, value in first.items())


RAMPED = sorted(row for (name, _), row in WAYS.items() if "ramp" in inspect.signature(class_of(name)).parameters)


@pytest.mark.parametrize("row", RAMPED)
def test_the_weight_climbs_until_the_fraction_ramp_of_training_and_stays(row, tiny_data, prepared):
    tried = trial_of(row, STEPS, tiny_data, prepared)
    full = tried.method.options["weight"]

    def weights(ramp: float, *steps: int) -> list[float]:
        options = {**tried.method.options, "ramp": ramp}
        algorithm = build(tried.method.algorithm, lambda: VNet(tried.config.network), options)
        return [algorithm.losses(tried.source[0], Progress(step, 40, 0, 0)).logs["weight"] for step in steps]

    assert weights(0.5, 0, 10, 20, 30) == pytest.approx([full * math.exp(-5), full * math.exp(-5 / 4), full, full])
    assert weights(0, 0) == [full]


def dice(algorithm: Algorithm, batches: list[Batch]) -> list[float]:
    """Mean Dice of each network on the labeled patches."""
    algorithm.eval()
    with torch.no_grad():
        found = [[hard_dice(n(b.image[: len(b.label)]), b.label) for b in batches] for n in algorithm.networks.values()]
    return torch.tensor(found).mean(1).tolist()


def test_it_learns_its_labeled_patches_with_finite_terms_and_logs_their_dice(either_trial):
    several = either_trial().config.data.structures is not None
    tried = either_trial(steps=40 if several else 20)
    batches = [tried.source[step] for step in range(3)]
    before = dice(tried.state.algorithm, batches)
    state = tried.fit()
    after = dice(state.algorithm, batches)
    least, gain = (0.35, 0.2) if several else (0.7, 0.3)
    assert after[0] > least and all(b > a + gain for a, b in zip(before, after, strict=True)), (before, after)
    assert torch.tensor([list(values.values()) for values in state.curves]).isfinite().all()
    assert all(0 <= values["dice"] <= 1 for values in state.curves)


def test_going_on_from_a_checkpoint_gives_the_same_bits_as_never_stopping(trial):
    tried, kept = trial(), Kept(STEPS // 2)
    whole = tried.fit(kept)
    resumed = tried.fit(Kept(STEPS // 2, kept.content))
    assert (whole.resumed, resumed.resumed) == (0, 1)
    assert resumed.curves == whole.curves and len(whole.curves) == STEPS
    for part in ("algorithm", "optimizer"):
        assert same(*(getattr(state, part).state_dict() for state in (whole, resumed))), part


def same(a: object, b: object) -> bool:
    """Whether two nested states are alike in every bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return all(map(same, a, b)) and len(a) == len(b) if isinstance(a, list) else a == b


def test_it_sees_the_labeled_patches_of_the_seed_and_no_other_label(trial, prepared, monkeypatch):
    tried, read, seen = trial(steps=2), [], []
    kind = type(tried.state.algorithm)
    read_label, losses = Prepared.read_label, kind.losses

    def noted(self, case):
        read.append(case)
        return read_label(self, case)

    def watched(self, batch, progress):
        seen.append(batch)
        return losses(self, batch, progress)

    monkeypatch.setattr(Prepared, "read_label", noted)
    monkeypatch.setattr(kind, "losses", watched)
    size = tried.method.batch
    tried.source = PatchSource(prepared, tried.label_split, tried.config.patches, size, 0)
    tried.fit()
    assert read == list(tried.label_split.labeled)
    assert [(len(b.label), len(b.image)) for b in seen] == [(size.labeled, size.labeled + size.unlabeled)] * 2
    alone = PatchSource(prepared, tried.label_split, tried.config.patches, BatchSize(labeled=1, unlabeled=0), 0)
    for n, (batch, i) in enumerate((batch, i) for batch in seen for i in range(size.labeled)):
        assert torch.equal(batch.image[i], alone[n].image[0]) and torch.equal(batch.label[i], alone[n].label[0])


def test_a_step_without_unlabeled_patches_is_one(either_trial):
    tried = either_trial()
    batch = tried.source[0]
    values = advance(tried, Batch(batch.labeled_image, batch.label))
    assert torch.tensor(list(values.values())).isfinite().all() and values["loss"] > 0


@pytest.mark.parametrize("row", sorted(WAYS.values()))
def test_a_step_learns_from_both_channels_of_a_scan(row, tiny_data_of_two_channels):
    opened = open_prepared(tiny_data_of_two_channels.prepared)
    tried = trial_of(row, STEPS, tiny_data_of_two_channels, opened)
    batch = tried.source[0]
    assert batch.image.shape[1] == 2
    values = advance(tried, batch)
    assert torch.tensor(list(values.values())).isfinite().all() and values["loss"] > 0
    gradient = next(iter(tried.state.algorithm.networks.values())).encoder[0].convolutions[0].weight.grad
    assert (gradient.abs().sum((0, 2, 3, 4)) > 0).tolist() == [True, True]


def weights(algorithm: Algorithm) -> dict[str, dict[str, torch.Tensor]]:
    """Copy the weights of each network."""
    return {n: {k: v.detach().clone() for k, v in w.named_parameters()} for n, w in algorithm.networks.items()}


def test_gradients_reach_every_network_but_those_that_the_method_moves_itself(either_trial, monkeypatch):
    tried = either_trial()
    algorithm = tried.state.algorithm
    after_step, ends = type(algorithm).after_step, []

    def watched(self, progress):
        ends.append(weights(self))
        after_step(self, progress)
        ends.append(weights(self))

    monkeypatch.setattr(type(algorithm), "after_step", watched)
    advance(tried, tried.source[0])
    for name, network in algorithm.networks.items():
        moved = any(not torch.equal(old, ends[1][name][key]) for key, old in ends[0][name].items())
        gradients = [p.grad for p in network.parameters()]
        if moved or not any(p.requires_grad for p in network.parameters()):
            assert all(gradient is None for gradient in gradients), name
        else:
            assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients), name
            assert any(gradient.any() for gradient in gradients), name


def sharpen(algorithm: Algorithm, image: torch.Tensor, size: float) -> None:
    """Scale all heads alike, so that the largest difference of logits of the first network on patches is `size`."""
    with torch.no_grad():
        logits = next(iter(algorithm.networks.values()))(image)
        classes = logits.shape[1]
        heads = [m for m in algorithm.modules() if isinstance(m, torch.nn.Conv3d) and m.out_channels == classes]
        factor = size / (logits.amax(1) - logits.amin(1)).max()
        for parameter in (p for head in heads for p in head.parameters()):
            parameter *= factor


def test_terms_and_gradients_are_finite_where_networks_are_surer_than_float32_can_tell(either_trial):
    tried = either_trial()
    algorithm, batch = tried.state.algorithm, tried.source[0]
    weights = [p for p in algorithm.parameters() if p.requires_grad]
    for size in (50.0, 300.0, 1e4):
        sharpen(algorithm, batch.image, size)
        for step in (0, 20, 21, 35):  # before and after the switch of BCP, in the turns of both teachers of AD-MT
            terms = algorithm.losses(batch, Progress(step, 40, min(step, 1), 0)).terms
            assert all(term.isfinite() for term in terms.values()), (size, step, terms)
            gradients = torch.autograd.grad(torch.stack([*terms.values()]).sum(), weights, allow_unused=True)
            assert all(each.isfinite().all() for each in gradients if each is not None), (size, step)


def test_the_form_for_any_number_of_classes_gives_what_that_for_two_gives(trial, monkeypatch):
    """In value and gradient: the margin is only a faster way to compute the same."""
    tried = trial()
    algorithm, batch = tried.state.algorithm, tried.source[0]
    sharpen(algorithm, batch.image, 6.0)
    weights = [p for p in algorithm.parameters() if p.requires_grad]
    for step in (0, 20, 21, 35):
        found = []
        for form in (margins.reduced, lambda logits: logits.float()):
            monkeypatch.setattr(margins, "reduced", form)
            torch.manual_seed(step)
            terms = algorithm.losses(batch, Progress(step, 40, 0, 0)).terms
            gradients = torch.autograd.grad(torch.stack([*terms.values()]).sum(), weights, allow_unused=True)
            found.append((terms, [g for g in gradients if g is not None]))
        monkeypatch.undo()
        torch.testing.assert_close(*(terms for terms, _ in found), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(*(gradients for _, gradients in found), rtol=1e-3, atol=1e-5)


def test_every_trainable_network_has_an_optimizer_group_of_its_own(trial):
    state = trial().state
    trainable = [[id(p) for p in n.parameters() if p.requires_grad] for n in state.algorithm.networks.values()]
    trainable = [network for network in trainable if network]
    groups = [[id(p) for p in group["params"]] for group in state.optimizer.param_groups]
    assert len(groups) == len(trainable)
    assert set(groups[0]) >= set(trainable[0]) and groups[1:] == trainable[1:]
    held = [p for group in groups for p in group]
    assert sorted(held) == sorted(id(p) for p in state.algorithm.parameters() if p.requires_grad)
