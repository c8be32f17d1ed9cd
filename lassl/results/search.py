"""Hyper-parameter search: collects the trials, which are runs scored on training cases.

A trial is a run of the tuning mode (conf/mode/tuning.yaml), identified by its settings. `lassl search` collects trials
from the working folder, the last commit and DVC's experiments into two files in metrics/<profile>-tuning. search.jsonl
has the record of a run in each line. search.csv has the cases of all trials, with the run and a hash of its settings in
the first two columns. The other columns of a trial's lines are the table of cases whose hash is in its record.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from lassl.evaluation.scores import of_cases
from lassl.evaluation.summary import chosen, summary
from lassl.model.record import Evaluated
from lassl.paths import METRICS, TUNING
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import read_text, text_hash, write_text
from lassl.plumbing.git import commits_with, content, git
from lassl.plumbing.tables import grid, number
from lassl.plumbing.yaml_text import checked, first_reason
from lassl.results.runs import read_scores

SCORES, RECORDS = "search.csv", "search.jsonl"
FIRST = "run,key,"  # columns of SCORES before those of a table of cases
LINE = re.compile(r"(.+?-d\d+-s\d+,[0-9a-f]{8},)(.*)")  # a line of SCORES: the trial's prefix, and a case
SHOWN = ("network.width", "network.dropout", "train.steps", "train.lr", "train.schedule")  # beside the options


@dataclass(frozen=True)
class Trial:
    """A trial's record, and the text of the table of its cases."""

    record: Evaluated
    text: str

    @cached_property
    def prefix(self) -> str:
        """The start of the trial's lines in SCORES: its run, and eight digits of the hash of its settings."""
        settings = json.dumps(self.record.settings.plain(), sort_keys=True)
        return f"{self.record.run.name},{text_hash(settings)[:8]},"

    @cached_property
    def cases(self) -> pd.DataFrame:
        """The scores of its cases."""
        return read_scores(StringIO(self.text))

    @property
    def scores(self) -> dict[str, float | int | None]:
        """Means over the scored training cases: Dice and Jaccard [%], ASD and 95HD [voxel], failed cases."""
        return summary(self.cases, self.record.evaluation)

    @property
    def lowest(self) -> float:
        """The lowest Dice of a case in percent."""
        return float(of_cases(chosen(self.cases, self.record.evaluation))["dice_percent"].min())


def folders() -> list[Path]:
    """The folders metrics/<profile>-tuning that exist here or in an experiment."""
    names = {path.name for path in METRICS.glob(f"*{TUNING}")}
    try:
        for commit in commits_with(METRICS.as_posix()):
            names |= {Path(p).name for p in git("ls-tree", "--name-only", commit, f"{METRICS.as_posix()}/").split()}
    except (OSError, subprocess.CalledProcessError):
        pass  # without git, only this folder is searched
    return [METRICS / name for name in sorted(names) if name.endswith(TUNING)]


def sources(folder: Path) -> Iterator[tuple[str, str | None]]:
    """The texts of record and scores of each run of the folder: here, in the last commit, in DVC's experiments.

    Scores are None where there are none: an experiment keeps the records of all rows, but the scores of its own alone.
    """
    for path in sorted((folder / "records").glob("[!.]*.yaml")):
        scores = folder / f"{path.stem}.csv"
        yield read_text(path), read_text(scores) if scores.is_file() else None
    try:
        commits = commits_with(f"{folder.as_posix()}/records")
    except (OSError, subprocess.CalledProcessError):
        return
    for commit in commits:
        for name in git("ls-tree", "--name-only", commit, f"{folder.as_posix()}/records/").split():
            cases = content(commit, folder / f"{Path(name).stem}.csv")
            yield git("show", f"{commit}:{name}"), None if cases is None else cases.decode()


def gather(folder: Path, found: Iterable[tuple[str, str | None]]) -> int:
    """Add trials, given as texts of record and cases, to a folder; return the number of new ones. Raises LasslError.

    Records whose scores are found nowhere are told and left out.
    """
    known = {trial.prefix: trial for trial in read_trials(folder)}
    before = len(known)
    alone: dict[str, Trial] = {}
    for record, cases in found:
        trial = trial_of(folder, record, cases)
        (alone if cases is None else known).setdefault(trial.prefix, trial)
    if len(known) > before:
        write(folder, [known[prefix] for prefix in sorted(known)])
    for prefix in sorted(alone.keys() - known.keys()):
        note(f"{folder}: {prefix[:-1]} has a record but no scores and is left out; run it again")
    return len(known) - before


