"""Plugins: functions and classes that params.yaml names, by a word of ours or as `package.module:name`."""

import pkgutil
import re
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lassl.plumbing.errors import LasslError

NAMED = re.compile(r"(\w+\.)*\w+:\w+")  # module:function, module:Class
LIBRARIES = ("<", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
Function = TypeVar("Function", bound=Callable[..., object])


def plugin(key: str, name: str, words: Mapping[str, Function]) -> Function:
    """Find the function that params.yaml names at `key`: one of `words`, or any as `package.module:function`.

    Raises LasslError if the name cannot be resolved, or is not a function.
    """
    if name in words:
        return words[name]
    try:
        function: Function = named(name)
    except LasslError as error:
        expected = f"write {', '.join(words)}, or package.module:function"
        raise LasslError(f"params.yaml: {key}: {error}; {expected}") from None
    if not callable(function):
        raise LasslError(f"params.yaml: {key}: found '{name}', which is {function!r}, expected a function; name one")
    return function


def named(name: str) -> Any:
    """Import what `package.module:name` names. Raises LasslError, also where the module itself fails."""
    try:
        return pkgutil.resolve_name(name)
    except Exception as error:  # the module may be anybody's
        raise LasslError(f"cannot find '{name}' ({told(error)})") from None


def told(error: Exception) -> str:
    """Tell an error of somebody's code in one line: its kind and text, and the line of their file, if one is known.

    Called where the error is caught.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, ImportError | AttributeError | ValueError) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is where it was caught
    theirs = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)]
    return f"{text}, at {Path(theirs[-1].filename).name}:{theirs[-1].lineno}" if theirs else text
