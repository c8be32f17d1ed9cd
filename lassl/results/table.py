"""All runs of a profile -> the results table: what the rows score, how sure that is, what can be told apart."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pandas as pd
import yaml

from lassl.evaluation import summary as headline
from lassl.evaluation.scores import Scores
from lassl.flaws.empty_zero import zero
from lassl.paths import metrics_folder
from lassl.plumbing.files import write_text
from lassl.results import markdown, statistics
from lassl.results.runs import Result, by_method, read_external, read_results, score_table
from lassl.sections import ATRIA, Statistics

SCORES = {"dice": "dice_percent", "jaccard": "jaccard_percent", "asd": "asd_voxel", "hd95": "hd95_voxel"}
HIGHER = {"dice", "jaccard"}  # is better
MORE = [f.name for f in fields(Scores) if f.name not in (*SCORES.values(), "diagonal_voxel", "diagonal_mm", "failed")]
SHARED = ("network", "patches", "train", "compute", "cases")  # settings that every row should have in common
ALIKE = 0.05  # two rows whose adjusted p is not below it cannot be told apart
POLICIES = {"excluded": "excluded", "diagonal": "diagonal", "zero": f"{zero.__module__}:{zero.__name__}"}
Tables = Mapping[str, Mapping[str, pd.DataFrame]]  # method -> score -> (draw, seed) x cases


def table(profile: str, settings: Statistics, published: Path = Path("metrics/published.yaml")) -> str:
    """Write a profile's table.json, table.md and details.md, and give the text of table.md. Raises LasslError."""
    table = build(profile, settings, yaml.safe_load(published.read_text("utf-8")))
    folder = metrics_folder(profile)
    text = markdown.table(table)
    write_text(folder / "table.json", json.dumps(table, indent=1) + "\n")
    write_text(folder / "details.md", markdown.details(table))
    write_text(folder / "table.md", text)
    return text


def build(profile: str, settings: Statistics, published: Mapping[str, Any]) -> dict[str, Any]:
    """Gather a profile's runs into rows, the published ones first and in their order, external ones last.

    On a cohort that no paper knows, nothing published stands beside them. Raises LasslError.
    """
    known = {**published["rows"], **{m: {"title": title} for m, title in published["titles"].items()}}
    results = read_results(profile)
    groups = by_method(results, list(known))
    atria = results[0].record["cohort"]["name"] in ATRIA
    if not atria:
        known = {m: {"title": own_title(known.get(m, {"title": m})["title"], group)} for m, group in groups.items()}
    first = next(iter(groups.values()))[0]
    outside = {f"external/{name}": [r] for name, r in read_external(first).items()}
    tables = {m: {s: scores(group, c) for s, c in SCORES.items()} for m, group in {**groups, **outside}.items()}
    rows = {m: row(group, tables[m], known.get(m, {"title": m}), settings) for m, group in groups.items()}
    rows |= {m: external_row(r, tables[m], settings) for m, (r,) in outside.items()}
    beside: dict[str, Mapping[str, Any]] = {
        "against_baseline": against(tables, settings),
        "probability_of_best": best({m: tables[m] for m in groups}, settings),
        "alike": alike(tables, settings),
    }
    for key, found in beside.items():
        for method, value in found.items():
            rows[method][key] = value
    reference = first.record
    return {
        "profile": profile,
        "cohort": reference["cohort"]["name"],
        "cohort_hash": sorted({r.record["cohort"]["hash"] for r in results}),
        "pool": reference["settings"]["patches"]["pool"],
        "devices": sorted({r.record["training"]["device"] for r in results}),
        "statistics": settings.model_dump(mode="json"),
        "rows": rows,
        "missing": [m for m in published["rows"] if m not in rows] if atria else [],
        "notes": [published["notes"][n] for n in (r["published"].get("note") for r in rows.values()) if n],
    }


def own_title(title: str, group: Sequence[Result]) -> str:
    """A published title, such as V-Net & 16L, with the label counts of these runs."""
    learned = [r.record["settings"]["method"] for r in group]
    labeled, unlabeled = ("/".join(map(str, sorted({m[k] for m in learned}))) for k in ("labeled", "unlabeled"))
    return f"{title.split(' & ')[0]} & {labeled}L" + f"+{unlabeled}UL" * (unlabeled != "0")


