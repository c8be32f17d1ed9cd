"""Writes docs/methods.md: each method in words and formulas, its options and costs, from the code and the settings."""

import inspect
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.utils.hydra import compose_and_dump
from pydantic import BaseModel, ConfigDict

from lassl.methods import class_of
from lassl.pages.prose import comments, docstring, heading
from lassl.pages.public_code import METHODS
from lassl.paths import DOCS, PUBLISHED
from lassl.plumbing.files import write_text
from lassl.plumbing.tables import grid, listed, number
from lassl.plumbing.yaml_text import checked, parse_yaml
from lassl.settings.config import Config, load
from lassl.settings.origins import files_of
from lassl.settings.sections import Method

CONF = Path("conf")
COSTS = DOCS / "costs.yaml"
KINDS = {  # of algorithms, in the order of the page
    "Labels alone": ("supervised",),
    "One network": ("entropy", "vat", "rdrop", "unimatch"),
    "A teacher and a student": (*("mean_teacher", "ict", "fixmatch", "bcp", "admt"),),
    "Two networks": ("cps",),
    "Several decoders or heads": ("dtc", "urpc", "mcnet", "cct"),
}
OTHERS = "Others"
REDUCED = "compact"  # the profile whose weights are shown beside the published ones
INTRODUCTION = """# Methods

The methods that the benchmark has: {algorithms} algorithms in `lassl/methods/`, in {rows} rows of `conf/method/`.
All of them have the same network, loop, order of labeled patches and evaluation of the last weights; where a text
speaks of the supervised loss, it is that of the baseline, 0.5 (cross-entropy + Dice). `dvc exp run -S method=field`
trains all rows.

Texts are those of the algorithms' files; *theirs* and *authors* mean the code that the authors released, which was
read. Options are those of profile `paper`, with whose each weight is, and the weight of profile `{reduced}` below. A
row that differs from another in its labeled cases alone is named beside it. The schedule is each row's own where
`train.schedule` is null, as at `paper`; `{reduced}` has `{schedule}` for all rows, and `-S train.schedule=poly` gives
any profile a common one. All rows make the steps of the profile; the authors' numbers stand in
[differences](differences.md#steps). *Public code* tells what was read in code of others, and nothing of what was not.

{costs}

`make methods` writes this page from `lassl/`, `conf/` and what `python -m benchmarks.costs` measured.
"""


class Costs(BaseModel):
    """What benchmarks/costs.py measured: the time of a step of each row by that of the baseline's, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    turns: int
    baseline: str
    device: str
    threads: int
    torch: str
    ratios: dict[str, float]


def write() -> None:
    """Write docs/methods.md."""
    write_text(DOCS / "methods.md", page())


def page() -> str:
    """Render the page from conf/ and lassl/ and, where they are, the titles of metrics/published.yaml and the costs."""
    published, reduced = composed("paper"), composed(REDUCED)
    costs = checked(Costs, COSTS.read_text("utf-8")) if COSTS.is_file() else None
    algorithms = alike(published.methods)
    titles = titles_of(parse_yaml(PUBLISHED.read_text("utf-8")))
    counts = {"algorithms": len(algorithms), "rows": len(published.methods)}
    introduction = INTRODUCTION.format(
        **counts, reduced=REDUCED, schedule=reduced.train.schedule, costs=measured(costs)
    )
    parts = [introduction, contents(algorithms, titles)]
    for kind, members in kinds(algorithms).items():
        parts.append(f"## {kind}\n")
        for algorithm in members:
            rows = algorithms[algorithm]
            table = options(rows, published.methods, reduced.methods, costs)
            head = f"### {class_of(algorithm).__name__}\n\n`lassl/methods/{algorithm}.py`\n"
            parts += [head, named(rows, titles), docstring(class_of(algorithm)), table]
            if algorithm in METHODS:
                parts.append(f"**Public code.** {METHODS[algorithm]}\n")
    return "\n".join(parts)


def composed(profile: str) -> Config:
    """The settings of a profile with the rows of conf/method/field.yaml."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        compose_and_dump(path, str(CONF.resolve()), None, "config", "", [f"profile={profile}", "method=field"])
        return load(path)


