"""Losses against naive versions and at their limits."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.learning.losses import consistency, cross_entropy, dice_loss, entropy, hard_dice, lovasz_softmax

SHAPE = (2, 3, 4, 5)  # N, X, Y, Z
SUPERVISED = [cross_entropy, dice_loss, lovasz_softmax]


def random_logits(seed=0, scale=2.0):
    """Logits (2, 2, 3, 4, 5)."""
    return scale * torch.randn(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(seed))


def random_label(seed=0):
    """Labels (2, 3, 4, 5), about a third foreground."""
    return (torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed + 100)) < 0.3).to(torch.uint8)


def logits_of(label, strength):
    """Logits that are right by a margin of twice the strength."""
    foreground = strength * (2.0 * label - 1)
    return torch.stack([-foreground, foreground], dim=1)


def naive_cross_entropy(logits, label):
    return F.cross_entropy(logits, label.long())


def naive_dice_loss(logits, label):
    p, y = logits.softmax(1)[:, 1], label.float()
    return 1 - (2 * (p * y).sum() + 1e-5) / ((p**2).sum() + (y**2).sum() + 1e-5)


def naive_lovasz(logits, label):
    """One sort per class; the Jaccard loss when the k worst voxels are wrong, and its differences, in float64."""
    losses = []
    for c in (0, 1):
        truth = (label == c).flatten().double()
        if not truth.any():
            continue
        probability = logits.double().softmax(1)[:, c].flatten()
        errors, order = (truth - probability).abs().sort(descending=True)
        intersection = truth.sum() - truth[order].cumsum(0)
        union = truth.sum() + (1 - truth[order]).cumsum(0)
        jaccard = 1 - intersection / union
        steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        losses.append((errors * steps).sum())
    return torch.stack(losses).mean()


def naive_kl(student, teacher, mask):
    q, log_p = teacher.softmax(1), student.log_softmax(1)
    distance = (q * (q.log() - log_p)).sum(1)
    return (mask * distance).sum() / (2 * mask.sum())


def naive_mse(student, teacher, mask):
    distance = ((student.softmax(1) - teacher.softmax(1)) ** 2).sum(1)
    return (mask * distance).sum() / (2 * mask.sum())


PAIRS = [(cross_entropy, naive_cross_entropy), (dice_loss, naive_dice_loss), (lovasz_softmax, naive_lovasz)]


@pytest.mark.parametrize(("loss", "naive"), PAIRS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_loss_and_its_gradient_equal_the_naive_version(loss, naive, seed):
    logits, label = random_logits(seed).requires_grad_(), random_label(seed)
    fast, slow = loss(logits, label), naive(logits, label)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-5)
    torch.testing.assert_close(torch.autograd.grad(fast, logits), torch.autograd.grad(slow, logits))


@pytest.mark.parametrize("loss", SUPERVISED)
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.bool])
def test_the_label_may_be_any_integer_or_bool(loss, kind):
    logits, label = random_logits(), random_label()
    assert loss(logits, label.to(kind)) == loss(logits, label)


@pytest.mark.parametrize("loss", SUPERVISED)
def test_half_precision_logits_in_channels_last_are_computed_in_float32(loss):
    half, label = random_logits().bfloat16(), random_label()
    result = loss(half.contiguous(memory_format=torch.channels_last_3d), label)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, loss(half.float(), label))


@pytest.mark.parametrize("loss", SUPERVISED)
def test_a_sure_and_right_prediction_costs_nothing(loss):
    label = random_label()
    assert loss(logits_of(label, 40.0), label).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("loss", "worst"), [(cross_entropy, 80.0), (dice_loss, 1.0), (lovasz_softmax, 1.0)])
def test_a_sure_and_wrong_prediction_costs_the_most(loss, worst):
    label = random_label()
    assert loss(logits_of(1 - label, 40.0), label).item() == pytest.approx(worst, rel=1e-5)


@pytest.mark.parametrize("loss", SUPERVISED)
@pytest.mark.parametrize("label", [torch.zeros(SHAPE, dtype=torch.long), torch.ones(SHAPE, dtype=torch.long)])
def test_extreme_logits_and_labels_of_one_class_give_finite_losses_and_gradients(loss, label):
    logits = random_logits(scale=1e6).requires_grad_()
    result = loss(logits, label)
    result.backward()
    assert result.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("label", [torch.zeros(SHAPE, dtype=torch.long), torch.ones(SHAPE, dtype=torch.long)])
def test_lovasz_leaves_out_the_class_that_no_label_has(label):
    logits = random_logits()
    assert lovasz_softmax(logits, label).item() == pytest.approx(naive_lovasz(logits, label).item(), rel=1e-5)


def test_lovasz_of_hard_predictions_is_the_mean_jaccard_loss():
    label = torch.tensor([1, 1, 1, 0, 0, 0]).reshape(1, 1, 2, 3)
    predicted = torch.tensor([1, 1, 0, 0, 0, 1]).reshape(1, 1, 2, 3)
    # either class: 2 voxels in both, 4 in the union
    assert lovasz_softmax(logits_of(predicted, 40.0), label).item() == pytest.approx(0.5)


def test_the_lovasz_gradient_keeps_its_digits_over_many_voxels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 100, 90, 80, generator=generator).requires_grad_()
    label = torch.rand(1, 100, 90, 80, generator=generator) < 0.1
    fast, slow = (torch.autograd.grad(loss(logits, label), logits)[0] for loss in (lovasz_softmax, naive_lovasz))
    torch.testing.assert_close(fast, slow, rtol=1e-3, atol=0)


@pytest.mark.parametrize("loss", [*SUPERVISED, hard_dice])
def test_a_label_that_would_only_broadcast_is_refused(loss):
    with pytest.raises(ValueError, match=r"\(2, 2, 3, 4, 5\).*\(1, 2, 3, 4, 5\)"):
        loss(random_logits(), random_label()[:1])


def test_hard_dice_counts_the_foreground_of_the_whole_batch():
    label = torch.tensor([[1, 1, 0], [0, 0, 1]]).reshape(2, 1, 1, 3)
    predicted = torch.tensor([[1, 0, 0], [1, 0, 1]]).reshape(2, 1, 1, 3)
    assert hard_dice(logits_of(predicted, 1.0), label).item() == pytest.approx(4 / 6)


def test_hard_dice_tells_a_perfect_from_an_empty_prediction():
    label = random_label()
    assert hard_dice(logits_of(label, 0.1), label) == 1
    assert hard_dice(logits_of(torch.zeros_like(label), 0.1), label) == 0


def test_hard_dice_of_two_empty_masks_is_one():
    empty = torch.zeros(SHAPE)
    assert hard_dice(logits_of(empty, 1.0), empty) == 1


def test_hard_dice_has_no_gradient():
    assert not hard_dice(random_logits().requires_grad_(), random_label()).requires_grad


def test_entropy_is_ln_2_where_the_classes_are_even_and_0_where_one_is_sure():
    foreground = torch.tensor([0.5, 0.0, 1.0, 0.25]).reshape(1, 1, 2, 2)
    result = entropy(torch.stack([1 - foreground, foreground], dim=1))
    assert result.shape == (1, 1, 2, 2)
    quarter = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    torch.testing.assert_close(result.flatten(), torch.tensor([math.log(2), 0, 0, quarter]))


@pytest.mark.parametrize(("kind", "naive"), [("mse", naive_mse), ("kl", naive_kl)])
def test_consistency_and_its_gradient_equal_the_naive_version(kind, naive):
    student, teacher, mask = random_logits(0).requires_grad_(), random_logits(1), random_label(2).bool()
    fast, slow = consistency(student, teacher, mask, kind), naive(student, teacher, mask)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-5)
    torch.testing.assert_close(torch.autograd.grad(fast, student), torch.autograd.grad(slow, student))


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_consistency_reaches_the_student_inside_the_mask_and_nobody_else(kind):
    student, teacher, mask = random_logits(0).requires_grad_(), random_logits(1).requires_grad_(), random_label(2)
    consistency(student, teacher, mask.float(), kind).backward()
    assert teacher.grad is None
    reached = student.grad.abs().sum(1) > 0
    assert torch.equal(reached, mask.bool())


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_consistency_is_zero_between_equals_and_where_the_mask_is_empty(kind):
    student, everywhere = random_logits(0), torch.ones(SHAPE, dtype=torch.bool)
    assert consistency(student, student, everywhere, kind) == 0
    assert consistency(student, random_logits(1), ~everywhere, kind) == 0


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_consistency_of_extreme_logits_is_finite_and_bf16_gives_float32(kind):
    student, teacher = random_logits(0, 1e6).bfloat16().requires_grad_(), random_logits(1, 1e6).bfloat16()
    result = consistency(student, teacher, torch.ones(SHAPE), kind)
    result.backward()
    assert result.dtype == torch.float32
    assert result.isfinite()
    assert student.grad.isfinite().all()


def test_total_disagreement_is_one_in_squared_differences():
    label = random_label()
    mask = torch.ones(SHAPE, dtype=torch.bool)
    assert consistency(logits_of(label, 40.0), logits_of(1 - label, 40.0), mask, "mse").item() == pytest.approx(1)


def test_a_mask_with_a_channel_axis_is_refused():
    with pytest.raises(ValueError, match="labels or this mask"):
        consistency(random_logits(0), random_logits(1), torch.ones(2, 1, 3, 4, 5))
