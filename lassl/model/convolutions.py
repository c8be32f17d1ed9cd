"""Checks torch's convolutions on this machine: compares a few of the V-Net's in the format of the training with fp32.

Lists of broken versions are never complete: cuDNN 9.8 to 9.10 compute wrong bf16 convolutions of volumes
(pytorch#163539), and so does oneDNN 3.12 on processors with AMX (pytorch#169688). The comparison takes less than a
second.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lassl.images.geometry import Triple
from lassl.settings.values import HALVINGS, Halvings

Convolution = Callable[..., Tensor]  # such as torch.nn.functional.conv3d
TOLERANCE = 0.05  # relative to the largest value; bf16 is within 0.01, and known errors exceeded the value itself
CHANNELS = 64  # enough for torch to use the kernels of large networks


@dataclass(frozen=True)
class Case:
    """A convolution of the V-Net: channels in and out, kernel, stride, padding, size of the input in voxels."""

    inputs: int
    outputs: int
    kernel: Triple
    stride: Triple
    padding: int
    size: Triple

    def __str__(self) -> str:
        """One phrase."""
        kernel, stride, size = ("x".join(map(str, lengths)) for lengths in (self.kernel, self.stride, self.size))
        return f"{kernel} with stride {stride} on {self.inputs} channels of {size}"


def same(channels: int, size: Triple) -> Case:
    """A convolution within a stage."""
    return Case(channels, channels, (3, 3, 3), (1, 1, 1), 1, size)


def halving(channels: int, size: Triple, factors: Triple) -> Case:
    """A convolution that divides the axes by factors and doubles the channels."""
    return Case(channels, 2 * channels, factors, factors, 0, size)


def sizes(patch: Triple, halve: Halvings = HALVINGS) -> list[Triple]:
    """The sizes of features on the five scales of a V-Net, from the patch (X, Y, Z) to the smallest."""
    found = [patch]
    for factors in halve:
        x, y, z = (n // factor for n, factor in zip(found[-1], factors, strict=True))
        found.append((x, y, z))
    return found


def smallest(patch: Triple, halve: Halvings = HALVINGS) -> list[Case]:
    """The convolutions of a patch (X, Y, Z) with the smallest features: the last halving, before and after it."""
    *_, before, after = sizes(patch, halve)
    return [same(CHANNELS, before), halving(CHANNELS, before, halve[-1]), same(2 * CHANNELS, after)]


def largest(patch: Triple, width: int, halve: Halvings = HALVINGS) -> list[Case]:
    """The convolutions of a patch (X, Y, Z) at its full size, in a network whose first stage has `width` channels."""
    return [same(width, patch), halving(width, patch, halve[0])]


def wrong(
    cases: list[Case],
    device: torch.device,
    layout: torch.memory_format,
    autocast: Callable[[], AbstractContextManager[None]],
    convolution: Convolution = F.conv3d,
) -> Iterator[str]:
    """Describe each result or gradient of a convolution that is off by more than TOLERANCE.

    Random numbers come from a separate generator, so that no other random numbers change.
    """
    for case in cases:
        random = torch.Generator().manual_seed(0)
        image = torch.randn(1, case.inputs, *case.size, generator=random)
        weight = torch.randn(case.outputs, case.inputs, *case.kernel, generator=random)
        image, weight = (x.to(device).to(memory_format=layout) for x in (image, weight))
        found = _results(case, image, weight, autocast(), convolution)
        expected = _results(case, image, weight, nullcontext(), F.conv3d)
        for name, value in expected.items():
            off = float((found[name] - value).abs().max() / value.abs().max())
            if not off <= TOLERANCE:  # NaN, too
                yield f"{name} of {case}: off by {off:.1g} of its largest value"


def _results(
    case: Case, image: Tensor, weight: Tensor, context: AbstractContextManager[None], convolution: Convolution
) -> dict[str, Tensor]:
    """The output of a convolution and the gradients of its sum of squares, in fp32."""
    image, weight = image.clone().requires_grad_(), weight.clone().requires_grad_()
    with context:
        output = convolution(image, weight, stride=case.stride, padding=case.padding).float()
    gradients = torch.autograd.grad(output.square().sum(), [image, weight])
    return {"output": output.detach(), "input's gradient": gradients[0], "weights' gradient": gradients[1]}
