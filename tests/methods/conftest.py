"""What the tests of methods that look inside the V-Net share: a small one, and patches that it takes."""

from collections.abc import Callable

import pytest
import torch

from lassl.data.patches import Batch
from lassl.model.vnet import VNet
from lassl.settings.sections import Network


@pytest.fixture
def make_vnet() -> Callable[[], VNet]:
    """V-Nets of width 2 and dropout 0.5, drawn from seed 0."""
    torch.manual_seed(0)
    return lambda: VNet(Network(width=2, residual=False, dropout=0.5))


@pytest.fixture
def cubes() -> Batch:
    """Two labeled and two unlabeled patches of 16 x 16 x 16 voxels."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(4, 1, 16, 16, 16, generator=generator)
    return Batch(image, (image[:2, 0] > 0.3).to(torch.uint8))


@pytest.fixture
def bars() -> Batch:
    """Two labeled and two unlabeled patches of 48 x 16 x 16 voxels: with 16 along x gradients are wrong in bf16."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(4, 1, 48, 16, 16, generator=generator)
    return Batch(image, (image[:2, 0] > 0.3).to(torch.uint8))
