"""The files of conf/, which Hydra reads in another version of YAML than DVC and we read params.yaml."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import parse_yaml


def read_in_two_ways(conf: Path) -> Iterator[str]:
    """Give a line for each value in a folder of YAML files that Hydra and DVC read differently, as 010, 1:30 or yes.

    Hydra reads YAML 1.1, with which 010 is eight; params.yaml is YAML 1.2, with which it is ten.
    """
    for path in sorted(conf.rglob("*.yaml")):
        try:
            by_hydra, by_dvc = OmegaConf.to_container(OmegaConf.load(path)), parse_yaml(read_text(path))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            yield f"{path}: not read as YAML ({' '.join(str(error).split())}); mend it"
            continue
        for key, one, other in differences(by_hydra, by_dvc or {}):
            todo = "write a number without a leading 0 or a colon, true or false, or a text in quotes"
            yield f"{path}: {key}: Hydra reads {one!r}, DVC {other!r}; {todo}"


def differences(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The key of each value that differs between two readings of one file, and both values."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differences(one[name], other[name], f"{key}.{name}".removeprefix("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{key}[{i}]")
    elif (type(one), repr(one)) != (type(other), repr(other)):
        yield key, one, other
