"""The mean teacher's other masks: all voxels, the ambiguous ones (AC-MT), and UnCL's weighting."""

import math

import pytest
import torch

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.methods.mean_teacher import MeanTeacher

RAMP = math.exp(-5 * 0.25)  # half way
LN2 = math.log(2)


def make(make_network, **options):
    plain = {"weight": 0.1, "passes": 0, "consistency": "mse", "lovasz": 0.0, "mask": "all"}
    return MeanTeacher(make_network, **(plain | options)).eval()


def both(algorithm, batch, progress):
    """Softmax (U, X, Y, Z, 2) of student and teacher on the unlabeled patches, without gradient, as lists."""
    with torch.no_grad():
        target, _ = algorithm.teach(batch.image[2:], progress)
        logits = algorithm.student(batch.image[2:])
    return [x.double().softmax(1).movedim(1, -1).reshape(-1, 2).tolist() for x in (logits, target)]


def entropy(p):
    return -sum(x * math.log(x) for x in p)


def squared(p, q):
    return sum((x - y) ** 2 for x, y in zip(p, q, strict=True))


def term(algorithm, batch, progress):
    step = algorithm.losses(batch, progress)
    return float(step.terms["consistency"].detach()), float(step.logs["mask_share"])


def apart(algorithm):
    """Give the teacher other weights than the student's."""
    with torch.no_grad():
        for p in algorithm.teacher.parameters():
            p += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    return algorithm


def test_without_a_mask_every_voxel_counts(make_network, batch, progress):
    algorithm = apart(make(make_network))
    student, teacher = both(algorithm, batch, progress())
    mean = sum(map(squared, student, teacher)) / len(student)
    assert term(algorithm, batch, progress()) == (pytest.approx(0.1 * RAMP * mean / 2, rel=1e-5), 1.0)


def test_kl_without_a_mask_is_that_of_the_student_from_the_teacher(make_network, batch, progress):
    algorithm = apart(make(make_network, consistency="kl"))
    student, teacher = both(algorithm, batch, progress())
    kl = [sum(y * math.log(y / x) for x, y in zip(p, q, strict=True)) for p, q in zip(student, teacher, strict=True)]
    assert term(algorithm, batch, progress())[0] == pytest.approx(0.1 * RAMP * sum(kl) / len(kl) / 2, rel=1e-4)


def test_the_ambiguous_mask_keeps_the_voxels_where_the_student_is_uncertain(make_network, batch, progress):
    algorithm = apart(make(make_network, mask="ambiguous"))
    student, teacher = both(algorithm, batch, progress())
    threshold = (0.75 + 0.2 * RAMP) * LN2
    kept = [squared(p, q) for p, q in zip(student, teacher, strict=True) if entropy(p) >= threshold]
    assert 0 < len(kept) < len(student)
    expected = 0.1 * RAMP * sum(kept) / (2 * len(kept))
    share = len(kept) / len(student)
    assert term(algorithm, batch, progress()) == (pytest.approx(expected, rel=1e-4), pytest.approx(share))


@pytest.mark.parametrize("ramp", [0.0, 0.5, 1.0])
def test_the_threshold_of_the_ambiguous_mask_climbs_to_the_end_whatever_the_ramp(make_network, batch, progress, ramp):
    algorithm = apart(make(make_network, mask="ambiguous", ramp=ramp))
    student, _ = both(algorithm, batch, progress())
    kept = [p for p in student if entropy(p) >= (0.75 + 0.2 * RAMP) * LN2]
    assert 0 < len(kept) < len(student)
    assert term(algorithm, batch, progress())[1] == pytest.approx(len(kept) / len(student))


def test_the_ambiguous_mask_and_the_certain_one_divide_the_voxels_at_the_start(make_network, batch, progress):
    logits = make(make_network).student(batch.image).detach()
    h = losses.entropy(logits.softmax(1))
    low, high = ramps.uncertainty_threshold(0.0), ramps.ambiguity_threshold(0.0)
    assert low == pytest.approx(high, abs=2e-3)
    assert bool(((h < high) ^ (h >= high)).all())


