"""The evaluated runs of a profile, read back from metrics/, and their scores as tables of runs and cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lassl.evaluation import summary as headline
from lassl.paths import Run, metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import text_hash
from lassl.results.statistics import INDEX


@dataclass(frozen=True)
class Result:
    """A run that was evaluated: its record, the scores of its test cases in all variants, those of its snapshots."""

    record: dict[str, Any]
    cases: pd.DataFrame
    snapshots: pd.DataFrame

    @property
    def run(self) -> tuple[int, int]:
        """Draw and seed."""
        return self.record["draw"], self.record["seed"]

    @property
    def names(self) -> Run:
        """The run by its full name, which knows its files."""
        return Run(**{key: self.record[key] for key in ("profile", "method", "draw", "seed")})

    def headline(self, policy: str | None = None) -> pd.DataFrame:
        """The scores behind the headline figures, failures counted as they are there or by another policy."""
        return self.counted(headline.chosen(self.cases, self.record["evaluation"]), policy)

    def counted(self, cases: pd.DataFrame, policy: str | None = None) -> pd.DataFrame:
        """Let failures among some of its scores count as in its headline figures, or by another policy."""
        return headline.counted(cases, policy or self.record["evaluation"]["failures"])


def read_results(profile: str) -> list[Result]:
    """Read all runs of a profile, draws and seeds in order. Raises LasslError."""
    records = [
        yaml.safe_load(path.read_text("utf-8")) for path in (metrics_folder(profile) / "records").glob("[!.]*.yaml")
    ]
    if not records:
        raise LasslError(f"metrics/{profile}/records: found no run; make some with `dvc exp run -S profile={profile}`")
    results = [_read(r) for r in sorted(records, key=lambda r: (r["method"], r["draw"], r["seed"]))]
    first = results[0]
    for other in results:
        if set(other.cases["case"]) != set(first.cases["case"]):
            raise LasslError(
                f"{other.names.cases}: not the test cases of {first.names.cases}; they cannot stand in one table: "
                "run both again with `dvc repro`, or delete the files of the old one"
            )
    return results


def _read(record: dict[str, Any]) -> Result:
    run = Result(record, pd.DataFrame(), pd.DataFrame()).names
    kept = ((run.cases, "cases_sha256"), (run.snapshots, "snapshots_sha256"))
    return Result(record, *(_scores(path, run.record, record[key], "dvc repro") for path, key in kept))


def _scores(path: Path, record: Path, sha256: str, command: str) -> pd.DataFrame:
    """Read scores that a record vouches for; `command` would make them again. Raises LasslError."""
    if not path.is_file():
        raise LasslError(f"{path}: not found, though {record} exists; run `{command}` or delete the record")
    if text_hash(path.read_text("utf-8")) != sha256:
        raise LasslError(f"{path}: not what {record} was written with; restore both from git")
    return read_scores(path)


def read_scores(path: Path) -> pd.DataFrame:
    """Read a table of cases and scores: a score may be empty, and a case may be called NA, nan or 007."""
    return pd.read_csv(path, dtype={"case": str}, keep_default_na=False, na_values=[""])


def read_external(like: Result) -> dict[str, Result]:
    """Read by name what `lassl evaluate` scored on the test cases of a run of ours, as one run (-1, -1) each.

    Failures count as in that run. Raises LasslError.
    """
    folder = metrics_folder("external")
    found = {}
    for path in sorted((folder / "records").glob("[!.]*.yaml")):
        told = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(told, dict) or not {"title", "evaluation", "cases_sha256"} <= set(told):
            raise LasslError(f"{path}: no record of `lassl evaluate`; run it again or delete the file")
        cases = _scores(folder / f"{path.stem}.csv", path, told["cases_sha256"], "lassl evaluate")
        if set(cases["case"]) == set(like.cases["case"]):
            evaluation = told["evaluation"] | {"failures": like.record["evaluation"]["failures"]}
            record = told | {"draw": -1, "seed": -1, "evaluation": evaluation}
            found[path.stem] = Result(record, cases, pd.DataFrame())
    return found


def by_method(results: Sequence[Result], order: Sequence[str]) -> dict[str, list[Result]]:
    """Group the runs by method: those of `order` first, then the others."""
    names = dict.fromkeys([*order, *(r.record["method"] for r in results)])
    groups = {name: [r for r in results if r.record["method"] == name] for name in names}
    return {name: group for name, group in groups.items() if group}


def score_table(frames: Mapping[tuple[int, int], pd.DataFrame], column: str) -> pd.DataFrame:
    """One score of all cases: a row for each (draw, seed), a column for each case."""
    rows = [frame.set_index("case")[column] for frame in frames.values()]
    index = pd.MultiIndex.from_tuples(list(frames), names=INDEX)
    return pd.DataFrame([row.to_numpy() for row in (r.reindex(rows[0].index) for r in rows)], index, rows[0].index)
