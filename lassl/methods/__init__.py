"""The algorithms by name: `cross_pseudo` is the class CrossPseudo in cross_pseudo.py.

One is imported only when it is asked for, so that a change to it touches its rows alone and a new one touches none.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lassl.plumbing.errors import LasslError

if TYPE_CHECKING:
    from lassl.learning.base import Algorithm, MakeNetwork


def algorithms() -> list[str]:
    """Names of all algorithms: the modules of this package."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def module_of(algorithm: str) -> str:
    """Name of the module that defines an algorithm. Raises LasslError for an unknown one."""
    if algorithm not in algorithms():
        known = ", ".join(algorithms())
        raise LasslError(f"params.yaml: unknown algorithm '{algorithm}'; lassl/methods has {known}")
    return f"{__name__}.{algorithm}"


def class_of(algorithm: str) -> "type[Algorithm]":
    """The class of an algorithm. Raises LasslError for an unknown one, and where its file lacks the class or a part."""
    base: type[Algorithm] = import_module("lassl.learning.base").Algorithm  # here: who asks for a name needs no torch
    name = "".join(word.capitalize() for word in algorithm.split("_"))
    defined = getattr(import_module(module_of(algorithm)), name, None)
    file = f"lassl/methods/{algorithm}.py"
    if not (isinstance(defined, type) and issubclass(defined, base)):
        raise LasslError(f"{file}: no class {name} that inherits from Algorithm; write `class {name}(Algorithm)`")
    if defined.__abstractmethods__:
        missing = ", ".join(sorted(defined.__abstractmethods__))
        raise LasslError(f"{file}: class {name} does not define {missing}; lassl/learning/base.py says what it gives")
    return defined


def build(algorithm: str, make_network: "MakeNetwork", options: Mapping[str, Any]) -> "Algorithm":
    """Make an algorithm; the constructor's keyword arguments are the schema of its options. Raises LasslError."""
    constructor = class_of(algorithm)
    try:
        return constructor(make_network, **options)
    except (TypeError, ValueError) as error:
        raise LasslError(f"params.yaml: options of the algorithm {algorithm}: {error}") from error
