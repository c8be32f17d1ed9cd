"""A model that goes by itself: one file with all that predicting needs, checked when it is read.

The file is a dictionary of plain values and tensors, which torch.load(weights_only=True) reads without running code:

    format         "lassl model"
    version        1; 2 where `network` or `needs` has a key that version 1 did not know, such as structures
    network        the configuration of the V-Net: width, residual, dropout; of another network also the name of its
                   class and its options
    weights        for each network by its name, the default first: its tensors by theirs, in single or half precision
    needs          how it predicts: see PredictSettings in lassl/predict/settings.py
    record         the record of the training: see Trained in lassl/model/record.py; of weights that were trained
                   elsewhere their origin: see Imported in lassl/evaluation/external_record.py
    cohort_sha256  the hash of the cohort that the training saw, None where that is not known
    volumes_ml     the smallest and the largest volume of the labels that it learned from, in mL; with structures a
                   dictionary of those; None where that is not known; older files lack it
    metrics        summary of the test cases, None where there were none
    sha256         over all of the above, see `content_hash`: a damaged or edited file is refused
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lassl.evaluation.external_record import Imported
from lassl.model.trained import TrainedModel
from lassl.model.weights_file import content_hash, plain_content
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes
from lassl.predict.imported_model import ImportedModel
from lassl.predict.settings import PredictSettings, Volumes, metrics_of, settings_of, volumes_of

FORMAT, VERSIONS = "lassl model", (1, 2)
OF_VERSION_1 = {  # keys of `network`, of `needs`, and of `crop` in these
    *("width", "residual", "dropout", "name", "options"),
    *("pool", "window", "stride", "batch", "precision", "channels_last", "spacing_mm", "orientation", "normalization"),
    *("crop", "least_mm", "margins_mm", "along_z"),
}


@dataclass(frozen=True)
class Exported:
    """A model, how it predicts, and if they are known, its summary (see `summarize`).

    Likewise the smallest and the largest volume (mL) of the labels that it learned from. Raises ValueError where the
    structures are not as many as the network's classes without the background, and for another number of channels.
    """

    model: TrainedModel | ImportedModel
    settings: PredictSettings
    metrics: dict[str, float | None] | None
    volumes_ml: Volumes | None = None

    def __post_init__(self) -> None:
        """Compare structures and classes, and the channels."""
        names, classes = self.settings.structures, self.model.config.classes
        if classes != 1 + len(names or [None]):
            raise ValueError(f"{classes} classes of the network, structures {', '.join(names or ['one'])}")
        channels, seen = self.settings.channels, self.model.config.channels
        if seen != len(channels or [None]):
            raise ValueError(f"{seen} channels of the network, channels {', '.join(channels or ['one'])}")


def read_exported(path: Path) -> Exported:
    """Read a model onto the CPU, an exported one or one that training wrote; runs no code from it. Raises LasslError.

    What a file that training wrote does not tell comes from the run's record in metrics/, see `settings_of`.
    """
    content = _content(path)
    exported = content.get("format") == FORMAT
    if exported and content.get("version") not in VERSIONS:
        raise LasslError(
            f"{path}: version {content.get('version')} of the format; expected {VERSIONS[-1]} or older: update lassl"
        )
    try:
        if exported:
            if content["sha256"] != content_hash(content):
                raise ValueError("its content is not what was written")
            settings, volumes = PredictSettings.model_validate(content["needs"]), content.get("volumes_ml")
            return Exported(model_of(content), settings, content["metrics"], volumes and _changed(volumes, tuple))
        model = TrainedModel.of(content)
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:  # ValidationError is a ValueError
        reason = str(error).splitlines()[0]
        raise LasslError(f"{path}: damaged or edited ({reason}); export or copy it again") from None
    except LasslError as error:  # of its network's class
        raise LasslError(f"{path}: {error}") from None
    return Exported(model, settings_of(model.record), metrics_of(model.record), volumes_of(model.record))


def model_of(content: Mapping[str, Any]) -> TrainedModel | ImportedModel:
    """Build the model that an exported file holds. Raises what the parts raise where something else is in it."""
    elsewhere = content["record"].get("trained") == "elsewhere"
    return ImportedModel.of(content) if elsewhere else TrainedModel.of(content)


def write_exported(path: Path, exported: Exported, half: bool = False) -> None:
    """Write a model with all that predicting needs; the file is whole or absent. Raises LasslError.

    In `half` precision weights take half the space; who reads them computes in single precision as ever.
    """
    networks, record = exported.model.networks, exported.model.record
    network, needs = exported.model.config.model_dump(mode="json"), exported.settings.model_dump(mode="json")
    new = not OF_VERSION_1.issuperset([*network, *needs, *(needs["crop"] or {})])
    store = halved if half else Tensor.contiguous
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSIONS[new],
        "network": network,
        "weights": {n: {k: store(v.cpu()) for k, v in m.state_dict().items()} for n, m in networks.items()},
        "needs": needs,
        "record": record.plain(),
        "cohort_sha256": None if isinstance(record, Imported) else record.cohort.hash,
        "volumes_ml": exported.volumes_ml and _changed(exported.volumes_ml, list),
        "metrics": exported.metrics,
    }
    buffer = io.BytesIO()
    torch.save(content | {"sha256": content_hash(content)}, buffer)
    write_bytes(path, buffer.getvalue())


def _changed(volumes: Any, kind: type) -> Any:
    """The range of volumes, or that of each structure, as a list or a tuple."""
    return {k: kind(v) for k, v in volumes.items()} if isinstance(volumes, dict) else kind(volumes)


def halved(tensor: Tensor) -> Tensor:
    """Round a tensor to half precision, one of whole numbers stays. Raises LasslError for values that do not fit."""
    if not tensor.is_floating_point():
        return tensor.contiguous()
    half = tensor.half().contiguous()
    if not half.isfinite().all():
        raise LasslError(f"a weight of {tensor.abs().max():.3g} does not fit into half precision; leave --half away")
    return half


def _content(path: Path) -> dict[str, Any]:
    """Read what a file of a model holds, without running code from it. Raises LasslError."""
    advice = "expected a file of models/ or of `lassl export`: export or copy it again"
    content = plain_content(path, advice)
    known = ("network", "weights", "record")
    if not (
        isinstance(content, dict)
        and all(key in content for key in known)
        and (content.get("format") == FORMAT or "snapshots" in content)
    ):
        raise LasslError(f"{path}: holds something else than a model; {advice}")
    return content
