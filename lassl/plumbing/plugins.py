"""Plugins: functions that params.yaml names, by a known word or as `package.module:function`."""

import pkgutil
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from lassl.plumbing.errors import LasslError

NAMED = re.compile(r"(\w+\.)*\w+:\w+")  # module:function
Function = TypeVar("Function", bound=Callable[..., object])


def plugin(key: str, name: str, words: Mapping[str, Function]) -> Function:
    """Find the function that params.yaml names at `key`: one of `words`, or any as `package.module:function`.

    Raises LasslError if the name cannot be resolved, or is not a function.
    """
    if name in words:
        return words[name]
    try:
        function: Function = pkgutil.resolve_name(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise LasslError(
            f"params.yaml: {key}: cannot find '{name}' ({error}); write {', '.join(words)}, or package.module:function"
        ) from None
    if not callable(function):
        raise LasslError(f"params.yaml: {key}: found '{name}', which is {function!r}, expected a function; name one")
    return function
