"""FixMatch, and CutMix with a mean teacher."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.learning.mixing import half_box
from lassl.learning.perturbations import change_intensity
from lassl.methods.fixmatch import FixMatch

CPU = torch.device("cpu")
FIXMATCH = {
    "weight": 0.7, "threshold": 0.95, "mix": "none", "intensity": True, "teacher": "student", "decay": 0.99, "ramp": 0.0
}  # fmt: skip
CUTMIX = FIXMATCH | {"mix": "cutmix", "intensity": False, "teacher": "ema"}


def make(make_network, options, **changes):
    return FixMatch(make_network, **(options | changes))


def expected_term(student, strong, target, threshold=0.95):
    """Cross-entropy against the arg-max of softmax `target` where it is certain enough, summed, by all voxels."""
    certainty, label = target.max(1)
    kept = certainty >= threshold
    assert 0 < kept.sum() < kept.numel()
    return (F.cross_entropy(student(strong), label, reduction="none") * kept).sum() / kept.numel()


def test_fixmatch_learns_certain_labels_of_its_own_on_patches_of_changed_intensity(make_network, batch, progress):
    algorithm = make(make_network, FIXMATCH).eval()
    step = algorithm.losses(batch, progress())
    unlabeled = batch.image[2:]
    target = algorithm.student(unlabeled).softmax(1).detach()
    strong = change_intensity(unlabeled, progress().generator("intensity", CPU))
    expected = 0.7 * expected_term(algorithm.student, strong, target)
    torch.testing.assert_close(step.terms["strong"], expected)
    kept, foreground = target.max(1).values >= 0.95, target.argmax(1) == 1
    torch.testing.assert_close(step.logs["kept"], kept.float().mean())
    torch.testing.assert_close(step.logs["kept_foreground"], (kept & foreground).sum() / foreground.sum())
    weight = algorithm.student.layers[0].weight
    (found,) = torch.autograd.grad(step.terms["strong"], weight)
    (alone,) = torch.autograd.grad(expected, weight)
    torch.testing.assert_close(found, alone)


def test_cutmix_learns_the_averages_labels_mixed_as_the_patches_are(make_network, batch, progress):
    algorithm = make(make_network, CUTMIX).eval()
    with torch.no_grad():
        algorithm.average.layers[0].weight.mul_(-1)
    step = algorithm.losses(batch, progress())
    inside = half_box(torch.Size((6, 5, 4)), progress().generator("cutmix", CPU))
    target = algorithm.average(batch.image[2:]).softmax(1)
    strong, mixed = batch.image[2:].clone(), target.clone()
    for i, partner in ((0, 1), (1, 0)):
        strong[i, 0][inside] = batch.image[2 + partner, 0][inside]
        mixed[i, :, inside] = target[partner, :, inside]
    torch.testing.assert_close(step.terms["strong"], 0.7 * expected_term(algorithm.student, strong, mixed))


def test_with_both_changes_the_patches_are_changed_before_they_are_mixed(make_network, batch, progress):
    algorithm = make(make_network, CUTMIX, intensity=True).eval()
    strong, label, kept = algorithm.changed(batch.image[2:], progress())
    inside = half_box(torch.Size((6, 5, 4)), progress().generator("cutmix", CPU))
    changed = change_intensity(batch.image[2:], progress().generator("intensity", CPU))
    assert torch.equal(strong[1, 0][inside], changed[0, 0][inside])
    assert torch.equal(strong[1, 0][~inside], changed[1, 0][~inside])
    assert label.shape == kept.shape == (2, 6, 5, 4)


def test_the_supervised_terms_are_of_the_unchanged_labeled_patches(make_network, batch, progress):
    for options in (FIXMATCH, CUTMIX):
        algorithm = make(make_network, options).eval()
        logits, terms = algorithm.student(batch.image[:2]), algorithm.losses(batch, progress()).terms
        torch.testing.assert_close(terms["cross_entropy"], losses.cross_entropy(logits, batch.label) / 2)
        torch.testing.assert_close(terms["dice_loss"], losses.dice_loss(logits, batch.label) / 2)


def test_nothing_is_kept_of_an_uncertain_teacher(make_network, batch, progress):
    algorithm = make(make_network, FIXMATCH, threshold=1 - 1e-12)
    step = algorithm.losses(batch, progress())
    assert step.terms["strong"] == step.logs["kept"] == step.logs["kept_foreground"] == 0
    step = make(make_network, FIXMATCH, threshold=0.5).losses(batch, progress())
    assert step.logs["kept"] == step.logs["kept_foreground"] == 1


def test_without_foreground_its_kept_share_is_zero(make_network, batch, progress):
    algorithm = make(make_network, CUTMIX)
    algorithm.average.layers[4].bias.data.copy_(torch.tensor([100.0, -100.0]))
    step = algorithm.losses(batch, progress())
    assert step.logs["kept"] == 1 and step.logs["kept_foreground"] == 0 and step.terms["strong"].isfinite()


def test_the_average_follows_the_student_and_learns_from_no_gradient(make_network, batch, progress):
    algorithm = make(make_network, CUTMIX, decay=0.9)
    assert list(algorithm.networks) == ["student", "teacher"]
    assert not any(p.requires_grad for p in algorithm.average.parameters())
    weight, average = algorithm.student.layers[0].weight, algorithm.average.layers[0].weight
    for step, value, expected in ((0, 3.0, 3.0), (1, 5.0, 4.0), (5000, 14.0, 5.0)):
        with torch.no_grad():
            weight.fill_(value)
        algorithm.after_step(progress(step=step))
        torch.testing.assert_close(average, torch.full_like(average, expected))


def test_fixmatch_has_one_network(make_network, progress):
    algorithm = make(make_network, FIXMATCH)
    assert algorithm.networks == {"student": algorithm.student}
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    algorithm.after_step(progress())
    assert all(torch.equal(value, before[name]) for name, value in algorithm.state_dict().items())


def test_the_weight_is_full_at_once_without_a_ramp_and_at_its_end_with_one(make_network, batch, progress):
    at = [progress(step=step) for step in (0, 10, 20)]
    plain, ramped = make(make_network, FIXMATCH), make(make_network, FIXMATCH, ramp=0.5)
    assert [plain.losses(batch, each).logs["weight"] for each in at] == [0.7, 0.7, 0.7]
    expected = [0.7 * math.exp(-5), 0.7 * math.exp(-5 / 4), 0.7]
    assert [ramped.losses(batch, each).logs["weight"] for each in at] == pytest.approx(expected)


@pytest.mark.parametrize("options", [FIXMATCH, CUTMIX])
@pytest.mark.parametrize("unlabeled", [0, 1])
def test_one_unlabeled_patch_or_none_will_do(make_network, batch, progress, options, unlabeled):
    terms = make(make_network, options).losses(Batch(batch.image[: 2 + unlabeled], batch.label), progress()).terms
    assert all(term.isfinite() for term in terms.values()) and ("strong" in terms) == bool(unlabeled)


@pytest.mark.parametrize("options", [FIXMATCH, CUTMIX])
def test_the_change_of_a_step_is_the_seeds(make_network, batch, progress, options):
    algorithm = make(make_network, options).eval()
    found = []
    for seed, step in ((1, 20), (2, 20), (2, 21)):
        torch.manual_seed(seed)
        found.append(algorithm.changed(batch.image[2:], progress(step=step))[0])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])


def test_a_student_that_sees_unchanged_patches_is_refused(make_network):
    with pytest.raises(ValueError, match="mix is 'none' and intensity false; expected one"):
        make(make_network, FIXMATCH, intensity=False)
