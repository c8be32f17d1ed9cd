"""The network that params.yaml names: the V-Net, or a class of one's own.

A network maps images (N, C, X, Y, Z) of C channels, float32, to logits (N, classes, X, Y, Z),
background first: see docs/own-network.md.
"""

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.plumbing.plugins import named, told
from lassl.settings.sections import VNET, Network
from lassl.settings.values import Size


def build_network(config: Network) -> nn.Module:
    """Make a network, its weights drawn from torch's generator.

    A class of one's own gets `classes` if above two, and `channels` if above one. Raises LasslError for a class that
    cannot be imported, is not a network, or does not take the options.
    """
    if config.name == VNET:
        return VNet(config)
    kind = class_of(config.name)
    options = config.options | ({"classes": config.classes} if config.classes > 2 else {})
    options |= {"channels": config.channels} if config.channels > 1 else {}
    try:
        return kind(**options)
    except Exception as error:  # the class may be anybody's
        expected = f"{kind.__name__}{inspect.signature(kind)}"
        raise LasslError(
            f"network {config.name}: cannot be made with network.options {options} ({told(error)}); "
            f"expected options of {expected}"
        ) from None


def class_of(name: str) -> type[nn.Module]:
    """The class under a name such as package.module:Class. Raises LasslError."""
    try:
        found: object = named(name)
    except LasslError as error:
        todo = "restore or install its module, or set PYTHONPATH to the folder that it is in"
        raise LasslError(f"network {name}: {error}; {todo}") from None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise LasslError(f"network {name}: found {found!r}, expected a class that inherits from torch.nn.Module")
    return found


def with_weights(config: Network, weights: Mapping[str, Tensor]) -> nn.Module:
    """Make a network with given weights.

    Raises LasslError as `build_network` does and where a class of one's own changed, RuntimeError for a V-Net.
    """
    network = build_network(config)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        if config.name == VNET:
            raise
        reason = " ".join(str(error).split())
        raise LasslError(
            f"network {config.name}: the weights do not fit the class, which changed since the training ({reason}); "
            "restore the class as it was, or train again"
        ) from None
    return network


def tried(config: Network, size: Size) -> nn.Module:
    """Make a network and see that two patches (X, Y, Z) become logits, in training and in evaluation.

    No chance of others is moved. Raises LasslError.
    """
    shape, expected = (2, config.channels, *size), (2, config.classes, *size)
    with torch.random.fork_rng([]), torch.no_grad():
        network = build_network(config)
        for training in (True, False):
            where = f"network {config.name}: on two patches of {' x '.join(map(str, size))} voxels (patches.size)"
            try:
                logits = network.train(training)(torch.randn(shape))
            except Exception as error:
                raise LasslError(
                    f"{where} it fails: {told(error)}; expected logits {expected} from an image {shape}"
                ) from None
            found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            if found != expected:
                mode = "training" if training else "evaluation"
                raise LasslError(
                    f"{where} it gives {found} in {mode}, expected logits {expected}: one for each of {config.classes} "
                    "classes, background first"
                )
    return network
