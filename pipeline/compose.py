"""Composes params.yaml from the defaults in conf/, as `dvc exp run` does before an experiment."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from dvc.utils.hydra import compose_and_dump
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lassl.config import load
from lassl.plumbing.errors import LasslError, command
from lassl.plumbing.files import whole
from lassl.plumbing.yaml_text import parse_yaml
from pipeline.lockfile import settle

PARAMS = Path("params.yaml")


def compose(output: Path, *overrides: str) -> None:
    """Write the composition of conf/ with overrides such as "profile=compact". Raises LasslError for wrong ones."""
    try:
        compose_and_dump(output, str(Path("conf").resolve()), None, "config", "", list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        reason = " ".join(re.split("Config search path|See https", str(error))[0].split())
        raise LasslError("\n".join(to_quote(overrides)) or f"{reason}; mend {shlex.join(overrides)} or conf/") from None


def to_quote(overrides: Sequence[str]) -> list[str]:
    """Give a line for each override whose value Hydra does not take for one text, with the way to quote it."""
    parser, lines = OverridesParser.create(), []
    for override in overrides:
        key, equals, value = override.partition("=")
        try:
            plain = not parser.parse_override(override).is_sweep_override()
        except HydraException:
            plain = not equals
        if not plain:
            quoted = value.replace("'", r"\'")
            lines.append(f"{override}: the value is no plain text to Hydra; quote it, as in \"{key}='{quoted}'\"")
    return lines


def read_in_two_ways(conf: Path) -> Iterator[str]:
    """Give a line for each value in a folder of YAML files that Hydra and DVC read differently, as 010, 1:30 or yes.

    Hydra reads YAML 1.1, with which 010 is eight; params.yaml is YAML 1.2, with which it is ten.
    """
    for path in sorted(conf.rglob("*.yaml")):
        try:
            by_hydra, by_dvc = OmegaConf.to_container(OmegaConf.load(path)), parse_yaml(path.read_text("utf-8"))
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


def main() -> None:
    """Compose params.yaml anew, if it is valid, and move the entries of its runs into dvc.lock. Raises LasslError."""
    if problems := list(read_in_two_ways(Path("conf"))):
        raise LasslError("\n".join(problems))
    with whole(PARAMS) as temporary:
        compose(temporary, *sys.argv[1:])
        try:
            settings = load(temporary)
        except LasslError as error:
            raise LasslError(str(error).replace(str(temporary), str(PARAMS))) from None
    settle(settings)


if __name__ == "__main__":
    command(main)