def scores(group: Sequence[Result], column: str, policy: str | None = None) -> pd.DataFrame:
    """A score behind the headline figures: (draw, seed) x cases."""
    return score_table({r.run: r.headline(policy) for r in group}, column)


def row(
    group: Sequence[Result], tables: Mapping[str, pd.DataFrame], published: Mapping[str, Any], settings: Statistics
) -> dict[str, Any]:
    """One row by itself: its scores and their spread, and what was trained."""
    kept = [r.record["settings"] for r in group]
    return {
        "title": published["title"],
        "runs": [list(r.run) for r in group],
        "labeled": sorted({s["method"]["labeled"] for s in kept}),
        "unlabeled": sorted({s["method"]["unlabeled"] for s in kept}),
        "steps": sorted({s["train"]["steps"] for s in kept}),
        "training_minutes": round(sum(r.record["training"]["seconds"] for r in group) / len(group) / 60, 1),
        **scored(group, tables, settings),
        "evaluation": distinct(evaluated(r.record["evaluation"]) for r in group),
        "stride": distinct(r.record["evaluation"]["stride"] for r in group),
        "shared": distinct(shared(r.record) for r in group),
        "method": distinct(s["method"] for s in kept),
        "published": {k: v for k, v in published.items() if k != "title"},
    }


