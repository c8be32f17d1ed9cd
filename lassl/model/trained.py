"""A trained model on disk: networks, their configuration, and the record of their training."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from lassl.model.network import with_weights
from lassl.model.record import Trained
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes
from lassl.settings.sections import Network

ENSEMBLE = "ensemble"  # the mean of all networks


@dataclass(frozen=True)
class TrainedModel:
    """Networks by name, the default first; the configuration that builds them; the record of their training.

    `snapshots` are earlier weights of the default network, by the number of steps after which they were taken.
    """

    config: Network
    networks: Mapping[str, nn.Module]
    record: Trained
    snapshots: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Build the model from the content of a file. Raises the errors of its parts if the content is wrong."""
        config = Network.model_validate(content["network"])
        networks = {name: with_weights(config, weights) for name, weights in content["weights"].items()}
        return cls(config, networks, Trained.model_validate(content["record"]), content.get("snapshots", {}))

    @property
    def steps(self) -> int:
        """The number of training steps."""
        return self.record.settings.train.steps

    @property
    def default(self) -> str:
        """The name of the network that is evaluated by default: the first."""
        return next(iter(self.networks))

    def after(self, step: int | None) -> dict[str, nn.Module]:
        """The networks at the end (None), or only the default one as it was after a number of steps."""
        if step is None or step == self.steps:
            return dict(self.networks)
        return {self.default: with_weights(self.config, self.snapshots[step])}

    def named(self, which: str, key: str) -> str:
        """The name of the network requested at `key`: default, ensemble (of several), or a name.

        Raises LasslError if the model does not have it.
        """
        if which == "default":
            return self.default
        if which not in self.networks and (which != ENSEMBLE or len(self.networks) == 1):
            known = ", ".join(self.networks)
            raise LasslError(f"{key}: the model has no '{which}' (found: {known}); use one of these or default")
        return which

    def members(self, name: str, step: int | None = None) -> dict[str, nn.Module]:
        """The networks to average for a name (see `named`), after a step (see `after`)."""
        networks = self.after(step)
        return networks if name == ENSEMBLE else {name: networks[name]}


def save_model(path: Path, model: TrainedModel) -> None:
    """Write a model; its record gets the hash of all weights, which serves to compare trainings."""
    weights = {name: {k: v.cpu() for k, v in n.state_dict().items()} for name, n in model.networks.items()}
    digest = hashlib.sha256()
    for network in weights.values():
        for value in network.values():
            digest.update(value.contiguous().numpy().tobytes())
    content = {
        "network": model.config.model_dump(),
        "weights": {n: {k: v.contiguous() for k, v in w.items()} for n, w in weights.items()},
        "snapshots": {step: dict(weights) for step, weights in model.snapshots.items()},
        "record": {**model.record.plain(), "weights_sha256": digest.hexdigest()},
    }
    buffer = io.BytesIO()  # writing to a path, torch reports a full disk only as "failed writing"
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load_model(path: Path) -> TrainedModel:
    """Read a model onto the CPU without running code from the file. Raises LasslError."""
    try:
        return TrainedModel.of(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise LasslError(f"{path}: not found; `dvc repro` trains it") from None
    except LasslError as error:  # of its network's class
        raise LasslError(f"{path}: {error}") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        raise LasslError(f"{path}: not a readable model ({error}); delete it and run `dvc repro`") from None
