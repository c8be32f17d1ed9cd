"""The sections of docs/methods.md, from the code and the settings: each method's text, formulas, options and costs."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, ConfigDict

from lassl.methods import algorithms, class_of
from lassl.pages.prose import comments, docstring, heading, wrapped
from lassl.paths import DOCS, PUBLISHED
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import grid, listed, number
from lassl.plumbing.yaml_text import checked, parse_yaml
from lassl.settings.compose import CONF, compose
from lassl.settings.config import Config, load
from lassl.settings.origins import files_of
from lassl.settings.sections import Method

PAGE = DOCS / "methods.md"
COSTS = DOCS / "costs.yaml"
REDUCED = "compact"  # the profile whose weights are shown next to the published ones
HEAD_OR_METHOD = re.compile(r"^(?:## (?P<head>.*)|<!-- method: (?P<algorithm>\w+) -->)$", re.MULTILINE)


class Costs(BaseModel):
    """What benchmarks/costs.py measured: the time per step of each row relative to the baseline, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    turns: int
    baseline: str
    device: str
    threads: int
    torch: str
    ratios: dict[str, float]


def contents() -> str:
    """List the page's methods under its headings, each with its rows and a link. Raises LasslError."""
    titles, lines, counts, head = known_titles(), [], [], None
    for found in HEAD_OR_METHOD.finditer(PAGE.read_text("utf-8")):
        if algorithm := found["algorithm"]:
            rows, name = rows_of(algorithm, "paper"), class_of(algorithm).__name__
            short = dict.fromkeys(titles.get(row, row).split(" & ")[0] for row in rows)
            lines += [f"- {head}"] * (head is not None) + [f"    - [{name}](#{name.lower()}): {listed(short)}"]
            counts.append(len(rows))
        head = found["head"]
    lead = f"{len(counts)} algorithms in `lassl/methods/`, in {sum(counts)} rows of `conf/method/`:"
    return "\n".join([lead, "", *lines])


def method(algorithm: str) -> str:
    """The section of an algorithm: its rows, the text of its file, its options and costs. Raises LasslError."""
    rows, name = rows_of(algorithm, "paper"), class_of(algorithm).__name__
    groups = alike(rows)
    head = f"### {name}\n\n`lassl/methods/{algorithm}.py`\n"
    table = options(groups, rows, rows_of(algorithm, REDUCED), measured())
    return "\n".join([head, named(groups, known_titles()), docstring(class_of(algorithm)), table])


def costs() -> str:
    """Explain the cost of a step, or say that it was not measured."""
    if (found := measured()) is None:
        return "Cost of a step: *not measured yet*."
    return wrapped(
        f"Cost: time per step relative to `{found.baseline}`, median of {found.turns} rounds, profile "
        f"`{found.profile}`, {found.device}, {found.threads} threads, torch {found.torch}."
    )


def measured() -> Costs | None:
    """The measured costs, or None. Raises LasslError."""
    return checked(Costs, COSTS.read_text("utf-8")) if COSTS.is_file() else None


def rows_of(algorithm: str, profile: str) -> dict[str, Method]:
    """The rows of an algorithm in conf/method/field.yaml, or, if it has none there, those of its own file.

    Raises LasslError if the algorithm or its rows do not exist.
    """
    if algorithm not in algorithms():
        raise LasslError(f"lassl/methods/{algorithm}.py: not found; expected one of {listed(algorithms())}")
    own = CONF / f"method/{algorithm}.yaml"
    files = ["field", *[algorithm] * own.is_file()]
    for rows in (composed(profile, file).methods for file in files):
        if found := {name: row for name, row in rows.items() if row.algorithm == algorithm}:
            return found
    raise LasslError(f"{own}: found no row for the algorithm {algorithm}; write one (docs/add-a-method.md)")


def composed(profile: str, method: str = "field") -> Config:
    """The settings of a profile with the rows of a file in conf/method/. Raises LasslError."""
    return _composed(CONF.resolve(), profile, method)


