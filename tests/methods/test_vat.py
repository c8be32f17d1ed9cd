"""Virtual adversarial training."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.methods.vat import VAT

RAMP = math.exp(-5 * 0.25)  # half way
CPU = torch.device("cpu")


def make(make_network, **options):
    return VAT(make_network, **({"weight": 0.3, "xi": 0.5, "epsilon": 2.0} | options))


def drawn(image, progress):
    """The random unit vectors of a step, one a patch."""
    r = torch.randn(image.shape, generator=progress.generator("adversary", CPU))
    return torch.stack([each / each.square().sum().sqrt() for each in r])


def divergence(network, image, moved):
    """Sum over the voxels of KL(p(image) || p(moved)), p(image) held fast."""
    return F.kl_div(network(moved).log_softmax(1), network(image).detach().softmax(1), reduction="sum")


def sought(algorithm, image, progress):
    r = drawn(image, progress).requires_grad_()
    (g,) = torch.autograd.grad(divergence(algorithm.network, image, image + algorithm.xi * r), r)
    return torch.stack([each / each.square().sum().sqrt() for each in g])


def test_the_term_is_the_mean_divergence_after_a_step_along_the_gradient(make_network, batch, progress):
    algorithm = make(make_network).eval()
    d = sought(algorithm, batch.image, progress())
    expected = divergence(algorithm.network, batch.image, batch.image + 2.0 * d) / (4 * 6 * 5 * 4)
    step = algorithm.losses(batch, progress())
    torch.testing.assert_close(step.terms["adversarial"], 0.3 * RAMP * expected)
    torch.testing.assert_close(step.logs["divergence"], expected)
    logits = algorithm.network(batch.image)
    prediction, moved = logits.argmax(1), algorithm.network(batch.image + 2.0 * d).argmax(1)
    dice = 2 * (prediction * moved).sum() / (prediction.sum() + moved.sum())
    assert 0 < dice < 1
    torch.testing.assert_close(step.logs["agreement"], dice)
    torch.testing.assert_close(step.logs["dice"], losses.hard_dice(logits[:2], batch.label))


def test_its_gradient_is_that_of_the_moved_prediction_alone(make_network, batch, progress):
    algorithm = make(make_network).eval()
    moved = batch.image + 2.0 * sought(algorithm, batch.image, progress())
    weights = list(algorithm.network.parameters())
    expected = torch.autograd.grad(0.3 * RAMP * divergence(algorithm.network, batch.image, moved) / 480, weights)
    found = torch.autograd.grad(algorithm.losses(batch, progress()).terms["adversarial"], weights)
    for f, e in zip(found, expected, strict=True):
        torch.testing.assert_close(f, e)


class PerVoxel(nn.Module):
    """The margin of a voxel is `slope` times its value."""

    def __init__(self, slope=1.5):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, image):
        return torch.cat([-self.slope * image / 2, self.slope * image / 2], 1)


def test_a_small_step_weighs_the_random_direction_by_the_curvature_of_the_divergence(batch, progress):
    algorithm = make(PerVoxel, xi=1e-3)
    target = algorithm.network(batch.image).detach()
    p = (1.5 * batch.image).sigmoid()
    bent = p * (1 - p) * drawn(batch.image, progress())  # second derivative: slope^2 p (1 - p)
    expected = torch.stack([each / each.square().sum().sqrt() for each in bent])
    found = algorithm.direction(batch.image, target, progress())
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0.02)


def test_every_patch_is_moved_by_epsilon_and_further_from_its_prediction_than_by_chance(make_network, batch, progress):
    algorithm = make(make_network).eval()
    seen = []
    algorithm.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    algorithm.losses(batch, progress())
    image, tried, moved = seen
    torch.testing.assert_close(image, batch.image)
    torch.testing.assert_close((tried - image).flatten(1).norm(dim=1), torch.full((4,), 0.5))
    torch.testing.assert_close((moved - image).flatten(1).norm(dim=1), torch.full((4,), 2.0))
    by_chance = image + 4 * (tried - image)
    assert divergence(algorithm.network, image, moved) > 2 * divergence(algorithm.network, image, by_chance)


def test_all_passes_drop_the_same_features(make_network, batch, progress):
    algorithm = make(make_network, epsilon=1e-6).train()  # so small a step changes nothing
    assert algorithm.losses(batch, progress()).logs["divergence"] < 1e-6
    torch.manual_seed(5)
    first = algorithm.network(batch.image)
    assert not torch.allclose(first, algorithm.network(batch.image))  # dropout is on


def test_dropout_is_drawn_anew_after_the_step(make_network, batch, progress):
    algorithm = make(make_network).train()
    before = torch.get_rng_state()
    algorithm.losses(batch, progress())
    assert not torch.equal(torch.get_rng_state(), before)


def test_only_the_first_pass_moves_the_batch_norm_statistics(make_network, batch, progress):
    algorithm, plain = make(make_network).train(), make_network().train()
    plain.load_state_dict(algorithm.network.state_dict())
    plain(batch.image)
    algorithm.losses(batch, progress())
    norm = algorithm.network.layers[1]
    assert not torch.equal(norm.running_mean, torch.zeros(3))
    assert torch.equal(norm.running_mean, plain.layers[1].running_mean)
    assert torch.equal(norm.running_var, plain.layers[1].running_var)
    assert norm.momentum == 0.1


def test_its_chance_is_that_of_the_seed_and_the_step(make_network, batch, progress):
    algorithm = make(make_network, ramp=1e-6).eval()
    terms = []
    for step in (3, 3, 4):
        torch.manual_seed(len(terms))
        terms.append(algorithm.losses(batch, progress(step=step)).terms["adversarial"])
    assert torch.equal(terms[0], terms[1]) and not torch.equal(terms[0], terms[2])


def test_labeled_patches_alone_are_enough(make_network, batch, progress):
    algorithm = make(make_network).train()
    step = algorithm.losses(Batch(batch.image[:2], batch.label), progress())
    assert set(step.terms) == {"cross_entropy", "dice_loss", "adversarial"}
    assert all(term.isfinite() for term in step.terms.values())


def test_a_network_that_sees_nothing_is_not_divided_by_zero(batch, progress):
    algorithm = make(lambda: PerVoxel(0.0))
    step = algorithm.losses(batch, progress())
    sum(step.terms.values()).backward()
    assert step.terms["adversarial"] == 0 and algorithm.network.slope.grad.isfinite()


def test_bf16_gives_finite_gradients(make_network, batch, progress):
    algorithm = make(make_network).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step = algorithm.losses(batch, progress())
    sum(step.terms.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in algorithm.parameters())
    assert step.terms["adversarial"] > 0