def shared(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that every row should have in common; for precision auto, the format that was taken."""
    settings = record["settings"]
    taken = record["training"].get("precision", settings["compute"]["precision"])
    return {key: settings[key] for key in SHARED} | {"compute": settings["compute"] | {"precision": taken}}


def external_row(result: Result, tables: Mapping[str, pd.DataFrame], settings: Statistics) -> dict[str, Any]:
    """The row of masks that were made elsewhere: it has no runs of ours, and how it was trained is not known."""
    policy = result.record["evaluation"]["failures"]
    unknown = ("runs", "labeled", "unlabeled", "steps", "stride", "shared", "method")
    return {
        "title": result.record["title"],
        **{key: [] for key in unknown},
        "training_minutes": None,
        **scored([result], tables, settings),
        "evaluation": ["" if policy == "excluded" else f"failures: {policy}"],
        "published": {},
    }


def scored(group: Sequence[Result], tables: Mapping[str, pd.DataFrame], settings: Statistics) -> dict[str, Any]:
    """What a row scores, and where its variance comes from."""
    return {
        "cases": next(iter(tables.values())).shape[1],
        "failed": int(sum(r.headline()["failed"].sum() for r in group)),
        "scores": {name: spread(t, settings) for name, t in tables.items()},
        "variance": {name: rounded(vars(statistics.variance_split(t))) for name, t in tables.items()},
        "more": {name: mean_and_std(scores(group, name)) for name in MORE},
        "failures": failures(group),
        "variants": variants(group),
    }


def mean_and_std(table: pd.DataFrame) -> dict[str, float | None]:
    """Mean of the defined values of all runs and cases, and standard deviation over the cases' means over the runs."""
    return rounded({"mean": mean(table), "std": table.mean().std()})


def mean(table: pd.DataFrame) -> float:
    """Mean of the defined values of all runs and cases, NaN if there are none."""
    values = table.to_numpy(dtype=np.float64)
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def spread(table: pd.DataFrame, settings: Statistics) -> dict[str, float | None]:
    """Mean, its interval, and the standard deviations over cases and over the runs' means; None where undefined."""
    low, high = statistics.interval(table, count=settings.resamples, seed=settings.seed)
    return mean_and_std(table) | rounded({"low": low, "high": high, "std_runs": table.mean(axis=1).std()})


def failures(group: Sequence[Result]) -> dict[str, dict[str, float | None]]:
    """Mean distances under each policy for empty predictions."""
    distances = [name for name in SCORES if name not in HIGHER]
    means = {p: {d: mean(scores(group, SCORES[d], name)) for d in distances} for p, name in POLICIES.items()}
    return {policy: rounded(found) for policy, found in means.items()}


def variants(group: Sequence[Result]) -> dict[str, dict[str, float | None]]:
    """Mean scores of every network that all runs have, and the ensemble, with all parts and with the largest alone."""
    found = {}
    kinds = [list(r.cases[["network", "parts"]].drop_duplicates().itertuples(index=False, name=None)) for r in group]
    for name, parts in (kind for kind in kinds[0] if all(kind in others for others in kinds)):
        frames = [r.counted(headline.variant(r.cases, name, parts)) for r in group]
        found[f"{name}, {parts}"] = rounded({s: pd.concat(frames)[c].mean() for s, c in SCORES.items()})
    return found


def against(tables: Tables, settings: Statistics) -> dict[str, dict[str, Any]]:
    """Compare every other row with the baseline by each score, of which Dice is the primary one.

    Holm's correction is over the rows, for each score by itself: a secondary score takes nothing from Dice.
    """
    if settings.baseline not in tables:
        return {}
    others = {m: own for m, own in tables.items() if m != settings.baseline}
    options = {"count": settings.resamples, "seed": settings.seed}
    result: dict[str, dict[str, Any]] = {m: {} for m in others}
    for score, base in tables[settings.baseline].items():
        family = [statistics.compare(own[score], base, **options) for own in others.values()]
        adjusted = statistics.holm([c.p_value for c in family])
        for method, comparison, p in zip(others, family, adjusted, strict=True):
            result[method][score] = rounded(vars(comparison) | {"p_holm": p})
    return result


def best(tables: Tables, settings: Statistics) -> dict[str, dict[str, float | None]]:
    """Probability of each row to be the best by each score, over the runs that all rows have; nothing if none."""
    shared = set.intersection(*(set(own["dice"].index) for own in tables.values()))
    if not shared:
        return {}
    chances = {
        s: statistics.probability_of_best(
            {m: own[s] for m, own in tables.items()}, s in HIGHER, settings.resamples, settings.seed
        )
        for s in SCORES
    }
    return {m: rounded({s: chances[s][m] for s in SCORES}) for m in tables}


def alike(tables: Tables, settings: Statistics) -> dict[str, str]:
    """Letters: rows that share one cannot be told apart by Dice (Wilcoxon, Holm over all pairs of rows).

    The pairs are a family of their own, larger than that of the comparisons with the baseline: a row can differ from
    the baseline there and share a letter with it here.
    """
    pairs = list(combinations(tables, 2))
    tests = [
        statistics.compare(tables[a]["dice"], tables[b]["dice"], count=1, seed=settings.seed).p_value for a, b in pairs
    ]
    graph = networkx.Graph()
    graph.add_nodes_from(tables)
    graph.add_edges_from(pair for pair, p in zip(pairs, statistics.holm(tests), strict=True) if p >= ALIKE)
    order = list(tables)
    groups = sorted(sorted(map(order.index, group)) for group in networkx.find_cliques(graph))
    return {m: "".join(chr(97 + n) for n, group in enumerate(groups) if order.index(m) in group) for m in tables}


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Four decimals, and None for what is undefined."""
    return {k: v if isinstance(v, int) else None if pd.isna(v) else round(float(v), 4) for k, v in values.items()}


def evaluated(evaluation: Mapping[str, Any]) -> str:
    """Name what departs from the default evaluation; empty where nothing does."""
    parts = [f"{evaluation['network']} network"] if evaluation["network"] in ("teacher", "second", "ensemble") else []
    parts += ["largest component only"] * evaluation["largest_component"]
    parts += [f"failures: {evaluation['failures']}"] * (evaluation["failures"] != "excluded")
    use = evaluation["snapshot"]["use"]
    return ", ".join(parts + [f"snapshot: {use}"] * (use != "last"))


def distinct(values: Iterable[Any]) -> list[Any]:
    """The different values in the order of their first appearance."""
    found: list[Any] = []
    for value in values:
        found += [] if value in found else [value]
    return found
