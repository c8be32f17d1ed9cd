"""A model whose weights were trained elsewhere: a checkpoint of the field's V-Net, and the record of its origin."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from lassl.evaluation.external_record import Imported
from lassl.model.lineage import ADVICE, translated
from lassl.model.vnet import VNet
from lassl.model.weights_file import plain_content
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Network

NETWORK = "network"  # its name in the model
WRAPPERS = ("net", "state_dict", "model")  # names under which a file may hold the dictionary, among other things
PARALLEL = "module."  # in front of all names where the network was trained on several GPUs


@dataclass(frozen=True)
class ImportedModel:
    """One network, the configuration that builds it, and where its weights come from."""

    config: Network
    network: nn.Module
    record: Imported

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Build the model that a file holds. Raises what the parts raise where something else is in it."""
        config = Network.model_validate(content["network"])
        return cls(config, network_of(config, content["weights"][NETWORK]), Imported.model_validate(content["record"]))

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The network by its name."""
        return {NETWORK: self.network}

    @property
    def default(self) -> str:
        """The name of the network."""
        return NETWORK

    def named(self, which: str, key: str) -> str:
        """Name the network that is asked for at `key`. Raises LasslError for another than the only one."""
        if which not in ("default", NETWORK):
            raise LasslError(f"{key}: the model has no '{which}' (found: {NETWORK}); use default")
        return NETWORK

    def members(self, name: str) -> dict[str, nn.Module]:
        """Give the network under its name."""
        return {name: self.network}


def network_of(config: Network, weights: Mapping[str, Tensor]) -> VNet:
    """Build a V-Net with these weights."""
    network = VNet(config)
    network.load_state_dict(weights)
    return network


def read_checkpoint(path: Path, name: str, title: str) -> ImportedModel:
    """Read a PyTorch file of the field's V-Net without running code from it; name and title are those of its row.

    Raises LasslError for a damaged file, and for one that holds something else.
    """
    content = plain_content(path, f"expected a state dictionary of tensors alone: {ADVICE}")
    state, beside = state_of(content, path)
    config, weights, aside = translated(state, path)
    record = Imported(
        trained="elsewhere",
        name=name,
        title=title,
        checkpoint=path.name,
        checkpoint_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        left_aside=(*beside, *aside),
        lassl=version("lassl"),
    )
    return ImportedModel(config, network_of(config, weights), record)


def state_of(content: object, path: Path) -> tuple[dict[str, Any], list[str]]:
    """Find the state dictionary in what a file holds; gives also the names of what else is there.

    Raises LasslError where there is none.
    """
    if not isinstance(content, Mapping):
        found = type(content).__name__
        raise LasslError(f"{path}: found one {found}, expected a state dictionary: {ADVICE}")
    wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
    state = {str(name): value for name, value in (content[wrapper] if wrapper else content).items()}
    if all(name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): value for name, value in state.items()}
    return state, [str(name) for name in content if name != wrapper] if wrapper else []
