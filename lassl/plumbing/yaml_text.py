"""Reads YAML 1.2 as DVC does, and writes it so that readers of YAML 1.1 agree.

libyaml reads a record fifteen times as fast as ruamel.yaml, which DVC uses; the values are the same.
"""

import json
from collections.abc import Hashable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from ruamel.yaml.resolver import implicit_resolvers

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.CSafeLoader):
    """YAML 1.2: 010 is ten, 1:30 and yes are texts, 1e-1 is a number; a repeated key is an error."""

    def construct_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node)).replace("_", "")
        return int(text, 0 if text.lstrip("+-")[:2].lower() in ("0o", "0x", "0b") else 10)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} occurs twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.CSafeDumper):
    """Quotes a text that YAML 1.1 or YAML 1.2 would read as something else."""


_Loader.yaml_implicit_resolvers = {}  # remove those of YAML 1.1
for _versions, _tag, _pattern, _first in implicit_resolvers:
    if (1, 2) in _versions:
        _Loader.add_implicit_resolver(_tag, _pattern, _first)
        _Dumper.add_implicit_resolver(_tag, _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)


def parse_yaml(content: str | bytes) -> Any:
    """The plain values of a YAML document. Raises yaml.YAMLError if it is not valid YAML."""
    return yaml.load(content, _Loader)


def no_yaml(error: yaml.YAMLError) -> str:
    """Say in one line why and where a text is not valid YAML."""
    problem, mark = getattr(error, "problem", None) or error, getattr(error, "problem_mark", None)
    return " ".join(f"{problem}{f', line {mark.line + 1}' if mark else ''}".split())


def first_reason(error: ValidationError) -> str:
    """Say in one line where a model found the first error, and what it is."""
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")]))


def yaml_text(values: Any, width: int | None = None) -> str:
    """Plain values as YAML, in their order; `width`: maximum length of a line."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=width))


def checked(model: type[Model], content: str | bytes) -> Model:
    """Read YAML as a model. Raises pydantic.ValidationError, also for wrong types: true and "1" are not numbers.

    A whole number is accepted for a real one. Raises yaml.YAMLError if the content is not valid YAML.
    """
    return model.model_validate_json(json.dumps(parse_yaml(content), default=str), strict=True)
