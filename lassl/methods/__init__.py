"""Finds algorithms by name and checks their options: `cps` is the class in cps.py that inherits from Algorithm.

An algorithm is imported only when it is used, so a change to it affects only its rows, and a new one affects none.
"""

import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lassl.plumbing.errors import LasslError
from lassl.settings.sections import VNET, Network
from lassl.settings.values import Size

if TYPE_CHECKING:
    from lassl.learning.base import Algorithm, MakeNetwork
    from lassl.settings.sections import Method

STRICT = ConfigDict(strict=True, allow_inf_nan=False)  # neither true nor text is a number


def algorithms() -> list[str]:
    """Names of all algorithms: the modules of this package."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def module_of(algorithm: str) -> str:
    """Name of the module that defines an algorithm. Raises LasslError if it is unknown."""
    if algorithm not in algorithms():
        known = ", ".join(algorithms())
        raise LasslError(f"params.yaml: unknown algorithm '{algorithm}', expected one of lassl/methods: {known}")
    return f"{__name__}.{algorithm}"


def class_of(algorithm: str) -> "type[Algorithm]":
    """The class of an algorithm. Raises LasslError if it is unknown, or if its file lacks the class or part of it."""
    base: type[Algorithm] = import_module("lassl.learning.base").Algorithm  # here, because names do not need torch
    module, file = import_module(module_of(algorithm)), f"lassl/methods/{algorithm}.py"
    own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    defined = [each for each in own if issubclass(each, base)]
    if len(defined) != 1:
        found = ", ".join(each.__name__ for each in defined) or "none"
        raise LasslError(f"{file}: expected one class that inherits from Algorithm, found {found}")
    if defined[0].__abstractmethods__:
        name, missing = defined[0].__name__, ", ".join(sorted(defined[0].__abstractmethods__))
        raise LasslError(f"{file}: class {name} does not define {missing}; see lassl/learning/base.py")
    return defined[0]


def build(
    algorithm: "str | type[Algorithm]", make_network: "MakeNetwork", options: Mapping[str, Any], key: str = "options"
) -> "Algorithm":
    """Make an algorithm, by its name or its class; the constructor's keyword-only arguments are the schema of options.

    Raises LasslError with a line for each wrong option; `key`: where params.yaml has the options.
    """
    constructor = class_of(algorithm) if isinstance(algorithm, str) else algorithm
    if found := findings(constructor, options):
        raise LasslError("\n".join(f"params.yaml: {key}.{line}" for line in found))
    try:
        return constructor(make_network, **options)
    except ValueError as error:  # options that contradict each other
        raise LasslError(f"params.yaml: {key}: {error}") from error
    except LasslError as error:  # an option names a function that does not exist
        raise LasslError(str(error).replace("params.yaml: options", f"params.yaml: {key}")) from error


def check(rows: Mapping[str, "Method"]) -> None:
    """Check the options of rows before training, by making each algorithm with a V-Net of one channel.

    Raises LasslError with a line for each option that an algorithm does not accept.
    """
    vnet = import_module("lassl.model.vnet").VNet  # here, because names do not need torch
    smallest, found = Network(width=1, residual=False, dropout=0), []
    for name, row in rows.items():
        try:
            build(row.algorithm, lambda: vnet(smallest), row.options, f"methods.{name}.options")
        except LasslError as error:
            found.append(str(error))
    if found:
        raise LasslError("\n".join(found))


def check_network(rows: Mapping[str, "Method"], network: Network, patch: Size) -> None:
    """Check a network other than the V-Net before anything is trained, by a pass, and that it has what rows use of it.

    Raises LasslError with a line for the network, or for each row whose algorithm uses a part that it lacks.
    """
    if network.name == VNET:
        return
    try:
        built = import_module("lassl.model.network").tried(network, patch)  # here: who asks for a name needs no torch
    except LasslError as error:
        raise LasslError(f"params.yaml: {error}") from None
    found = []
    for name, row in rows.items():
        parts = class_of(row.algorithm).network_parts
        if missing := [part for part in parts if not hasattr(built, part)]:
            found.append(
                f"methods.{name}: algorithm {row.algorithm} uses the network's {', '.join(parts)}, and network "
                f"{network.name} has no {', '.join(missing)}; use network.name={VNET}, or a method for any network"
            )
    if found:
        raise LasslError("\n".join(f"params.yaml: {line}" for line in found))


def findings(constructor: type, options: Mapping[str, Any]) -> list[str]:
    """Compare options with the keyword-only parameters of a constructor, including types and ranges.

    Returns a line, beginning with the option's name, for each one that is unknown, missing or invalid.
    """
    parameters = {p.name: p for p in inspect.signature(constructor).parameters.values() if p.kind is p.KEYWORD_ONLY}
    kinds = get_type_hints(constructor.__init__, include_extras=True)  # type: ignore[misc]  # of this very class
    found = [
        f"{name}: unknown; expected {', '.join(parameters) or 'none'}" for name in options if name not in parameters
    ]
    for name, parameter in parameters.items():
        if name in options:
            found += [f"{name}: {problem}" for problem in problems(kinds.get(name, Any), options[name])]
        elif parameter.default is parameter.empty:
            found.append(f"{name}: missing")
    return found


def problems(kind: Any, value: Any) -> list[str]:
    """Say why a value of params.yaml does not have a type; empty if it has."""
    try:
        TypeAdapter(kind, config=STRICT).validate_json(
            json.dumps(value, default=str)
        )  # through JSON, where a list can be a tuple
    except ValidationError as error:
        return [f"{each['msg']} (found {value!r})" for each in error.errors()]
    return []