@cache
def _composed(conf: Path, profile: str, method: str) -> Config:
    """The settings composed from the folder `conf`; cached, because composing takes half a second."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        compose(path, f"profile={profile}", f"method={method}")
        return load(path)


def alike(methods: Mapping[str, Method]) -> dict[str, list[str]]:
    """Group rows that differ only in their numbers of cases: the first row of each group -> the others."""
    found: dict[str, list[str]] = {}
    own = {name: row.model_dump(exclude={"labeled", "unlabeled"}) for name, row in methods.items()}
    for name in methods:
        first = next((row for row in found if own[row] == own[name]), None)
        if first:
            found[first].append(name)
        else:
            found[name] = []
    return found


def known_titles() -> dict[str, str]:
    """Row -> title, from metrics/published.yaml."""
    published = parse_yaml(PUBLISHED.read_text("utf-8"))
    return {row: entry["title"] for row, entry in {**published.get("field", {}), **published["rows"]}.items()}


def named(rows: Mapping[str, list[str]], titles: Mapping[str, str]) -> str:
    """List the rows with titles and names, each with those that differ from it only in their numbers of cases.

    If there are several groups, each gets the comment at the head of its file; a single one needs no further text.
    """
    lines = []
    for first, others in rows.items():
        line, *further = (f"**{titles[row]}** (`{row}`)" if row in titles else f"`{row}`" for row in (first, *others))
        if further:
            line += f"; with other numbers of cases: {listed(further)}"
        if len(rows) > 1:
            line += ":\n" + textwrap.indent(heading(CONF / "method" / f"{first}.yaml"), "  ")
        lines.append(f"- {line}")
    return "\n".join(lines) + "\n"


def options(
    rows: Mapping[str, list[str]], published: Mapping[str, Method], reduced: Mapping[str, Method], costs: Costs | None
) -> str:
    """A table of options, batch, optimizer, weight in the reduced profile and cost of each row, with their comments."""
    algorithm = published[next(iter(rows))].algorithm
    parameters = inspect.signature(class_of(algorithm)).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    texts = {"weight": whose(rows)} | commented(rows)
    lines = []
    for name, default in defaults.items():
        values = [word(published[row].options.get(name, default)) for row in rows]
        lines.append([f"`{name}`", *values, texts.get(name, "")])
    batches = [published[row].batch for row in rows]
    patches = texts.get("batch", "labeled + unlabeled patches per step")
    lines.append(["`batch`", *(f"{batch.labeled} + {batch.unlabeled}" for batch in batches), patches])
    for name in ("schedule", "weight_decay"):
        lines.append([f"`{name}`", *(word(getattr(published[row], name)) for row in rows), texts.get(name, "")])
    if "weight" in defaults:
        lines.append([f"`weight` in `{REDUCED}`", *(word(reduced[row].options["weight"]) for row in rows), ""])
    if costs is not None:
        lines.append(["cost", *(number(costs.ratios.get(row)) for row in rows), ""])
    return grid(["", *(f"`{row}`" for row in rows), ""], lines) + "\n"


def commented(rows: Iterable[str]) -> dict[str, str]:
    """Key -> comment, from the files of rows and those that they build on; the first file with a comment wins."""
    files = dict.fromkeys(file for row in rows for file in files_of(row, CONF))
    found: dict[str, str] = {}
    for file in files:
        found = comments(file) | found
    return found


def whose(rows: Iterable[str]) -> str:
    """The sources of the rows' weights: the comments of the `weights` in conf/config.yaml that their files refer to."""
    texts, found = comments(CONF / "config.yaml"), dict[str, list[str]]()
    for row in rows:
        files = [file.read_text("utf-8") for file in files_of(row, CONF)]
        keys = re.findall(r"\$\{weights\.(\w+)\}", "".join(files))
        found.setdefault(texts[keys[0]] if keys else "", []).append(f"`{row}`")
    if len(found) == 1:
        return next(iter(found))
    return ". ".join(f"{listed(names)}: {text}" for text, names in found.items())


def word(value: Any) -> str:
    """A value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
