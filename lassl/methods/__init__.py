"""The algorithms by name. One is imported only when it is asked for, so that a change to it touches its rows alone."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from torch import nn

from lassl.errors import LasslError
from lassl.methods.base import MakeNetwork

ALGORITHMS = {
    "supervised": "lassl.methods.supervised:Supervised",
    "cross_pseudo": "lassl.methods.cross_pseudo:CrossPseudo",
    "mean_teacher": "lassl.methods.mean_teacher:MeanTeacher",
}


def module_of(algorithm: str) -> str:
    """Name of the module that defines an algorithm. Raises LasslError for an unknown one."""
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise LasslError(f"params.yaml: unknown algorithm '{algorithm}'; found in lassl/methods/__init__.py: {known}")
    return ALGORITHMS[algorithm].partition(":")[0]


def build(algorithm: str, make_network: MakeNetwork, options: Mapping[str, Any]) -> nn.Module:
    """Make an algorithm; the constructor's keyword arguments are the schema of its options. Raises LasslError."""
    module = import_module(module_of(algorithm))
    constructor: Callable[..., nn.Module] = getattr(module, ALGORITHMS[algorithm].partition(":")[2])
    try:
        return constructor(make_network, **options)
    except (TypeError, ValueError) as error:
        raise LasslError(f"params.yaml: options of the algorithm {algorithm}: {error}") from error
