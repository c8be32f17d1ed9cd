"""A trained model on disk: networks, their shape, and the record of how they came to be."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lassl.config import Network
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes


@dataclass(frozen=True)
class Model:
    """Networks by name, the default first; the configuration that builds them; a record of plain values.

    `snapshots` are earlier weights of the default network, by the number of steps after which they were taken.
    """

    config: Network
    networks: Mapping[str, nn.Module]
    record: dict[str, Any]
    snapshots: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many steps the training had."""
        steps: int = self.record["settings"]["train"]["steps"]
        return steps

    def after(self, step: int | None) -> dict[str, nn.Module]:
        """Give the networks at the end (None), or the default one alone as it was after a number of steps."""
        if step is None or step == self.steps:
            return dict(self.networks)
        network = VNet(self.config)
        network.load_state_dict(self.snapshots[step])
        return {next(iter(self.networks)): network}

    def named(self, which: str) -> str:
        """Name the network that `evaluate.network` asks for. Raises LasslError if the model has none such."""
        names = list(self.networks)
        if which == "default":
            return names[0]
        if which not in names and (which != "ensemble" or len(names) == 1):
            known = ", ".join(names)
            raise LasslError(f"params.yaml: evaluate.network: the model has no '{which}' (found: {known}); use default")
        return which


def save(path: Path, model: Model) -> None:
    """Write a model; its record gets the hash of all weights, by which two trainings are compared."""
    weights = {name: {k: v.cpu() for k, v in n.state_dict().items()} for name, n in model.networks.items()}
    digest = hashlib.sha256()
    for network in weights.values():
        for value in network.values():
            digest.update(value.contiguous().numpy().tobytes())
    content = {
        "network": model.config.model_dump(),
        "weights": {n: {k: v.contiguous() for k, v in w.items()} for n, w in weights.items()},
        "snapshots": {step: dict(weights) for step, weights in model.snapshots.items()},
        "record": model.record | {"weights_sha256": digest.hexdigest()},
    }
    buffer = io.BytesIO()  # torch tells a full disk from a path no better than "failed writing"
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> Model:
    """Read a model onto the CPU without running code from the file. Raises LasslError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise LasslError(f"{path}: not found; `dvc repro` trains it") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        raise LasslError(f"{path}: is no readable model ({error}); delete it and run `dvc repro`") from None
    config = Network.model_validate(content["network"])
    networks = {}
    for name, weights in content["weights"].items():
        networks[name] = VNet(config)
        networks[name].load_state_dict(weights)
    return Model(config, networks, content["record"], content["snapshots"])
