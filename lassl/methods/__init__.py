"""The algorithms by name: `cross_pseudo` is the class CrossPseudo in cross_pseudo.py.

One is imported only when it is asked for, so that a change to it touches its rows alone and a new one touches none.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lassl.errors import LasslError

if TYPE_CHECKING:  # who asks for a name alone does not wait for torch
    from torch import nn

    from lassl.methods.base import MakeNetwork


def algorithms() -> list[str]:
    """Names of all algorithms: the modules of this package but the base."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "base"))


def module_of(algorithm: str) -> str:
    """Name of the module that defines an algorithm. Raises LasslError for an unknown one."""
    if algorithm not in algorithms():
        known = ", ".join(algorithms())
        raise LasslError(f"params.yaml: unknown algorithm '{algorithm}'; found in lassl/methods: {known}")
    return f"{__name__}.{algorithm}"


def build(algorithm: str, make_network: "MakeNetwork", options: Mapping[str, Any]) -> "nn.Module":
    """Make an algorithm; the constructor's keyword arguments are the schema of its options. Raises LasslError."""
    name = "".join(word.capitalize() for word in algorithm.split("_"))
    constructor: Callable[..., nn.Module] | None = getattr(import_module(module_of(algorithm)), name, None)
    if constructor is None:
        raise LasslError(f"lassl/methods/{algorithm}.py: no class {name}; name the algorithm's class so")
    try:
        return constructor(make_network, **options)
    except (TypeError, ValueError) as error:
        raise LasslError(f"params.yaml: options of the algorithm {algorithm}: {error}") from error
