"""Networks of somebody's own: a small U-Net, and some that are not what a network has to be."""

import torch
from torch import Tensor, nn


def block(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution, instance norm and ReLU."""
    return nn.Sequential(nn.Conv3d(inputs, outputs, 3, padding=1), nn.InstanceNorm3d(outputs, affine=True), nn.ReLU())


class SmallUNet(nn.Module):
    """A U-Net of three scales with concatenated skips: image (N, 1, X, Y, Z) to logits (N, classes, X, Y, Z)."""

    def __init__(self, width: int = 4, dropout: float = 0.1, classes: int = 2):
        super().__init__()
        self.first, self.second = block(1, width), block(width, 2 * width)
        self.bottom = nn.Sequential(block(2 * width, 4 * width), nn.Dropout3d(dropout))
        self.pool, self.up = nn.MaxPool3d(2), nn.Upsample(scale_factor=2)
        self.third, self.last = block(6 * width, 2 * width), block(3 * width, width)
        self.logits = nn.Conv3d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits."""
        fine = self.first(image)
        middle = self.second(self.pool(fine))
        h = self.bottom(self.pool(middle))
        h = self.third(torch.cat([middle, self.up(h)], 1))
        logits: Tensor = self.logits(self.last(torch.cat([fine, self.up(h)], 1)))
        return logits


class TwoOnly(SmallUNet):
    """A network for one structure, whatever is asked."""

    def __init__(self, width: int = 4):
        super().__init__(width)


class OneLogit(SmallUNet):
    """A network whose sigmoid is the foreground."""

    def forward(self, image: Tensor) -> Tensor:
        """Compute one logit."""
        return super().forward(image)[:, :1]


class DeeplySupervised(SmallUNet):
    """A network that gives several outputs while it trains."""

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits, in training as a list."""
        logits = super().forward(image)
        return [logits] if self.training else logits  # type: ignore[return-value]


class Thirds(SmallUNet):
    """A network for sizes that can be divided by 3."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.up = nn.MaxPool3d(3), nn.Upsample(scale_factor=3)


class Folded(SmallUNet):
    """A network with an operation that ONNX lacks."""

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits of an image that went through a Fourier transform and back."""
        return super().forward(torch.fft.ifftn(torch.fft.fftn(image)).real)
