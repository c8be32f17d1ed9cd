"""Parts that params.yaml names: a word of ours, or a function elsewhere that does the same job."""

import pkgutil
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from lassl.plumbing.errors import LasslError

NAMED = re.compile(r"(\w+\.)*\w+:\w+")  # module:function
Part = TypeVar("Part", bound=Callable[..., object])


def plugin(key: str, name: str, ours: Mapping[str, Part]) -> Part:
    """Find the part that is named at `key`: one of ours, or any function by its name, `package.module:function`.

    Raises LasslError for a name that leads nowhere.
    """
    if name in ours:
        return ours[name]
    try:
        found: Part = pkgutil.resolve_name(name)
    except (ValueError, ImportError, AttributeError) as error:
        known = ", ".join(ours)
        raise LasslError(
            f"params.yaml: {key}: cannot find '{name}' ({error}); write {known}, or package.module:function"
        ) from None
    if not callable(found):
        raise LasslError(f"params.yaml: {key}: '{name}' is no function but {found!r}; name a function")
    return found
