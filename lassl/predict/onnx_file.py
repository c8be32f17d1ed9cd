"""A network as ONNX, for tools that know neither lassl nor PyTorch."""

import json
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from lassl.evaluation.external_record import Imported
from lassl.model.vnet import multiples
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole
from lassl.plumbing.plugins import told
from lassl.predict.model_file import Exported
from lassl.settings.sections import VNET

OPSET = 17
BATCH = {0: "batch"}  # axes whose length is chosen when the file is used
SIZES = {**BATCH, 2: "x", 3: "y", 4: "z"}  # of the V-Net
INPUT = "window of pooled voxels, float32 (batch, {}, x, y, z); x, y, z: "
OUTPUT = "probability of {}, float32 (batch, {}, x, y, z)"


class Foregrounds(nn.Module):
    """A network with the softmax behind it."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (N, C, X, Y, Z) to the probability of each structure (N, S, X, Y, Z)."""
        logits: Tensor = self.network(image)
        if logits.shape[1] == 2:
            return (logits[:, 1:] - logits[:, :1]).sigmoid()  # two classes: softmax is a sigmoid
        return logits.softmax(1)[:, 1:]


def write_onnx(path: Path, exported: Exported) -> None:
    """Write the default network of a model; the file is whole or absent. Raises LasslError where onnx is missing.

    Input `image` and output `probability`, which has a channel for each structure, are described in the file; its
    metadata has the fields of PredictSettings, and which run the network is from: whoever uses it normalizes,
    resamples, pools and goes in windows by them.
    """
    try:
        import onnx
    except ImportError:
        raise LasslError("--format onnx: the package onnx is not installed; `pip install onnx`") from None
    model, record = exported.model, exported.model.record
    run = f"imported/{record.name}" if isinstance(record, Imported) else f"{record.profile}/{record.run.name}"
    needs = {key: _text(value) for key, value in exported.settings.model_dump(mode="json").items()}
    vnet = model.config.name == VNET
    names = list(exported.settings.structures or ["foreground"])
    output = OUTPUT.format(", ".join(names), len(names))
    sizes = f"multiples of {multiples(model.config.multiple)}, others are refused"  # another network: the window alone
    channels = exported.settings.channels or ["image"]
    image = INPUT.format(len(channels)) + (sizes if vnet else " x ".join(map(str, exported.settings.window)))
    with whole(path) as temporary, warnings.catch_warnings(action="ignore"):
        try:
            torch.onnx.export(
                Foregrounds(model.networks[model.default]).eval(),
                (torch.zeros(1, len(channels), *exported.settings.window),),
                temporary,
                input_names=["image"],
                output_names=["probability"],
                dynamic_axes=dict.fromkeys(("image", "probability"), SIZES if vnet else BATCH),
                opset_version=OPSET,
                dynamo=False,  # the exporter that torch prefers, as its warnings say, takes a further package
            )
        except Exception as error:
            if vnet or isinstance(error, OSError):
                raise
            raise LasslError(
                f"{path}: torch cannot write network {model.config.name} as ONNX ({told(error)})"
            ) from None
        network = onnx.load(temporary)
        network.graph.input[0].doc_string, network.graph.output[0].doc_string = image, output
        onnx.helper.set_model_props(network, {**needs, "input": image, "output": output, "run": run})
        onnx.save(network, temporary)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
