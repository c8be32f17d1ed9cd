"""Reads the scores behind a profile's table from metrics/: those of its evaluated runs, and of external masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from lassl.evaluation.external_record import read_external_record
from lassl.evaluation.scores import STRUCTURE, by_structure, of_cases
from lassl.evaluation.snapshots import NO_ROWS, trajectory_of
from lassl.evaluation.summary import Policy, chosen, counted
from lassl.model.record import Evaluated, Reported, read_record
from lassl.paths import EXTERNAL, Run, metrics_folder
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import text_hash
from lassl.settings.statistics import Pairs
from lassl.statistics.scores import INDEX


@dataclass(frozen=True)
class ScoredMasks:
    """The scores of one mask per test case, or of several by network and parts, one of which is reported.

    `cases` may have a row for each of several structures.
    """

    run: tuple[int, int]  # label split and seed; (-1, -1) for external masks
    reported: Reported
    cases: pd.DataFrame

    def reported_cases(self, policy: Policy | None = None) -> pd.DataFrame:
        """The reported scores, one row per case; failed cases count as reported, or by another policy."""
        return of_cases(policy.count(self._chosen)) if policy else self._counted

    def reported_structures(self) -> dict[str, pd.DataFrame]:
        """The reported scores of each of several structures, by name; empty for one."""
        return {name: self.counted(rows) for name, rows in by_structure(self._chosen).items()}

    @property
    def masks(self) -> int:
        """The number of masks behind the reported scores: one per case, of several structures one each."""
        return int(self._chosen["dice_percent"].count())

    @property
    def structures(self) -> tuple[str, ...]:
        """The names of several structures; none for one."""
        return tuple(self.cases[STRUCTURE].unique()) if STRUCTURE in self.cases else ()

    @cached_property
    def _chosen(self) -> pd.DataFrame:
        return chosen(self.cases, self.reported)

    @cached_property
    def _counted(self) -> pd.DataFrame:
        return self.counted(self._chosen)

    def counted(self, cases: pd.DataFrame) -> pd.DataFrame:
        """Count failed cases among these scores as in the reported ones; one row per case."""
        return counted(cases, self.reported.failures)


@dataclass(frozen=True)
class Result(ScoredMasks):
    """An evaluated run: its record, the scores of its test cases in all variants, and those of its snapshots."""

    record: Evaluated
    snapshots: pd.DataFrame

    @property
    def names(self) -> Run:
        """The run, which knows the paths of its files."""
        return self.record.run


@dataclass(frozen=True)
class ExternalResult(ScoredMasks):
    """External masks or imported weights, scored by `lassl evaluate`, and the title of their row."""

    title: str


def read_results(profile: str) -> list[Result]:
    """Read all runs of a profile, label splits and seeds in order. Raises LasslError."""
    folder = metrics_folder(profile) / "records"
    records = [read_record(path) for path in folder.glob("[!.]*.yaml")]
    if not records:
        raise LasslError(f"{folder}: found no runs; make some with `dvc exp run -S profile={profile}`")
    results = [read_result(record) for record in sorted(records, key=lambda r: (r.method, r.label_split, r.seed))]
    first = results[0]
    for other in results:
        if set(other.cases["case"]) != set(first.cases["case"]):
            raise LasslError(
                f"{other.names.cases}: its test cases differ from those of {first.names.cases}, so they cannot be in "
                "one table; run both again with `dvc repro`, or delete the files of the old one"
            )
        if other.structures != first.structures:
            raise LasslError(
                f"{other.names.cases}: found {_named(other)}, but {first.names.cases} has {_named(first)}, so they "
                "cannot be in one table; run both again with `dvc repro`, or delete the files of the old one"
            )
    return results


def _named(result: ScoredMasks) -> str:
    return f"the structures {', '.join(result.structures)}" if result.structures else "one structure"


def read_result(record: Evaluated) -> Result:
    """Read the scores that belong to a record. Raises LasslError."""
    run = record.run
    return Result(
        run=(record.label_split, record.seed),
        reported=record.evaluation,
        cases=_scores(run.cases, run.record, record.cases_sha256, "dvc repro"),
        record=record,
        snapshots=_snapshots(record),
    )


def _snapshots(record: Evaluated) -> pd.DataFrame:
    """The Dice of a run's snapshots, from its record, or from the table that belongs to an earlier record.

    Raises LasslError if that table is missing or changed; a table without rows may be missing.
    """
    path, sha256 = record.run.snapshots, record.snapshots_sha256
    if sha256 is None or (sha256 == NO_ROWS and not path.is_file()):
        return trajectory_of(record.snapshot_dice)
    return _scores(path, record.run.record, sha256, "dvc repro")


def _scores(path: Path, record: Path, sha256: str, command: str) -> pd.DataFrame:
    """Read scores that belong to a record; `command` creates them again. Raises LasslError."""
    if not path.is_file():
        raise LasslError(f"{path}: not found, although {record} exists; run `{command}` or delete the record")
    if text_hash(path.read_text("utf-8")) != sha256:
        raise LasslError(f"{path}: its content does not match {record}; restore both from git")
    return read_scores(path)


def read_scores(path: Path | TextIO) -> pd.DataFrame:
    """Read a table of cases and scores; a score may be empty, and a case may be named NA, nan or 007."""
    return pd.read_csv(path, dtype={"case": str}, keep_default_na=False, na_values=[""])


def read_external(like: Result) -> dict[str, ExternalResult]:
    """Read the results of `lassl evaluate` on the test cases and structures of the run `like`, by name.

    Failures count as in that run; a note names results of other structures. Raises LasslError.
    """
    results = {}
    for path in sorted((EXTERNAL / "records").glob("[!.]*.yaml")):
        record = read_external_record(path)
        cases = _scores(EXTERNAL / f"{path.stem}.csv", path, record.cases_sha256, "lassl evaluate")
        if set(cases["case"]) == set(like.cases["case"]):
            reported = record.evaluation.model_copy(update={"failures": like.reported.failures})
            result = ExternalResult(run=(-1, -1), reported=reported, cases=cases, title=record.title)
            if set(result.structures) == set(like.structures):
                results[path.stem] = result
            else:
                note(f"{path}: has {_named(result)}, the runs {_named(like)}: not in their table; see --values")
    return results


def own_title(text: str, group: Sequence[Result]) -> str:
    """A published title, such as V-Net & 16L, with the label counts of these runs."""
    methods = [r.record.settings.method for r in group]
    labeled = "/".join(map(str, sorted({m.labeled for m in methods})))
    unlabeled = "/".join(map(str, sorted({m.unlabeled for m in methods})))
    counts = f"{labeled}L" if unlabeled == "0" else f"{labeled}L+{unlabeled}UL"
    return f"{text.split(' & ')[0]} & {counts}"


def by_method(results: Sequence[Result], order: Sequence[str]) -> dict[str, list[Result]]:
    """Group the runs by method: those of `order` first, then the others."""
    names = dict.fromkeys([*order, *(result.record.method for result in results)])
    groups = {name: [result for result in results if result.record.method == name] for name in names}
    return {name: group for name, group in groups.items() if group}


def whole_pairs(results: Sequence[Result], pairs: Pairs | None) -> tuple[Sequence[Result], dict[int, list[str]]]:
    """The runs of complete pairs (all runs if there are no pairs); and the rows that each incomplete pair lacks.

    Raises LasslError if no pair is complete.
    """
    if pairs is None:
        return results, {}
    made = {result.run: set[str]() for result in results}
    for result in results:
        made[result.run].add(result.record.method)
    begun = {k: [row for row in pairs.rows if row not in made[k, k]] for k in pairs.planned if (k, k) in made}
    lacking = {k: rows for k, rows in begun.items() if rows}
    whole = [(k, k) for k in begun if k not in lacking]
    if not whole:
        raise LasslError(
            f"{metrics_folder(results[0].record.profile)}: no pair of label split k and seed k has all of "
            f"{', '.join(pairs.rows)}; run the missing ones, then create the table with `dvc repro`"
        )
    return [result for result in results if result.run in whole], lacking


def scores(group: Sequence[ScoredMasks], column: str) -> pd.DataFrame:
    """A score behind the summary: (label split, seed) x cases."""
    return score_table({r.run: r.reported_cases() for r in group}, column)


def mean(values: pd.DataFrame) -> float:
    """Mean of the defined values of all runs and cases, or NaN."""
    array = values.to_numpy(dtype=np.float64)
    return float(np.nanmean(array)) if np.isfinite(array).any() else np.nan


def score_table(frames: Mapping[tuple[int, int], pd.DataFrame], column: str) -> pd.DataFrame:
    """One score of all cases: a row for each (label split, seed), a column for each case."""
    rows = [pd.Series(frame[column].to_numpy(), pd.Index(frame["case"])) for frame in frames.values()]
    index = pd.MultiIndex.from_tuples(list(frames), names=INDEX)
    return pd.DataFrame([row.reindex(rows[0].index).to_numpy() for row in rows], index, rows[0].index)
