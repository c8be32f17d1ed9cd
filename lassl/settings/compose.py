"""Composes params.yaml from the defaults in conf/, as `dvc exp run` does before an experiment."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml
from dvc.utils.hydra import compose_and_dump
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lassl.plumbing.errors import LasslError
from lassl.settings import conf_files

PARAMS, CONF = Path("params.yaml"), Path("conf")


def compose(output: Path, *overrides: str, conf: Path = CONF) -> None:
    """Compose conf/ with overrides such as "profile=compact" into a file. Raises LasslError if they are wrong."""
    try:
        compose_and_dump(output, str(conf.resolve()), None, "config", "", list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        reason = " ".join(re.split("Config search path|See https", str(error))[0].split())
        raise LasslError("\n".join(to_quote(overrides)) or f"{reason}; fix {shlex.join(overrides)} or conf/") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise LasslError("\n".join(conf_files.problems(conf))) from None


def to_quote(overrides: Sequence[str]) -> list[str]:
    """Give a line for each override whose value Hydra does not read as plain text, with the way to quote it."""
    parser, lines = OverridesParser.create(), []
    for override in overrides:
        key, equals, value = override.partition("=")
        try:
            plain = not parser.parse_override(override).is_sweep_override()
        except HydraException:
            plain = not equals
        if not plain:
            quoted = value.replace("'", r"\'")
            lines.append(
                f"{override}: Hydra does not read the value as plain text; quote it, as in \"{key}='{quoted}'\""
            )
    return lines
