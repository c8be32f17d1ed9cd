"""Losses, measures and windows on a GPU are those of the CPU."""

import pytest
import torch

from lassl.evaluation.inference import Windows, sliding_window
from lassl.learning import losses
from lassl.model.placement import Placement
from lassl.model.vnet import VNet
from lassl.settings.sections import Network

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA"),
]


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(2, 2, 12, 10, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["cross_entropy", "dice_loss", "lovasz_softmax", "hard_dice"])
def test_a_loss_and_its_gradient_are_those_of_the_cpu(name, logits):
    label = (torch.rand(2, 12, 10, 8, generator=torch.Generator().manual_seed(1)) > 0.7).to(torch.uint8)
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        x = logits.detach().to(device).requires_grad_()
        value = getattr(losses, name)(x, label.to(device))
        values.append(value.detach().cpu())
        if name != "hard_dice":
            gradients.append(torch.autograd.grad(value, x)[0].cpu())
    torch.testing.assert_close(values[1], values[0], rtol=1e-5, atol=1e-6)
    if gradients:
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_consistency_is_that_of_the_cpu(kind, logits):
    teacher, mask = logits.flip(0), logits[:, 0] > 0
    found, expected = (losses.consistency(logits.to(d), teacher.to(d), mask.to(d), kind).cpu() for d in ("cuda", "cpu"))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3])
def test_windows_over_a_volume_give_the_map_of_the_cpu(batch):
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    network = VNet(Network(width=4, residual=False, dropout=0.1)).eval()
    image = torch.randn(37, 30, 21)
    windows = Windows(1, (32, 16, 16), (16, 8, 8), batch)
    found = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        where = Placement(device, torch.float32, channels_last=False)
        found.append(sliding_window(where.module(network), image.to(device), windows, where).cpu())
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
