"""A model that goes by itself: one file with all that predicting needs, checked when it is read.

The file is a dictionary of plain values and tensors, which torch.load(weights_only=True) reads without running code:

    format         "lassl model"
    version        1
    network        the configuration of the V-Net: width, residual, dropout
    weights        for each network by its name, the default first: its tensors by theirs
    needs          what predicting needs: see lassl/predict/settings.py
    record         the record of the training: settings, labeled cases, cohort, machine, versions, weights_sha256
    cohort_sha256  the hash of the cohort that the training saw
    metrics        headline figures on the test cases, None where there were none
    sha256         over all of the above, see `digest`: a damaged or edited file is refused
"""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lassl.model import trained as model
from lassl.model.trained import Model
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes
from lassl.predict.settings import Needs, metrics_of, needs_of
from lassl.sections import Network

FORMAT, VERSION = "lassl model", 1


@dataclass(frozen=True)
class Exported:
    """A trained model with all that predicting needs, and its headline figures if they are known."""

    model: Model
    needs: Needs
    metrics: dict[str, Any] | None

    def networks(self, which: str) -> dict[str, nn.Module]:
        """Give the networks whose mean is wanted: one by its name, the default one, or all (`ensemble`).

        Raises LasslError if the model has none such.
        """
        found = dict(self.model.networks)
        name = next(iter(found)) if which == "default" else which
        if which == "ensemble" and len(found) > 1:
            return found
        if name not in found:
            known = ", ".join(found)
            raise LasslError(f"--network: the model has no '{which}' (found: {known}); use one of these or default")
        return {name: found[name]}


def find(name: str) -> Path:
    """Find the file of a model: a path, or a run of models/ named as profile/method-d0-s0. Raises LasslError."""
    path = Path(name) if name.endswith(".pt") or Path(name).is_file() else Path("models") / f"{name}.pt"
    if path.is_file():
        return path
    runs = sorted(p.relative_to("models").with_suffix("").as_posix() for p in Path("models").glob("*/*.pt"))
    known = ", ".join(runs) or "none"
    raise LasslError(
        f"{path}: no such model; expected a run such as quick/cps-d0-s0 (found in models/: {known}), or a .pt file"
    )


def read(path: Path) -> Exported:
    """Read a model onto the CPU, an exported one or one that training wrote; runs no code from it. Raises LasslError.

    What a file that training wrote does not tell comes from the run's record in metrics/ and the prepared cohort.
    """
    content = _content(path)
    if content.get("format") != FORMAT:
        trained = model.load(path)
        return Exported(trained, needs_of(trained.record), metrics_of(trained.record))
    if content.get("version") != VERSION:
        raise LasslError(f"{path}: version {content.get('version')} of the format; expected {VERSION}: update lassl")
    try:
        if content["sha256"] != digest(content):
            raise ValueError("its content is not what was written")
        config = Network.model_validate(content["network"])
        networks: dict[str, nn.Module] = {name: VNet(config) for name in content["weights"]}
        for name, network in networks.items():
            network.load_state_dict(content["weights"][name])
        needs = Needs.model_validate(content["needs"])
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:  # ValidationError is a ValueError
        reason = str(error).splitlines()[0]
        raise LasslError(f"{path}: damaged or edited ({reason}); export or copy it again") from None
    return Exported(Model(config, networks, content["record"]), needs, content["metrics"])


def write(path: Path, exported: Exported) -> None:
    """Write a model with all that predicting needs; the file is whole or absent. Raises LasslError."""
    networks, record = exported.model.networks, exported.model.record
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "network": exported.model.config.model_dump(mode="json"),
        "weights": {n: {k: v.cpu().contiguous() for k, v in m.state_dict().items()} for n, m in networks.items()},
        "needs": exported.needs.model_dump(mode="json"),
        "record": record,
        "cohort_sha256": record["cohort"]["hash"],
        "metrics": exported.metrics,
    }
    buffer = io.BytesIO()
    torch.save(content | {"sha256": digest(content)}, buffer)
    write_bytes(path, buffer.getvalue())


def digest(content: Mapping[str, Any]) -> str:
    """Hash (sha256) all but the hash: plain values as JSON, then name, format, shape and bytes of each tensor."""
    plain = {key: value for key, value in content.items() if key not in ("weights", "sha256")}
    found = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, tensors in content["weights"].items():
        for key, tensor in tensors.items():
            found.update(f"{name} {key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _content(path: Path) -> dict[str, Any]:
    """Read what a file of a model holds, without running code from it. Raises LasslError."""
    advice = "expected a file of models/ or of `lassl export`: export or copy it again"
    try:
        with warnings.catch_warnings(action="ignore"):  # about other pickles: what comes of them is told below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise LasslError(f"{path}: is no readable model ({reason}); {advice}") from None
    known = isinstance(content, dict) and {"network", "weights", "record"} <= content.keys()
    if not known or not ("format" in content or "snapshots" in content):
        raise LasslError(f"{path}: holds something else than a model; {advice}")
    return dict(content)
