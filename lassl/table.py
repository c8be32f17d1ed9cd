"""All runs of a profile -> the results table, as JSON and as Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lassl.config import Run, metrics_folder
from lassl.errors import LasslError
from lassl.files import text_hash, write_text

SCORES = {"dice": "dice_percent", "jaccard": "jaccard_percent", "asd": "asd_voxel", "hd95": "hd95_voxel"}
SHARED = ("network", "patches", "train", "compute")  # settings that every row should have in common
HEADS = {"dice": "Dice [%]", "jaccard": "Jaccard [%]", "asd": "ASD [voxel]", "hd95": "95HD [voxel]"}


@dataclass(frozen=True)
class Result:
    """A run that was evaluated: its record and the scores of its test cases."""

    record: dict[str, Any]
    cases: pd.DataFrame


def build(profile: str, published: Mapping[str, Any]) -> dict[str, Any]:
    """Gather a profile's runs into rows, the published ones first and in their order. Raises LasslError."""
    results = [read_result(path) for path in sorted((metrics_folder(profile) / "records").glob("*.yaml"))]
    if not results:
        raise LasslError(f"metrics/{profile}/records: found no run; make some with `dvc exp run -S profile={profile}`")
    methods = dict.fromkeys([*published["rows"], *(r.record["method"] for r in results)])
    groups = {m: [r for r in results if r.record["method"] == m] for m in methods}
    reference = results[0].record
    rows = {m: row(group, published["rows"].get(m, {"title": m})) for m, group in groups.items() if group}
    return {
        "profile": profile,
        "cohort": reference["cohort"]["name"],
        "cohort_hash": sorted({r.record["cohort"]["hash"] for r in results}),
        "pool": reference["settings"]["patches"]["pool"],
        "devices": sorted({r.record["training"]["device"] for r in results}),
        "rows": rows,
        "missing": [m for m in published["rows"] if m not in rows],
        "notes": [published["notes"][n] for n in (r["published"].get("note") for r in rows.values()) if n],
    }


def read_result(path: Path) -> Result:
    """Read a run's record and the case scores that belong to it. Raises LasslError."""
    record = yaml.safe_load(path.read_text())
    run = Run(**{key: record[key] for key in ("profile", "method", "draw", "seed")})
    if not run.cases.is_file():
        raise LasslError(f"{run.cases}: not found, though {path} exists; run `dvc repro` or delete the record")
    if text_hash(run.cases.read_text()) != record["cases_sha256"]:
        raise LasslError(f"{run.cases}: not the scores that {path} was written with; restore both from git")
    return Result(record, pd.read_csv(run.cases))


def row(group: Sequence[Result], published: Mapping[str, Any]) -> dict[str, Any]:
    """One row: mean and standard deviation of each score over the cases of all runs, and what was trained."""
    cases = pd.concat([r.cases for r in group])
    settings = [r.record["settings"] for r in group]
    return {
        "title": published["title"],
        "runs": len(group),
        "cases": cases["case"].nunique(),
        "labeled": sorted({s["method"]["labeled"] for s in settings}),
        "unlabeled": sorted({s["method"]["unlabeled"] for s in settings}),
        "steps": sorted({s["train"]["steps"] for s in settings}),
        "training_minutes": round(sum(r.record["training"]["seconds"] for r in group) / len(group) / 60, 1),
        "failed": int(cases["failed"].sum()),
        "scores": {name: spread(cases[column]) for name, column in SCORES.items()},
        "evaluation": distinct(evaluated(r.record["evaluation"]) for r in group),
        "stride": distinct(r.record["evaluation"]["stride"] for r in group),
        "shared": distinct({key: s[key] for key in SHARED} for s in settings),
        "method": distinct(s["method"] for s in settings),
        "published": {k: v for k, v in published.items() if k != "title"},
    }


def spread(column: "pd.Series[float]") -> dict[str, float | None]:
    """Mean and sample standard deviation of the defined values, None where there are too few."""
    mean, deviation = column.mean(), column.std()
    return {k: None if pd.isna(v) else round(float(v), 4) for k, v in (("mean", mean), ("std", deviation))}


