"""A trained model on disk: networks, their shape, and the record of how they came to be."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lassl.config import Network
from lassl.errors import LasslError
from lassl.files import write_bytes
from lassl.vnet import VNet


@dataclass(frozen=True)
class Model:
    """Networks by name, the default first; the configuration that builds them; a record of plain values."""

    config: Network
    networks: Mapping[str, nn.Module]
    record: dict[str, Any]

    def chosen(self, which: str) -> list[nn.Module]:
        """Pick the networks for `evaluate.network`: the default, one by name, or all. Raises LasslError."""
        if which == "ensemble":
            return list(self.networks.values())
        if which == "default":
            return [next(iter(self.networks.values()))]
        if which not in self.networks:
            known = ", ".join(self.networks)
            raise LasslError(f"params.yaml: evaluate.network: the model has no '{which}' (found: {known}); use default")
        return [self.networks[which]]


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
    return Model(config, networks, content["record"])