def alike(methods: Mapping[str, Method]) -> dict[str, dict[str, list[str]]]:
    """By algorithm the rows that differ in more than their cases, each with those that do not."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, method in methods.items():
        rows = found.setdefault(method.algorithm, {})
        own = method.model_dump(exclude={"labeled", "unlabeled"})
        same = [row for row in rows if methods[row].model_dump(exclude={"labeled", "unlabeled"}) == own]
        if same:
            rows[same[0]].append(name)
        else:
            rows[name] = []
    return found


def kinds(algorithms: Collection[str]) -> dict[str, list[str]]:
    """The algorithms by kind, in the order of KINDS; those that it does not know are OTHERS."""
    known = [name for members in KINDS.values() for name in members]
    found = {kind: [name for name in members if name in algorithms] for kind, members in KINDS.items()}
    found[OTHERS] = [name for name in algorithms if name not in known]
    return {kind: members for kind, members in found.items() if members}


def titles_of(published: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The titles in metrics/published.yaml by row."""
    return {row: entry["title"] for row, entry in {**published.get("field", {}), **published["rows"]}.items()}


def contents(algorithms: Mapping[str, Mapping[str, list[str]]], titles: Mapping[str, str]) -> str:
    """A list of the algorithms by kind, each with its rows, that links to them."""
    lines = []
    for kind, members in kinds(algorithms).items():
        lines.append(f"- {kind}")
        for algorithm in members:
            short = dict.fromkeys(titles.get(row, row).split(" & ")[0] for row in algorithms[algorithm])
            lines.append(
                f"  - [{class_of(algorithm).__name__}](#{class_of(algorithm).__name__.lower()}): {listed(short)}"
            )
    return "\n".join(lines) + "\n"


def named(rows: Mapping[str, list[str]], titles: Mapping[str, str]) -> str:
    """Titles and names of the rows, each with those that differ from it in labeled cases alone, and what it is.

    What it is stands at the head of its file; a row that is alone is what the text of its algorithm says.
    """
    lines = []
    for first, others in rows.items():
        line, *further = (f"**{titles[row]}** (`{row}`)" if row in titles else f"`{row}`" for row in (first, *others))
        if further:
            line += f"; with other cases {listed(further)}"
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
    told = {"weight": whose(rows)} | commented(rows)
    lines = []
    for name, default in defaults.items():
        values = [word(published[row].options.get(name, default)) for row in rows]
        lines.append([f"`{name}`", *values, told.get(name, "")])
    batches = [published[row].batch for row in rows]
    patches = told.get("batch", "patches of labeled + unlabeled cases in a step")
    lines.append(["`batch`", *(f"{batch.labeled} + {batch.unlabeled}" for batch in batches), patches])
    for name in ("schedule", "weight_decay"):
        lines.append([f"`{name}`", *(word(getattr(published[row], name)) for row in rows), told.get(name, "")])
    if "weight" in defaults:
        lines.append([f"`weight` in `{REDUCED}`", *(word(reduced[row].options["weight"]) for row in rows), ""])
    if costs is not None:
        lines.append(["cost", *(number(costs.ratios.get(row)) for row in rows), ""])
    return grid(["", *(f"`{row}`" for row in rows), ""], lines) + "\n"


def commented(rows: Iterable[str]) -> dict[str, str]:
    """The comments of the files of rows, and of those that they build on, by key; the first one that has any counts."""
    files = dict.fromkeys(file for row in rows for file in files_of(row, CONF))
    found: dict[str, str] = {}
    for file in files:
        found = comments(file) | found
    return found


def whose(rows: Iterable[str]) -> str:
    """Whose the weights of rows are: the comments of those of conf/config.yaml that their files refer to."""
    told, found = comments(CONF / "config.yaml"), dict[str, list[str]]()
    for row in rows:
        texts = [file.read_text("utf-8") for file in files_of(row, CONF)]
        keys = re.findall(r"\$\{weights\.(\w+)\}", "".join(texts))
        found.setdefault(told[keys[0]] if keys else "", []).append(f"`{row}`")
    if len(found) == 1:
        return next(iter(found))
    return ". ".join(f"{listed(names)}: {text}" for text, names in found.items())


def word(value: Any) -> str:
    """A value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def measured(costs: Costs | None) -> str:
    """What a cost is, or that there is none."""
    if costs is None:
        return "Cost of a step: *not measured yet*."
    return (
        f"Cost: time of a step by that of `{costs.baseline}`, median of {costs.turns} turns, profile\n"
        f"`{costs.profile}`, {costs.device}, {costs.threads} threads, torch {costs.torch}."
    )
