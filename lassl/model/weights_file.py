"""Reads files of tensors and plain values written by torch.save without running code from them."""

import re
import warnings
from pathlib import Path

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
