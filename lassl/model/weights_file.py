"""Files of tensors and plain values written by torch.save: read without running code from them, and hashed."""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lassl.plumbing.errors import LasslError

OBJECT = re.compile(r"GLOBAL ([\w.]+)")  # in torch's message about a function or class that it refuses to call


def plain_content(path: Path, advice: str) -> object:
    """Read the content of a file, with tensors on the CPU.

    Raises LasslError, which ends with the advice, if the file is damaged or would run code.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about other pickles, which are reported below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]
        if found := OBJECT.search(str(error)):
            reason = f"it contains {found[1]}, which is neither tensor nor plain value and was not run"
        raise LasslError(f"{path}: not a readable model ({reason}); {advice}") from None


def content_hash(content: Mapping[str, Any]) -> str:
    """Hash (sha256) all but the hash: plain values as JSON, then name, format, shape and bytes of each tensor."""
    plain = {key: value for key, value in content.items() if key not in ("weights", "sha256")}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, tensors in content["weights"].items():
        for key, tensor in tensors.items():
            digest.update(f"{name} {key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
