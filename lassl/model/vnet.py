"""The V-Net of Milletari et al. 2016 as the field uses it: added skips, batch norm, an optional residual path."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lassl.images.geometry import Triple
from lassl.model.batch_norm import BatchNorm3d
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Network
from lassl.settings.values import Halvings


class Stage(nn.Module):
    """`depth` 3x3x3 convolutions with batch norm and ReLU; with `residual`, the input is added before the last ReLU.

    The input has as many channels as the output, or one (the image), which is then added to every channel. Of an
    `image` of several channels their mean is added.
    """

    def __init__(self, inputs: int, outputs: int, depth: int, residual: bool, image: bool = False):
        super().__init__()
        widths = [inputs] + [outputs] * depth
        self.convolutions = nn.ModuleList(nn.Conv3d(a, b, kernel_size=3, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(BatchNorm3d(outputs) for _ in range(depth))
        self.residual = residual
        self.averages = image and inputs > 1

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, X, Y, Z) to (N, outputs, X, Y, Z)."""
        h = x
        last = len(self.norms) - 1
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            h = norm(convolution(h))
            if self.residual and i == last:
                h = h + (x.mean(1, keepdim=True) if self.averages else x)
            h = torch.relu_(h)
        return h


def down(inputs: int, factors: Triple = (2, 2, 2)) -> nn.Sequential:
    """Divide the axes by these factors, 1 or 2, and double the channels."""
    return nn.Sequential(
        nn.Conv3d(inputs, 2 * inputs, kernel_size=factors, stride=factors),
        BatchNorm3d(2 * inputs),
        nn.ReLU(inplace=True),
    )


def up(inputs: int, factors: Triple = (2, 2, 2)) -> nn.Sequential:
    """Multiply the axes by these factors, 1 or 2, and halve the channels."""
    return nn.Sequential(
        nn.ConvTranspose3d(inputs, inputs // 2, kernel_size=factors, stride=factors),
        BatchNorm3d(inputs // 2),
        nn.ReLU(inplace=True),
    )


def multiples(multiple: Triple) -> str:
    """Write numbers of voxels along x, y, z, such as 16, or 16 x 16 x 4."""
    return str(multiple[0]) if len(set(multiple)) == 1 else " x ".join(map(str, multiple))


class VNet(nn.Module):
    """Image (N, C, X, Y, Z) to logits (N, classes, X, Y, Z), background first; X, Y, Z multiples of 16, see `halve`.

    C is `channels`. `width` is the number of channels of the first stage, doubled at each of four halvings. `residual`
    adds a stage's input to its output. `dropout` is the probability of the two dropouts, at the bottom and before the
    last convolution; `classes` counts the background. `halve` has the factors, 1 or 2, by which each halving divides x,
    y and z, for images with thick slices. With the defaults it has 9.449 M parameters; without the residual path it is
    the network behind the published figures. `config` stands for the six. Raises ValueError for a value out of range.
    """

    def __init__(
        self,
        config: Network | None = None,
        *,
        width: int = 16,
        residual: bool = True,
        dropout: float = 0.5,
        classes: int = 2,
        channels: int = 1,
        halve: Halvings | None = None,
    ) -> None:
        super().__init__()
        if config is None:
            config = Network(
                width=width, residual=residual, dropout=dropout, classes=classes, channels=channels, halve=halve
            )
        elif (width, residual, dropout, classes, channels, halve) != (16, True, 0.5, 2, 1, None):
            raise ValueError(
                "VNet: found both a config and width, residual, dropout, classes, channels or halve; give one of them"
            )
        self.multiple, self.channels = config.multiple, config.channels
        w = [config.width * 2**i for i in range(5)]

        def stage(width: int, depth: int) -> Stage:
            return Stage(width, width, depth, config.residual)

        first = Stage(config.channels, w[0], 1, config.residual, image=True)
        self.encoder = nn.ModuleList([first, stage(w[1], 2), stage(w[2], 3), stage(w[3], 3)])
        self.downs = nn.ModuleList(down(c, factors) for c, factors in zip(w[:4], config.halvings, strict=True))
        self.bottom = nn.Sequential(stage(w[4], 3), nn.Dropout3d(config.dropout))
        self.ups = nn.ModuleList(up(c, factors) for c, factors in zip(w[:0:-1], config.halvings[::-1], strict=True))
        self.decoder = nn.ModuleList([stage(w[3], 3), stage(w[2], 3), stage(w[1], 2), stage(w[0], 1)])
        self.head = nn.Sequential(nn.Dropout3d(config.dropout), nn.Conv3d(w[0], config.classes, kernel_size=1))

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits."""
        logits: Tensor = self.head(self.decode(self.encode(image)))
        return logits

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of five scales: (N, w, X, Y, Z), (N, 2w, X/2, Y/2, Z/2), ..., (N, 16w, X/16, Y/16, Z/16).

        Axes that `halve` leaves alone stay longer. Raises LasslError for another shape than (N, C, X, Y, Z), and for a
        size that cannot be halved so often.
        """
        if image.ndim != 5 or image.shape[1] != self.channels:
            several = self.channels > 1
            raise LasslError(
                f"V-Net: found a tensor of shape {tuple(image.shape)}, expected (N, {self.channels}, X, Y, Z): images, "
                f"{f'{self.channels} channels' if several else 'one channel'}, three axes; "
                f"{'give all channels' if several else 'add the axes that are missing, as in image[None, None]'}"
            )
        if any(n % m for n, m in zip(image.shape[2:], self.multiple, strict=True)):
            sizes = [int(n) for n in image.shape[2:]]
            odd = ", ".join(f"{n} along {a}" for a, n, m in zip("xyz", sizes, self.multiple, strict=True) if n % m)
            raise LasslError(
                f"V-Net: found an image of {' x '.join(map(str, sizes))} voxels, expected multiples of "
                f"{multiples(self.multiple)} (not {odd}), since it halves the axes; pad the image, or see it in windows"
            )
        h = image
        features = []
        for stage, halve in zip(self.encoder, self.downs, strict=True):
            features.append(stage(h))
            h = halve(features[-1])
        return [*features, self.bottom(h)]

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Decode the features of all scales to (N, w, X, Y, Z), from which `head` computes logits."""
        *skips, h = features
        for stage, double in zip(self.decoder, self.ups, strict=True):
            h = stage(double(h) + skips.pop())
        return h
