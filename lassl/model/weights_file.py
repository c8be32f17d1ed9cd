"""Files of tensors and plain values, as torch.save writes them, read without running code from them."""

import re
import warnings
from pathlib import Path

import torch

from lassl.plumbing.errors import LasslError

OBJECT = re.compile(r"GLOBAL ([\w.]+)")  # in what torch says of a function or class that it does not call


def plain_content(path: Path, advice: str) -> object:
    """Read what a file holds, tensors onto the CPU.

    Raises LasslError, which ends with the advice, for a damaged file and for one that would run code.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about other pickles: what comes of them is told below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]
        if found := OBJECT.search(str(error)):
            reason = f"{found[1]} is in it, neither tensor nor plain value, and was not run"
        raise LasslError(f"{path}: is no readable model ({reason}); {advice}") from None