def test_no_ambiguous_voxel_gives_a_term_of_zero(make_network, batch, progress):
    algorithm = make(make_network, mask="ambiguous")
    with torch.no_grad():
        algorithm.student.layers[4].bias.copy_(torch.tensor([60.0, 0.0]))
    assert term(algorithm, batch, progress()) == (0.0, 0.0)


def test_uncl_is_the_squared_difference_weighted_by_both_entropies_plus_these(make_network, batch, progress):
    algorithm = apart(make(make_network, weighting="uncertainty"))
    beta = 5 / math.sqrt(10)  # half way from 5 to 0.5
    values = []
    for p, q in zip(*both(algorithm, batch, progress()), strict=True):
        h_p, h_q = entropy(p), entropy(q)
        values.append(squared(p, q) / (math.exp(beta * h_p) + math.exp(beta * h_q)) + beta * (h_p + h_q))
    expected = 0.1 * RAMP * sum(values) / len(values)
    assert term(algorithm, batch, progress()) == (pytest.approx(expected, rel=1e-5), 1.0)


@pytest.mark.parametrize("options", [{}, {"mask": "ambiguous"}, {"weighting": "uncertainty"}])
def test_its_gradient_is_the_students_alone(make_network, batch, progress, options):
    algorithm = apart(make(make_network, **options))
    algorithm.losses(batch, progress()).terms["consistency"].backward()
    assert all(p.grad is None for p in algorithm.teacher.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in algorithm.student.parameters())
    assert algorithm.student.layers[0].weight.grad.any()


def test_uncl_sends_no_gradient_to_the_teachers_logits():
    student, teacher = (torch.randn(1, 2, 3, 2, 2).requires_grad_() for _ in range(2))
    losses.uncertainty_weighted(student, teacher, 1.0).backward()
    assert teacher.grad is None and student.grad.any()


def test_the_target_is_one_noisy_pass_whose_entropy_stands_for_that_of_others(make_network, batch, progress):
    algorithm = make(make_network)
    calls = []
    algorithm.teacher.register_forward_hook(lambda module, inputs, output: calls.append((inputs[0], output)))
    target, uncertainty = algorithm.teach(batch.image[2:], progress())
    (seen, logits), = calls  # fmt: skip
    assert torch.equal(target, logits) and len(seen) == 2
    assert 0 < (seen - batch.image[2:]).abs().max() <= 0.2 + 1e-6
    p = logits.softmax(1)
    torch.testing.assert_close(uncertainty, -(p * p.log()).sum(1))


def test_without_unlabeled_patches_there_is_no_consistency(make_network, batch, progress):
    for options in ({}, {"mask": "ambiguous"}, {"weighting": "uncertainty"}):
        step = make(make_network, **options).losses(Batch(batch.image[:2], batch.label), progress())
        assert set(step.terms) == {"cross_entropy", "dice_loss"}


def test_thresholds_and_the_exponent_go_from_end_to_end():
    assert ramps.ambiguity_threshold(0) == pytest.approx((0.75 + 0.2 * math.exp(-5)) * LN2)
    assert ramps.ambiguity_threshold(1) == pytest.approx(0.95 * LN2)
    assert [ramps.falling_exponent(t) for t in (0, 0.5, 1)] == pytest.approx([5, math.sqrt(2.5), 0.5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": "certain"}, "passes is 0 and mask is 'certain'; expected passes above 0 with mask certain"),
        ({"passes": 8}, "passes is 8 and mask is 'all'; expected passes above 0 with mask certain, else 0"),
        ({"mask": "ambiguous", "passes": 8}, "passes is 8 and mask is 'ambiguous'"),
        ({"weighting": "uncertainty", "consistency": "kl"}, "requires mask all and consistency mse"),
        ({"weighting": "uncertainty", "mask": "ambiguous"}, "requires mask all and consistency mse"),
    ],
)
def test_options_that_contradict_each_other_are_refused(make_network, options, message):
    with pytest.raises(ValueError, match=message):
        make(make_network, **options)
