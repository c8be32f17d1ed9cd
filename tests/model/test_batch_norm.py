"""The fast batch norm against torch's."""

import pytest
import torch
from torch import nn

from lassl.model.batch_norm import BatchNorm3d

CHANNELS_LAST = torch.channels_last_3d


def pair(channels: int) -> tuple[BatchNorm3d, nn.BatchNorm3d]:
    """Ours and torch's with the same odd weights."""
    torch.manual_seed(0)
    ours, theirs = BatchNorm3d(channels), nn.BatchNorm3d(channels)
    nn.init.uniform_(ours.weight, 0.5, 2)
    nn.init.uniform_(ours.bias, -1, 1)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def volume(channels: int, size=(8, 6, 4), dtype=torch.float32) -> torch.Tensor:
    """Channels of unequal mean and spread, whose neighboring voxels differ, too."""
    torch.manual_seed(1)
    x = torch.randn(2, channels, *size) * torch.arange(1, channels + 1).view(-1, 1, 1, 1)
    x += torch.arange(channels).view(-1, 1, 1, 1) - 2.0 * torch.arange(size[2])
    return x.to(dtype).contiguous(memory_format=CHANNELS_LAST)


@pytest.mark.parametrize("channels", [1, 2, 8, 16, 32])
def test_output_statistics_and_gradients_equal_those_of_torch(channels):
    ours, theirs = pair(channels)
    weights = torch.randn(2, channels, 8, 6, 4)
    found = []
    for norm in (ours, theirs):
        x = volume(channels).requires_grad_()
        y = torch.relu_(norm(x))
        (y * weights).sum().backward()
        found.append([y, x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)
    assert ours.num_batches_tracked == theirs.num_batches_tracked == 1
    assert found[0][0].is_contiguous(memory_format=CHANNELS_LAST)


def test_in_bf16_it_is_as_near_to_the_truth_as_torch():
    ours, theirs = pair(8)
    exact = nn.BatchNorm3d(8)
    exact.load_state_dict(ours.state_dict())
    weights = torch.randn(2, 8, 8, 6, 4)
    errors = []
    truth = volume(8, dtype=torch.bfloat16).float().requires_grad_()
    (exact(truth) * weights).sum().backward()
    for norm in (ours, theirs):
        x = volume(8, dtype=torch.bfloat16).requires_grad_()
        y = norm(x)
        assert y.dtype == torch.bfloat16 and norm.weight.dtype == norm.running_mean.dtype == torch.float32
        (y * weights).sum().backward()
        errors.append([(x.grad.float() - truth.grad).norm(), (norm.weight.grad - exact.weight.grad).norm()])
        torch.testing.assert_close(norm.running_var, exact.running_var, rtol=1e-3, atol=1e-3)
    assert all(a < 1.5 * b + 1e-3 for a, b in zip(*errors, strict=True))


def test_what_does_not_fit_goes_the_usual_way_bit_for_bit():
    for channels, x in (
        (3, volume(3)),
        (8, volume(8, (3, 5, 1))),  # 240 values: no multiple of 64
        (8, volume(8).contiguous()),
        (64, volume(64)),
    ):
        ours, theirs = pair(channels)
        assert torch.equal(ours(x), theirs(x))
    ours, theirs = pair(8)
    assert torch.equal(ours.eval()(volume(8)), theirs.eval()(volume(8)))


def test_a_frozen_average_stays_as_it_is():
    norm, _ = pair(8)
    norm.momentum = 0.0
    norm(volume(8))
    assert torch.equal(norm.running_mean, torch.zeros(8)) and torch.equal(norm.running_var, torch.ones(8))


def test_a_pass_of_the_usual_way_can_be_followed_by_a_fast_one_before_backward():
    """As where a step passes batches of different sizes, of which one does not fill the 64 lanes."""
    found = []
    for norm in pair(2):
        odd, full = volume(2, (3, 5, 3)).requires_grad_(), volume(2).requires_grad_()
        (norm(odd).square().sum() + norm(full).sum()).backward()
        found.append([odd.grad, full.grad, norm.weight.grad, norm.running_mean, norm.running_var])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)
