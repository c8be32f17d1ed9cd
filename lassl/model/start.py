"""Finds the file of a model, and reads the weights with which a training starts (`train.start`)."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lassl.model.weights_file import content_hash, plain_content
from lassl.paths import MODELS
from lassl.plumbing.errors import LasslError, note
from lassl.settings.sections import Network

SHIPPED = Path(__file__).parents[1] / "predict" / "weights"  # models that come with lassl


@dataclass(frozen=True)
class Start:
    """The weights of a model's default network by tensor, and the sha256 of the model's file.

    `classes` are the numbers of its classes and of those that are trained, None where these are equal; `channels` are
    likewise those of a scan.
    """

    path: Path
    sha256: str
    weights: dict[str, Tensor]
    classes: tuple[int, int] | None = None
    channels: tuple[int, int] | None = None

    def into(self, networks: Iterable[nn.Module]) -> None:
        """Load the weights into networks; where classes or channels differ, layers are left aside, which is told.

        These are the head or the first convolution, those of another size: they keep the network's own weights. Raises
        LasslError where the others do not fit.
        """
        told = [f"{pair[0]} classes, expected {pair[1]}" for pair in [self.classes] if pair]
        told += [f"{pair[0]} channel{'s' * (pair[0] > 1)}, expected {pair[1]}" for pair in [self.channels] if pair]
        left: list[str] = []
        for network in networks:
            own = network.state_dict()
            left = [key for key in self.other_sizes(own) if told]
            try:
                network.load_state_dict(self.weights | {key: own[key] for key in left})
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise LasslError(f"train.start: {self.path}: the weights do not fit the network ({reason})") from None
            if len(left) == len(own):
                raise LasslError(
                    f"train.start: {self.path}: no layer has the size of the network's; name another model"
                )
        if told:
            layers = sorted({key.rpartition(".")[0] for key in left})
            begin = "begins with weights of its own" if len(layers) == 1 else "begin with weights of their own"
            note(
                f"note: train.start: {self.path}: {', '.join(told)}; took all layers but {', '.join(layers)}, "
                f"which {begin}"
            )

    def other_sizes(self, own: Mapping[str, Tensor]) -> list[str]:
        """The tensors of the same name and another size."""
        return [key for key, value in self.weights.items() if key in own and own[key].shape != value.shape]


def find_model(name: str) -> Path:
    """Find the file of a model: a path, one of SHIPPED, or a run of models/ named as profile/method-d0-s0.

    Raises LasslError.
    """
    if (path := Path(name)).is_file() or name.endswith(".pt"):
        candidates = [path]
    else:
        candidates = [SHIPPED / f"{name}.pt", MODELS / f"{name}.pt"]
    for path in candidates:
        if path.is_file():
            return path
    runs = sorted(p.relative_to(MODELS).with_suffix("").as_posix() for p in MODELS.glob("*/*.pt"))
    shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.pt"))) or "none"
    raise LasslError(
        f"{path}: no such model; expected one that comes with lassl ({shipped}), a run such as quick/cps-d0-s0 (found "
        f"in {MODELS}/: {', '.join(runs) or 'none'}), or a .pt file"
    )


def read_start(name: str, network: Network) -> Start:
    """Read the weights of a model, named as for `find_model`, for a network of these settings.

    Raises LasslError for a model that does not exist or is damaged, and for one with another network. The dropout, the
    classes and the channels may differ.
    """
    try:
        path = find_model(name)
    except LasslError as error:
        raise LasslError(f"train.start: {error}") from None
    content = plain_content(path, "name a model of a training or of `lassl export` as train.start")
    try:
        found, weights = parts(content)
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration):  # ValidationError is a ValueError
        raise LasslError(
            f"train.start: {path}: not a model of a training or of `lassl export`, or damaged; export or copy it again"
        ) from None
    if shape(found) != shape(network):
        raise LasslError(
            f"train.start: {path}: found a network with {shape(found)}, expected {shape(network)} as in params.yaml; "
            "set network.* as in the model, or name another model"
        )
    numbers = [(found.classes, network.classes), (found.channels, network.channels)]
    unlike = [(one, other) if one != other else None for one, other in numbers]
    return Start(path, hashlib.sha256(path.read_bytes()).hexdigest(), weights, *unlike)


def parts(content: Any) -> tuple[Network, dict[str, Tensor]]:
    """The network of a model's file, and the weights of its default network in single precision.

    Raises what the parts raise where something else is in it, and ValueError for an exported file that was edited.
    """
    if "sha256" in content and content["sha256"] != content_hash(content):
        raise ValueError("its content is not what was written")
    weights = next(iter(content["weights"].values()))
    single = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in weights.items()}
    return Network.model_validate(content["network"]), single


def shape(network: Network) -> dict[str, Any]:
    """The settings of a network on which its tensors depend, other than those of the head and the first convolution."""
    left = ("dropout", "classes", "channels")
    return {key: value for key, value in network.model_dump().items() if key not in left}
