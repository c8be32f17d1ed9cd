"""The margin of two classes, and Kullback-Leibler divergences of two predictions."""

import math

import pytest
import torch

from lassl.learning.margins import kl, margin, symmetric_kl


def logits(*margins):
    """Logits (1, 2, n, 1, 1) whose foreground minus background is given."""
    m = torch.tensor(margins).view(1, -1, 1, 1)
    return torch.stack([-0.25 * m, 0.75 * m], 1)


def test_the_margin_is_foreground_minus_background_in_single_precision():
    of_halves = torch.tensor([[0.5, 2.0], [3.0, -1.0]], dtype=torch.float16)[None, :, :, None, None]
    assert margin(of_halves).flatten().tolist() == [2.5, -3.0] and margin(of_halves).dtype == torch.float32
    x = logits(0.7, -40.0).requires_grad_()
    margin(x).sigmoid().sum().backward()
    torch.testing.assert_close(margin(x).sigmoid(), x.softmax(1)[:, 1])
    assert torch.equal(x.grad[:, 0], -x.grad[:, 1])


def of_three_quarters_and_a_half(p=0.75, q=0.5):
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def test_kl_is_that_of_the_classes_in_nats():
    found = kl(logits(math.log(3.0), 0.0), logits(0.0, math.log(3.0)))
    expected = [of_three_quarters_and_a_half(), of_three_quarters_and_a_half(0.5, 0.75)]
    assert found.shape == (1, 2, 1, 1) and found.flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_both_equal_the_sums_over_the_classes():
    a, b = torch.randn(2, 3, 2, 4, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    p, q = a.softmax(1), b.softmax(1)
    forth, back = (p * (p / q).log()).sum(1), (q * (q / p).log()).sum(1)
    torch.testing.assert_close(kl(a, b).double(), forth, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(symmetric_kl(a, b).double(), forth + back, atol=1e-5, rtol=1e-4)


def test_equal_predictions_do_not_diverge_and_extreme_ones_stay_finite():
    same, far = logits(-200.0, 0.0, 200.0), logits(200.0, 200.0, -200.0)
    for function in (kl, symmetric_kl):
        assert not function(same, same + 3).any()
        target = same.clone().requires_grad_()
        prediction = far.clone().requires_grad_()
        value = function(target, prediction)
        value.sum().backward()
        assert all(x.isfinite().all() for x in (value, target.grad, prediction.grad))
        assert value[0, 0].item() == (200 if function is kl else 400)


def test_the_gradient_of_kl_by_the_prediction_is_the_difference_of_the_probabilities():
    target, prediction = logits(1.0, -2.0), logits(0.5, 3.0).requires_grad_()
    kl(target, prediction).sum().backward()
    torch.testing.assert_close(prediction.grad, prediction.detach().softmax(1) - target.softmax(1))


def test_half_precision_logits_are_computed_in_single():
    a, b = logits(9.0).bfloat16(), logits(8.0).bfloat16()
    assert kl(a, b).dtype == symmetric_kl(a, b).dtype == torch.float32
    torch.testing.assert_close(kl(a, b), kl(a.float(), b.float()))
