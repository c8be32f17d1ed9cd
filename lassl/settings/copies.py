"""Finds weights and labels edited in params.yaml, where such an edit has no effect: only the methods' copies count."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import parse_yaml
from lassl.settings.config import Config
from lassl.settings.origins import files_of

REFERENCE = re.compile(r"\$\{((?:weights|labels)\.[\w.]+)\}")


def edited(settings: Config, conf: Path = Path("conf")) -> list[str]:
    """A line for each weight or number of labels that differs from a method's copy and is in no file of conf/.

    Raises LasslError or yaml.YAMLError for an unreadable file, which `conf_files.problems` reports.
    """
    values = dict(flat(settings.model_dump(mode="json", include={"weights", "labels"})))
    lines = {}
    for name, method in settings.methods.items():
        copies = dict(flat(method.model_dump(mode="json")))
        for key, reference in references(name, conf).items():
            value, copy = values.get(reference), copies.get(key)
            if copy != value and value not in given(reference, settings.profile, conf):
                lines[reference] = (
                    f"params.yaml: {reference} is {value}, but only methods.{name}.{key} counts, which is {copy}; "
                    f"set both with `dvc exp run -S {reference}={value}`, or edit that of the method"
                )
    return list(lines.values())


def references(method: str, conf: Path) -> dict[str, str]:
    """Keys of a method that refer to other keys in conf/, such as options.weight -> weights.cps."""
    contents = [read(file) for file in reversed(files_of(method, conf))]
    keys = {key: value for content in contents for key, value in flat(content)}
    found = {key: REFERENCE.fullmatch(str(value)) for key, value in keys.items()}
    return {key: match[1] for key, match in found.items() if match}


def given(key: str, profile: str, conf: Path) -> list[Any]:
    """The values of a key in the defaults, in a profile and its bases, and in all other choices of conf/."""
    names, contents = [profile], [read(conf / "config.yaml")]
    for name in names:
        contents.append(read(conf / "profile" / f"{name}.yaml"))
        names += [n for n in contents[-1].get("defaults", []) if isinstance(n, str) and n not in {"_self_", *names}]
    rows = ("method", "profile")  # folders that were read already, or that never set such a key
    contents += [read(path) for path in sorted(conf.glob("*/*.yaml")) if path.parent.name not in rows]
    return [value for content in contents for known, value in flat(content) if known == key]


def read(path: Path) -> dict[str, Any]:
    """The content of a file of conf/, empty if it does not exist."""
    return (parse_yaml(read_text(path)) or {}) if path.is_file() else {}


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """All values of nested mappings, with their keys joined by dots."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
