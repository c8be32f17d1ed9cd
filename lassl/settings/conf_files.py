"""Finds problems in the files of conf/: encoding, YAML, and values that Hydra and DVC read differently."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import no_yaml, parse_yaml


def problems(conf: Path) -> Iterator[str]:
    """Give a line for each file in a folder that is not YAML in UTF-8, and for each value such as 010, 1:30 or yes.

    Hydra reads conf/ as YAML 1.1, where 010 is eight; DVC reads params.yaml as YAML 1.2, where it is ten.
    """
    for path in sorted(conf.rglob("*.yaml")):
        try:
            by_dvc, by_hydra = parse_yaml(read_text(path)), OmegaConf.to_container(OmegaConf.load(path))
        except LasslError as error:
            yield str(error)
        except yaml.YAMLError as error:
            yield f"{path}: not valid YAML ({no_yaml(error)}); fix it"
        except OmegaConfBaseException as error:
            yield f"{path}: Hydra cannot read it ({' '.join(str(error).split())}); fix it"
        else:
            for key, one, other in differences(by_hydra, by_dvc or {}):
                todo = "write a number without leading 0 or colon, true or false, or text in quotes"
                yield f"{path}: {key}: Hydra reads {one!r} but DVC reads {other!r}; {todo}"


def differences(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The key and both values wherever two readings of one file differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differences(one[name], other[name], f"{key}.{name}".removeprefix("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{key}[{i}]")
    elif (type(one), repr(one)) != (type(other), repr(other)):
        yield key, one, other
