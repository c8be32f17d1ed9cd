"""Builds the results table from all runs of a profile: the scores of the rows and their uncertainty."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from lassl.evaluation.scores import absent
from lassl.evaluation.summary import POLICIES, variant
from lassl.model.record import Evaluated
from lassl.paths import PUBLISHED, metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text, write_text
from lassl.plumbing.yaml_text import first_reason, parse_yaml
from lassl.results import details, markdown, runs
from lassl.results.comparisons import compared, mean_of_family, rounded
from lassl.results.document import Published, Row, Table
from lassl.results.measures import DICE, MAIN, MAIN_DISTANCES, OTHERS, Mean, OfStructure, Spread, Value
from lassl.results.power import design
from lassl.results.runs import ExternalResult, Result, ScoredMasks, mean, own_title, score_table, scores
from lassl.settings.statistics import Statistics
from lassl.statistics.patients import interval
from lassl.statistics.variance import Variance, variance_split


def table(profile: str, statistics: Statistics, published: Path = PUBLISHED) -> str:
    """Write a profile's table.json, table.md and details.md; return the text of table.md. Raises LasslError."""
    content = build(profile, statistics, parse_yaml(read_text(published)))
    folder = metrics_folder(profile)
    write_text(folder / "table.json", json.dumps(content.plain(), indent=1) + "\n")
    write_text(folder / "details.md", details.details(content))
    write_text(folder / "table.md", text := markdown.table(content))
    return text


def build(profile: str, statistics: Statistics, published: Mapping[str, Any]) -> Table:
    """Collect a profile's runs into rows, in the order of `grouped`, with external rows last.

    `published` is the content of metrics/published.yaml; its figures are not shown for runs of the tuning mode.
    Raises LasslError.
    """
    results, lacking = runs.whole_pairs(runs.read_results(profile), statistics.pairs)
    groups, kinds = grouped(results, published)
    first = next(iter(groups.values()))[0]
    tuned = any(r.record.settings.cases.tuning for r in results)
    shown = statistics.published and not tuned
    asked = published["rows"] if shown and statistics.baseline in published["rows"] else ()
    external = {f"external/{name}": result for name, result in runs.read_external(first).items()}
    masks: dict[str, Sequence[ScoredMasks]] = {**groups, **{name: [result] for name, result in external.items()}}
    tables = {name: {measure.key: scores(group, measure.column) for measure in MAIN} for name, group in masks.items()}
    differences = compared(tables, statistics)
    rows = {}
    for method, group in groups.items():
        title, figures = title_and_figures(method, group, shown, published)
        told = {"title": title, "group": kinds[method], "published": figures, **differences[method]}
        rows[method] = row(group, told | scored(group, tables[method], statistics))
    elsewhere = {f"external/{name}": figures for name, figures in published.get("external", {}).items() if shown}
    for name, result in external.items():
        told = scored([result], tables[name], statistics) | {"published": figures_of(name, elsewhere.get(name, {}))}
        rows[name] = external_row(result, told | differences[name])
    return Table(
        profile=profile,
        cohort=first.record.cohort.name,
        cohort_hash=tuple(sorted({r.record.cohort.hash for r in results})),
        pool=first.record.settings.patches.pool,
        devices=tuple(sorted({r.record.training.device for r in results})),
        scored="tuning" if tuned else "test",
        scored_cases=first.cases["case"].nunique(),
        statistics=Statistics(**statistics.model_dump()),  # so that every field counts as set, even a default
        rows=rows,
        family=mean_of_family(tables, statistics),
        design=design(groups, statistics).told(),
        lacking={str(pair): tuple(names) for pair, names in lacking.items()},
        missing=tuple(name for name in asked if name not in rows),
        notes=tuple(published["notes"][r.published.note] for r in rows.values() if r.published and r.published.note),
    )


def grouped(results: Sequence[Result], published: Mapping[str, Any]) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """The runs by method, and the group of each: table, field or own.

    Rows of the published table come first, in its order; then the field by our mean Dice, best first; then own rows.
    """
    groups = runs.by_method(results, list(published["rows"]))
    dice = {name: mean(scores(group, DICE.column)) for name, group in groups.items() if name in published["field"]}
    field = sorted(dice, key=lambda name: dice[name], reverse=True)
    order = dict.fromkeys([*(name for name in groups if name in published["rows"]), *field, *groups])
    kinds = {n: "table" if n in published["rows"] else "field" if n in published["field"] else "own" for n in order}
    return {name: groups[name] for name in order}, kinds


def title_and_figures(
    method: str, group: Sequence[Result], shown: bool, published: Mapping[str, Any]
) -> tuple[str, Published | None]:
    """The title of a row and its published figures; if they are not shown, the title has the runs' label counts."""
    figures = dict({**published["rows"], **published["field"]}.get(method, {}))
    text = figures.pop("title", method)
    return (text, figures_of(method, figures)) if shown else (own_title(text, group), None)


