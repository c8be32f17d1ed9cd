"""Weights and labels of params.yaml that somebody edited there, though only the methods' copies of them are read."""

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
    """A line for each weight or number of labels that differs from a method's copy and that no file of conf/ gives.

    Raises LasslError or yaml.YAMLError for a file that cannot be read, which `conf_files.problems` finds.
    """
    values = dict(flat(settings.model_dump(mode="json", include={"weights", "labels"})))
    lines = {}
    for name, method in settings.methods.items():
        copies = dict(flat(method.model_dump(mode="json")))
        for key, reference in references(name, conf).items():
            value, copy = values.get(reference), copies.get(key)
            if copy != value and value not in given(reference, settings.profile, conf):
                lines[reference] = (
                    f"params.yaml: {reference} is {value}, but methods.{name}.{key} is {copy} and is what counts: "
                    f"compose both with `dvc exp run -S {reference}={value}`, or edit the method's"
                )
    return list(lines.values())


def references(method: str, conf: Path) -> dict[str, str]:
    """The keys of a method that conf/ takes from elsewhere, such as options.weight, and from where: weights.cps."""
    contents = [read(file) for file in reversed(files_of(method, conf))]
    keys = {key: value for content in contents for key, value in flat(content)}
    found = {key: REFERENCE.fullmatch(str(value)) for key, value in keys.items()}
    return {key: match[1] for key, match in found.items() if match}


def given(key: str, profile: str, conf: Path) -> list[Any]:
    """The values that the defaults, a profile with what it builds on, and all other choices of conf/ give to a key."""
    names, contents = [profile], [read(conf / "config.yaml")]
    for name in names:
        contents.append(read(conf / "profile" / f"{name}.yaml"))
        names += [n for n in contents[-1].get("defaults", []) if isinstance(n, str) and n not in {"_self_", *names}]
    rows = ("method", "profile")  # folders that were read, or that give no such key
    contents += [read(path) for path in sorted(conf.glob("*/*.yaml")) if path.parent.name not in rows]
    return [value for content in contents for known, value in flat(content) if known == key]


def read(path: Path) -> dict[str, Any]:
    """The content of a file of conf/, nothing where there is none."""
    return (parse_yaml(read_text(path)) or {}) if path.is_file() else {}


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """All values of nested mappings by their keys, joined by dots."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
