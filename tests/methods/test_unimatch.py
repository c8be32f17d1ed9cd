"""UniMatch: two strong views and perturbed features."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.learning.mixing import half_box
from lassl.learning.perturbations import change_intensity
from lassl.methods.unimatch import UniMatch
from lassl.model.vnet import VNet
from lassl.settings.sections import Network

CPU = torch.device("cpu")
SIZE = (32, 16, 16)


def make(**options):
    torch.manual_seed(0)
    plain = {"weight": 0.4, "threshold": 0.6, "feature_dropout": 0.5, "ramp": 0.0}
    algorithm = UniMatch(lambda: VNet(Network(width=2, residual=False, dropout=0.2)), **(plain | options))
    with torch.no_grad():
        algorithm.network.head[1].weight.mul_(6)  # some voxels certain, some not
    return algorithm.eval()


@pytest.fixture
def batch():
    """Two labeled and two unlabeled patches."""
    image = torch.randn(4, 1, *SIZE, generator=torch.Generator().manual_seed(1))
    return Batch(image, (image[:2, 0] > 0.3).to(torch.uint8))


def step_of(algorithm, batch, progress, seed=3):
    torch.manual_seed(seed)
    return algorithm.losses(batch, progress)


def labels(algorithm, image):
    """Label and confidence of each voxel, as the network has them."""
    with torch.no_grad():
        confidence, label = algorithm.network(image).softmax(1).max(1)
    return label, confidence


def dice_loss(logits, label, confidence, threshold):
    p, y = (x[confidence >= threshold] for x in (logits.softmax(1)[:, 1], label.float()))
    return 1 - (2 * (p * y).sum() + 1e-5) / (p.square().sum() + y.sum() + 1e-5)


def view(algorithm, batch, progress, name):
    """A strong view of the two unlabeled patches, its label and its confidence."""
    strong = change_intensity(batch.image[2:], progress.generator(f"intensity, {name} view", CPU))
    inside = half_box(torch.Size(SIZE), progress.generator(f"cutmix, {name} view", CPU))
    found = []
    for pair in (strong, *labels(algorithm, batch.image[2:])):
        mixed = pair.clone()
        mixed[0][..., inside], mixed[1][..., inside] = pair[1][..., inside], pair[0][..., inside]
        found.append(mixed)
    return found


def of_views(algorithm, batch, progress):
    parts = []
    for name in ("first", "second"):
        image, label, confidence = view(algorithm, batch, progress, name)
        parts.append(dice_loss(algorithm.network(image), label, confidence, 0.6))
    return 0.4 * (parts[0] + parts[1]) / 4


def of_features(algorithm, batch, seed=3):
    network, unlabeled = algorithm.network, batch.image[2:]
    torch.manual_seed(seed)
    dropped = [F.dropout3d(scale, 0.5) for scale in network.encode(unlabeled)]
    return 0.4 / 2 * dice_loss(network.head(network.decode(dropped)), *labels(algorithm, unlabeled), 0.6)


def test_the_views_learn_the_confident_labels_of_the_patches_as_they_were(batch, progress):
    algorithm = make()
    step = step_of(algorithm, batch, progress())
    torch.testing.assert_close(step.terms["views"], of_views(algorithm, batch, progress()))


def test_perturbed_features_learn_the_confident_labels_of_the_others(batch, progress):
    algorithm = make()
    torch.testing.assert_close(step_of(algorithm, batch, progress()).terms["features"], of_features(algorithm, batch))


def test_no_gradient_passes_through_the_labels(batch, progress):
    algorithm = make()
    step = step_of(algorithm, batch, progress())
    weights = [p for name, p in algorithm.named_parameters() if not name.endswith("convolutions.0.bias")]
    for name, expected in {
        "views": of_views(algorithm, batch, progress()),
        "features": of_features(algorithm, batch),
    }.items():
        found = torch.autograd.grad(step.terms[name], weights, retain_graph=True)
        for f, e in zip(found, torch.autograd.grad(expected, weights), strict=True):
            torch.testing.assert_close(f, e, atol=1e-6, rtol=1e-3)


def test_the_shares_of_the_voxels_that_count_are_logged(batch, progress):
    algorithm = make()
    label, confidence = labels(algorithm, batch.image[2:])
    logs = step_of(algorithm, batch, progress()).logs
    kept = (confidence >= 0.6).float()
    assert 0 < kept.mean() < 1
    torch.testing.assert_close(logs["kept"], kept.mean())
    torch.testing.assert_close(logs["kept_foreground"], kept[label == 1].mean())


def test_the_supervised_terms_are_the_baselines_of_the_unperturbed_patches(batch, progress):
    algorithm = make()
    logits = algorithm.network(batch.image[:2])
    step = step_of(algorithm, batch, progress())
    torch.testing.assert_close(step.terms["cross_entropy"], 0.5 * losses.cross_entropy(logits, batch.label))
    torch.testing.assert_close(step.terms["dice_loss"], 0.5 * losses.dice_loss(logits, batch.label))
    torch.testing.assert_close(step.logs["dice"], losses.hard_dice(logits, batch.label))


def test_whole_channels_of_every_scale_are_dropped_for_the_unlabeled_patches_alone(batch, progress, monkeypatch):
    algorithm = make(feature_dropout=0.25)
    seen = []
    decode = algorithm.network.decode
    monkeypatch.setattr(algorithm.network, "decode", lambda features: seen.append(features) or decode(features))
    step_of(algorithm, batch, progress())
    plain = algorithm.network.encode(batch.image)
    shares = []
    for found, scale in zip(seen[0], plain, strict=True):
        torch.testing.assert_close(found[:4], scale)
        for channel, whole in zip(found[4:].flatten(0, 1), scale[2:].flatten(0, 1), strict=True):
            if whole.any():
                shares.append(bool(channel.any()))
                torch.testing.assert_close(channel, whole / 0.75 if shares[-1] else torch.zeros_like(whole))
    assert 0.5 < sum(shares) / len(shares) < 1


def test_both_views_differ_and_are_those_of_the_seed_and_the_step(batch, progress):
    algorithm = make()
    seen = []
    algorithm.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for step in (3, 3, 4):
        torch.manual_seed(len(seen))
        algorithm.losses(batch, progress(step=step))
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    assert not torch.equal(*seen[0].chunk(2))


def test_where_nothing_is_certain_nothing_is_learned_of_the_views(batch, progress):
    algorithm = make(threshold=1 - 1e-7)
    step = step_of(algorithm, batch, progress())
    assert step.terms["views"] == step.terms["features"] == step.logs["kept"] == 0
    (step.terms["views"] + step.terms["features"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in algorithm.parameters())


def test_no_foreground_gives_finite_terms(batch, progress):
    algorithm = make()
    with torch.no_grad():
        algorithm.network.head[1].bias.copy_(torch.tensor([50.0, -50.0]))
    step = step_of(algorithm, batch, progress())
    assert all(term.isfinite() for term in step.terms.values())
    assert step.logs["kept"] == 1 and step.logs["kept_foreground"] == 0


@pytest.mark.parametrize(("patches", "terms"), [(2, 2), (3, 4)])
def test_one_unlabeled_patch_or_none_is_enough(batch, progress, patches, terms):
    step = step_of(make().train(), Batch(batch.image[:patches], batch.label), progress())
    assert len(step.terms) == terms and all(term.isfinite() for term in step.terms.values())
    sum(step.terms.values()).backward()


@pytest.mark.parametrize(("ramp", "shares"), [(0.0, [1, 1, 1, 1]), (0.5, [math.exp(-5), math.exp(-1.25), 1, 1])])
def test_the_weight_is_full_at_once_or_climbs(batch, progress, ramp, shares):
    algorithm = make(ramp=ramp)
    weights = [step_of(algorithm, batch, progress(step=step)).logs["weight"] for step in (0, 10, 20, 30)]
    assert weights == pytest.approx([0.4 * share for share in shares])