def trial_of(folder: Path, record: str, cases: str | None) -> Trial:
    """The trial of a run's record and table of cases, if there is one. Raises LasslError."""
    try:
        trial = Trial(checked(Evaluated, record), cases or "")
    except (yaml.YAMLError, ValidationError) as error:
        raise LasslError(
            f"{folder}/records: not a valid record of a run ({str(error).splitlines()[0]}); delete it"
        ) from None
    if cases is not None and text_hash(cases) != trial.record.cases_sha256:
        raise LasslError(f"{folder}/{trial.record.run.name}.csv: its content does not match its record; run it again")
    return trial


def write(folder: Path, trials: Sequence[Trial]) -> None:
    """Write all trials of a folder. Raises LasslError if their tables have different columns."""
    columns = trials[0].text.split("\n")[0]
    lines = [FIRST + columns]
    for trial in trials:
        heads, *cases = trial.text.removesuffix("\n").split("\n")
        if heads != columns:
            raise LasslError(
                f"{folder}: the cases of {trial.record.run.name} have the columns {heads}, but those of another trial "
                f"have {columns}; move {SCORES} and {RECORDS}, or delete the run's files, and run `lassl search` again"
            )
        lines += [trial.prefix + case for case in cases]
    records = [json.dumps(trial.record.plain()) for trial in trials]
    write_text(folder / SCORES, "\n".join(lines) + "\n")  # before the records: lines without one are ignored
    write_text(folder / RECORDS, "\n".join(records) + "\n")


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a folder, by run and settings. Raises LasslError if scores were edited."""
    path, table = folder / RECORDS, folder / SCORES
    if not path.is_file():
        return []
    cases = cases_by_prefix(read_text(table) if table.is_file() else "")
    trials = []
    for place, text in enumerate(read_text(path).splitlines(), 1):
        try:
            record = Evaluated.model_validate_json(text, strict=True)
        except ValidationError as error:
            reason = first_reason(error)
            raise LasslError(
                f"{path}: line {place}: not a valid record of a run ({reason}); restore it from git"
            ) from None
        prefix = Trial(record, "").prefix
        trial = Trial(record, cases.get(prefix, ""))
        if text_hash(trial.text) != record.cases_sha256:
            raise LasslError(f"{table}: the lines of {prefix[:-1]} do not match {path}; restore both from git")
        trials.append(trial)
    return trials


def cases_by_prefix(text: str) -> dict[str, str]:
    """The table of cases of each trial in the text of SCORES."""
    columns, *lines = text.split("\n")
    found: dict[str, str] = {}
    for match in filter(None, map(LINE.fullmatch, lines)):
        prefix, scores = match.groups()
        found[prefix] = found.get(prefix, columns.removeprefix(FIRST) + "\n") + scores + "\n"
    return found


def trials_table(folder: Path) -> str:
    """The trials of a folder as Markdown: settings, and scores on the training cases, with the best in bold."""
    trials = sorted(read_trials(folder), key=lambda t: (t.record.method, order(settings_of(t).values())))
    best = {m: max(dice(t) for t in trials if t.record.method == m) for m in {t.record.method for t in trials}}
    varied = [name for name in SHOWN if len({settings_of(t)[name] for t in trials}) > 1]
    lines = []
    for trial in trials:
        mean = number(dice(trial))
        settings = settings_of(trial)
        lines.append(
            [
                trial.record.method,
                ", ".join(f"{name} {value}" for name, value in trial.record.settings.method.options.items()) or "-",
                *(str(settings[name]) for name in varied),
                f"**{mean}**" if dice(trial) == best[trial.record.method] else mean,
                number(trial.lowest),
                str(trial.scores["failed"]),
                f"{trial.record.training.seconds / 60:.0f}",
            ]
        )
    heads = ["row", "options", *(name.split(".")[1] for name in varied), "mean Dice [%]", "lowest", "failed", "min"]
    return grid(heads, lines)


def settings_of(trial: Trial) -> dict[str, Any]:
    """The settings of SHOWN and the options of the method, by name."""
    plain = trial.record.settings.plain()
    shown = {name: plain[name.split(".")[0]][name.split(".")[1]] for name in SHOWN}
    options: dict[str, Any] = plain["method"]["options"]
    return shown | options


def order(values: Iterable[Any]) -> list[tuple[float, str]]:
    """What lists of settings are sorted by: numbers by their value, all others by their text."""
    return [(float(value), "") if isinstance(value, int | float) else (0.0, str(value)) for value in values]


def dice(trial: Trial) -> float:
    """Mean Dice in percent."""
    return float(trial.scores["dice"] or 0.0)