def figures_of(row: str, figures: Mapping[str, Any]) -> Published | None:
    """The published figures of a row, or None. Raises LasslError if they are not valid."""
    try:
        return Published(**figures) if figures else None
    except ValidationError as error:
        raise LasslError(f"{PUBLISHED}: {row}: {first_reason(error)}; fix it there") from None


def row(group: Sequence[Result], told: Mapping[str, Any]) -> Row:
    """A row of our own runs: what was trained, and the other fields (`told`)."""
    records = [r.record for r in group]
    return Row(
        runs=tuple(r.run for r in group),
        labeled=tuple(sorted({r.settings.method.labeled for r in records})),
        unlabeled=tuple(sorted({r.settings.method.unlabeled for r in records})),
        steps=tuple(sorted({r.settings.train.steps for r in records})),
        training_minutes=round(sum(r.training.seconds for r in records) / len(records) / 60, 1),
        devices=tuple(sorted({r.training.device for r in records})),
        evaluation=distinct(r.evaluation.departures for r in records),
        stride=distinct(r.evaluation.stride for r in records),
        shared=distinct(shared(r) for r in records),
        method=distinct(r.settings.method.model_dump(mode="json") for r in records),
        **told,
    )


def shared(record: Evaluated) -> dict[str, Any]:
    """The settings that every row should share; precision auto is replaced by the actual format."""
    settings = record.settings.model_dump(mode="json", exclude={"snapshots", "method"})
    settings["compute"]["precision"] = record.precision
    return settings


def external_row(result: ExternalResult, told: Mapping[str, Any]) -> Row:
    """The row of external masks or imported weights, which has no runs of ours and whose training is unknown."""
    names = ("runs", "labeled", "unlabeled", "steps", "devices", "stride", "shared", "method")
    unknown: dict[str, Any] = dict.fromkeys(names, ())
    return Row(
        title=result.title,
        group="external",
        **unknown,
        training_minutes=None,
        evaluation=("" if (policy := result.reported.failures) == "excluded" else f"failures: {policy}",),
        **told,
    )


def scored(group: Sequence[ScoredMasks], tables: Mapping[str, pd.DataFrame], statistics: Statistics) -> dict[str, Any]:
    """The scores of a row, and the sources of their variance."""
    return {
        "cases": next(iter(tables.values())).shape[1],
        "failed": int(sum(r.reported_cases()["failed"].sum() for r in group)),
        "scores": {key: spread(values, statistics) for key, values in tables.items()},
        "variance": {key: Variance(**rounded(asdict(variance_split(values)))) for key, values in tables.items()},
        "more": {m.key: Mean(**mean_and_std(scores(group, m.column))) for m in OTHERS},
        "failures": failures(group),
        "variants": variants(group),
        **({"structures": structures(group)} if group[0].structures else {}),
    }


def structures(group: Sequence[ScoredMasks]) -> dict[str, OfStructure]:
    """The scores of each of several structures."""
    found = {r.run: r.reported_structures() for r in group}
    told = {}
    for name in group[0].structures:
        frames = {run: structures[name] for run, structures in found.items()}
        told[name] = OfStructure(
            scores={m.key: Mean(**mean_and_std(score_table(frames, m.column))) for m in MAIN},
            failed=int(sum(frame["failed"].sum() for frame in frames.values())),
            absent=absent(next(iter(frames.values()))),
        )
    return told


def mean_and_std(values: pd.DataFrame) -> dict[str, Value]:
    """Mean of all defined values, and standard deviation over cases (of each case's mean over the runs)."""
    return rounded({"mean": mean(values), "std": values.mean().std()})


def spread(values: pd.DataFrame, statistics: Statistics) -> Spread:
    """Mean, its interval, and the standard deviations over cases and over the runs' means; None if undefined."""
    low, high = interval(values, count=statistics.resamples, seed=statistics.seed)
    return Spread(**mean_and_std(values), **rounded({"low": low, "high": high, "std_runs": values.mean(axis=1).std()}))


def failures(group: Sequence[ScoredMasks]) -> dict[str, dict[str, Value]]:
    """Mean distances under each policy for empty predictions."""
    means = {}
    for name, policy in POLICIES.items():
        frames = {r.run: r.reported_cases(policy) for r in group}
        means[name] = rounded({m.key: mean(score_table(frames, m.column)) for m in MAIN_DISTANCES})
    return means


def variants(group: Sequence[ScoredMasks]) -> dict[str, dict[str, Value]]:
    """Mean scores of every network that all runs have and of the ensemble, with whole masks and largest components."""
    means = {}
    kinds = [list(r.cases[["network", "parts"]].drop_duplicates().itertuples(index=False, name=None)) for r in group]
    for network, parts in (kind for kind in kinds[0] if all(kind in others for others in kinds)):
        frame = pd.concat([r.counted(variant(r.cases, network, parts)) for r in group])
        means[f"{network}, {parts}"] = rounded({m.key: frame[m.column].mean() for m in MAIN})
    return means


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """The distinct values in the order of their first appearance."""
    different: list[Any] = []
    for value in values:
        if value not in different:
            different.append(value)
    return tuple(different)