def evaluated(evaluation: Mapping[str, Any]) -> str:
    """Name what departs from the default evaluation; empty where nothing does."""
    network = evaluation["network"]
    parts = [f"{network} network"] if network != "default" else []
    return ", ".join(parts + ["largest component only"] * evaluation["largest_component"])


def distinct(values: Iterable[Any]) -> list[Any]:
    """The different values in the order of their first appearance."""
    found: list[Any] = []
    for value in values:
        found += [] if value in found else [value]
    return found


def write_table(profile: str, published: Path = Path("metrics/published.yaml")) -> str:
    """Write table.json and table.md of a profile and give the latter's text. Raises LasslError."""
    table = build(profile, yaml.safe_load(published.read_text()))
    text = markdown(table)
    write_text(metrics_folder(profile) / "table.json", json.dumps(table, indent=2) + "\n")
    write_text(metrics_folder(profile) / "table.md", text)
    return text


def markdown(table: Mapping[str, Any]) -> str:
    """Render a table: ours and the published row beside each other, then what a reader has to know about them."""
    rows = table["rows"].values()
    heads = ["Method", *HEADS.values(), "failed", "cases", "labeled + unlabeled", "steps", "min"]
    lines = [heads, ["---"] * len(heads)]
    for r in rows:
        lines += [ours(r), theirs(r)] if len(r["published"]) else [ours(r)]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{body}\n\n{chr(10).join(remarks(table))}\n"


def ours(r: Mapping[str, Any]) -> list[str]:
    """Cells of a row of ours: mean, and standard deviation over cases."""
    scores = [f"{number(v['mean'])} ± {number(v['std'])}" for v in r["scores"].values()]
    counts = " + ".join(listed(r[k]) for k in ("labeled", "unlabeled"))
    title = f"**{r['title']}**" + (f" ({r['runs']} runs)" if r["runs"] > 1 else "")
    title += "".join(f", {e}" for e in r["evaluation"] if e)
    return [title, *scores, str(r["failed"]), str(r["cases"]), counts, listed(r["steps"]), f"{r['training_minutes']:g}"]


def theirs(r: Mapping[str, Any]) -> list[str]:
    """Cells of the published figures under a row of ours."""
    mark = " [1]" if "note" in r["published"] else ""
    return [f"published{mark}", *(f"{r['published'][k]:g}" for k in SCORES), *[""] * 5]


def number(value: float | None) -> str:
    """Two decimals, or a dash for an undefined score."""
    return "-" if value is None else f"{value:.2f}"


def listed(values: Sequence[int]) -> str:
    """The distinct values, joined."""
    return ", ".join(map(str, values))


def remarks(table: Mapping[str, Any]) -> list[str]:
    """What the figures are, and every way in which rows cannot be compared."""
    rows = list(table["rows"].values())
    scale = f"volumes pooled by {table['pool']}" if table["pool"] > 1 else "full resolution"
    data = "synthetic phantoms, not patients" if table["cohort"] == "synthetic" else "real scans"
    lines = [
        f"Profile `{table['profile']}`: cohort `{table['cohort']}` ({data}), {scale}, trained on "
        f"{' and '.join(table['devices'])}. Mean ± standard deviation over test cases, scored at native resolution; "
        "min: minutes of training. Distances leave out failed cases (empty predictions), which are counted. "
        "The published rows are Gupta and Guo's, on the real scans at full resolution."
    ]
    if table["missing"]:
        lines.append(f"Not run in this profile: {', '.join(table['missing'])}.")
    for what, key in (("settings", "shared"), ("window strides", "stride")):
        if len(distinct(value for r in rows for value in r[key])) > 1:
            lines.append(f"**The rows have different {what} (see table.json) and cannot be compared.**")
    for r in rows:
        if len(r["method"]) > 1 or len(r["evaluation"]) > 1:
            lines.append(f"**{r['title']}: its runs differ in their options (see table.json): not one method.**")
    if len(table["cohort_hash"]) > 1:
        lines.append("**The rows were trained on different data and cannot be compared.**")
    lines += [f"[1] {note}" for note in table["notes"]]
    return [line + "\n" for line in lines]
