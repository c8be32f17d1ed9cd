"""Checkpoints of the field's V-Net, with random weights: the network stated naively, under the names of its code."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

DOWN, UP = ("one", "two", "three", "four", "five"), ("five", "six", "seven", "eight", "nine")
DEPTHS = {"one": 1, "two": 2, "three": 3, "four": 3, "five": 3, "six": 3, "seven": 3, "eight": 2, "nine": 1}


class Block(nn.Module):
    """Layers one after the other, as `conv`."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def stage(number: str, inputs: int, channels: int) -> Block:
    layers: list[nn.Module] = []
    for n in range(DEPTHS[number]):
        layers += [nn.Conv3d(channels if n else inputs, channels, 3, padding=1), nn.BatchNorm3d(channels), nn.ReLU()]
    return Block(*layers)


def encoder(width: int) -> dict[str, nn.Module]:
    """The blocks of the way down."""
    blocks = {f"block_{n}": stage(n, width * 2**i if i else 1, width * 2**i) for i, n in enumerate(DOWN)}
    for i, n in enumerate(DOWN[:-1]):
        c = width * 2**i
        blocks[f"block_{n}_dw"] = Block(nn.Conv3d(c, 2 * c, 2, stride=2), nn.BatchNorm3d(2 * c), nn.ReLU())
    return blocks


def decoder(width: int, heads: Mapping[str, int], interpolated: bool = False) -> dict[str, nn.Module]:
    """The blocks of the way up, and heads by name with their channels."""
    blocks: dict[str, nn.Module] = {}
    for i, (n, after) in enumerate(pairwise(UP)):
        c = width * 2 ** (3 - i)
        doubling = nn.ConvTranspose3d(2 * c, c, 2, stride=2)
        layers = [nn.Upsample(scale_factor=2), nn.Conv3d(2 * c, c, 3, padding=1)] if interpolated else [doubling]
        blocks[f"block_{n}_up"] = Block(*layers, nn.BatchNorm3d(c), nn.ReLU())
        blocks[f"block_{after}"] = stage(after, c, c)
    return blocks | {name: nn.Conv3d(width, channels, 1) for name, channels in heads.items()}


def network(naming: str, width: int = 2, seed: int = 0) -> tuple[dict[str, Tensor], nn.Module]:
    """A checkpoint of a network of the field, and the network, which gives the logits that its mask is made of.

    `naming`: uamt, mcnet, bcp (and SS-Net) or dtc (and SASSNet). All numbers are drawn, those of batch norm too.
    """
    torch.manual_seed(seed)
    down = encoder(width)
    up = decoder(width, {"out_conv": 1, "out_conv2": 1} if naming == "dtc" else {"out_conv": 2})
    parts: dict[str, nn.Module] = {"encoder": nn.ModuleDict(down)}
    if naming == "bcp":
        selectors = ("contrastive_class_selector_0", "contrastive_class_selector_memory1")
        parts |= {name: nn.Linear(3, 3) for name in ("projection_head", "prediction_head", *selectors)}
        parts["decoder"] = nn.ModuleDict(up)
    elif naming == "mcnet":
        other = decoder(width, {"out_conv": 2}, interpolated=True)
        parts |= {"decoder1": nn.ModuleDict(up), "decoder2": nn.ModuleDict(other)}
    else:
        parts = down | up
    theirs = nn.ModuleDict(parts)
    for name, value in theirs.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.fill_(6000)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
        else:
            value.normal_(0, 0.5)
    return theirs.state_dict(), Logits(down, up, "out_conv2" if naming == "dtc" else "out_conv").eval()


class Logits(nn.Module):
    """The way down and up with added skips; one channel is the foreground's logit, that of the background is 0."""

    def __init__(self, down: Mapping[str, nn.Module], up: Mapping[str, nn.Module], head: str):
        super().__init__()
        self.down, self.up, self.head = nn.ModuleDict(down), nn.ModuleDict(up), head

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for n in DOWN[:-1]:
            skips.append(self.down[f"block_{n}"](x))
            x = self.down[f"block_{n}_dw"](skips[-1])
        x = self.down["block_five"](x)
        for n, after in pairwise(UP):
            x = self.up[f"block_{after}"](self.up[f"block_{n}_up"](x) + skips.pop())
        logits = self.up[self.head](x)
        return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits
