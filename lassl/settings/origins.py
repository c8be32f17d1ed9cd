"""Says what is wrong in params.yaml, and which file of conf/ to change: the one that the value comes from."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lassl.plumbing.yaml_text import parse_yaml

ABSENT = object()
UNSET = "???"  # Hydra's mark for a value that another file has to set
BASE = re.compile(r"- ([\w-]+)@_here_")  # in a file of conf/method/: the method that it builds on


def told(errors: Sequence[Mapping[str, Any]], params: Any, conf: Path) -> list[str]:
    """A line for each error that pydantic found in the values of params.yaml, with the file of `conf` to change.

    All errors of a row that was not chosen, of which something else set a part, are one line.
    """
    lines: dict[str, None] = {}
    for error in errors:
        section, name = (*error["loc"], None, None)[:2]
        if section == "methods" and isinstance(name, str) and not_chosen(name, params, conf):
            why = "found only a part of its settings, because the row was not chosen"
            lines[f"methods.{name}: {why}; choose it with method={name}, or leave out what sets this part"] = None
        else:
            lines[_finding(error) + _where(error, params, conf)] = None
    return list(lines)


def not_chosen(name: str, params: Any, conf: Path) -> bool:
    """Whether params.yaml has no algorithm for a row, but the row's files in `conf` name one."""
    row = params["methods"][name]
    return (
        isinstance(row, Mapping)
        and "algorithm" not in row
        and any(value(file, ["algorithm"]) is not ABSENT for file in files_of(name, conf))
    )


def _finding(error: Mapping[str, Any]) -> str:
    """Describe a pydantic error: the key, what is wrong, and the value if it is short."""
    value = repr(error["input"])
    shown = f" (found {value})" if len(value) <= 60 else ""
    key = ".".join(map(str, error["loc"]))
    return f"{key}: {error['msg'].removeprefix('Value error, ')}{shown}".removeprefix(": ")


def _where(error: Mapping[str, Any], params: Any, conf: Path) -> str:
    """Say in which file of conf/ to fix a pydantic error, if it can be found."""
    found = ABSENT if error["type"] == "missing" else error["input"]
    file = origin(error["loc"], found, params, conf)
    if file is None:
        return ""
    return f"; {'add it to' if found is ABSENT else 'fix it in'} {file}"


def origin(key: Sequence[str | int], found: Any, params: Any, conf: Path) -> Path | None:
    """The file of `conf` that sets a key of params.yaml to the value `found`.

    A missing key (`found` is ABSENT) belongs in the file that a method builds on, a key with the value ??? in its own
    file. None if no file matches: the value came with `-S`, or was written into params.yaml by hand.
    """
    if key[:1] == ("methods",) and len(key) > 1:
        files, rest = [file for file in files_of(str(key[1]), conf) if file.is_file()], key[2:]
        if found is ABSENT:
            return next(reversed(files), None)
        if found == UNSET or not rest:
            return next(iter(files), None)
    else:
        profile = params.get("profile") if isinstance(params, Mapping) else None
        files, rest = [conf / f"profile/{profile}.yaml", conf / "config.yaml"], key
    return next((file for file in files if found is not ABSENT and same(value(file, rest), found)), None)


def same(written: Any, found: Any) -> bool:
    """Whether a file's value equals the one found; compares numbers by value, sections only by their presence."""
    if isinstance(found, Mapping):
        return isinstance(written, Mapping)
    try:
        return float(written) == float(found)
    except (TypeError, ValueError):
        return bool(written == found)


def files_of(name: str, conf: Path) -> list[Path]:
    """The file of a method and the files that it builds on, in order."""
    files = [conf / f"method/{name}.yaml"]
    for file in files:
        text = file.read_text("utf-8", "replace") if file.is_file() else ""
        found = [conf / f"method/{base}.yaml" for base in BASE.findall(text)]
        files += [base for base in found if base not in files]
    return files


def value(file: Path, key: Sequence[str | int]) -> Any:
    """The value of a key in a file; ABSENT if the file does not set it or cannot be read."""
    try:
        content = parse_yaml(file.read_bytes())
    except (OSError, yaml.YAMLError):
        return ABSENT
    for part in key:
        if not isinstance(content, Mapping) or part not in content:
            return ABSENT
        content = content[part]
    return content
