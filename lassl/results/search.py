"""Trials: the runs with other settings that were scored on training cases, and what was chosen among them.

A trial is a run of the tuning mode (conf/mode/tuning.yaml), told apart by its settings. `lassl search`
gathers them from the working folder, the last commit and the experiments of DVC into metrics/<profile>-tuning/trials:
for each the record of the run and the scores of its cases, <run>-<hash of its settings>.{yaml,csv}.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from lassl.evaluation.summary import chosen, summary
from lassl.model.record import Evaluated, read_record, record_text
from lassl.paths import METRICS, TUNING
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import text_hash, write_text
from lassl.plumbing.git import commits_with, git
from lassl.plumbing.tables import grid, number
from lassl.plumbing.yaml_text import checked
from lassl.results.runs import read_scores

SHOWN = ("network.width", "network.dropout", "train.steps", "train.lr", "train.schedule")  # beside a method's options


@dataclass(frozen=True)
class Trial:
    """A trial's record and the scores of its cases."""

    record: Evaluated
    cases: pd.DataFrame

    @property
    def scores(self) -> dict[str, float | int | None]:
        """Means over the training cases that were scored: Dice and Jaccard [%], ASD and 95HD [voxel], failed cases."""
        return summary(self.cases, self.record.evaluation)

    @property
    def lowest(self) -> float:
        """The lowest Dice in percent."""
        return float(chosen(self.cases, self.record.evaluation)["dice_percent"].min())


def folders() -> list[Path]:
    """The folders metrics/<profile>-tuning of which there is something here or in an experiment."""
    names = {path.name for path in METRICS.glob(f"*{TUNING}")}
    try:
        for commit in commits_with(METRICS.as_posix()):
            names |= {Path(p).name for p in git("ls-tree", "--name-only", commit, f"{METRICS.as_posix()}/").split()}
    except (OSError, subprocess.CalledProcessError):
        pass  # no git: what lies here is gathered all the same
    return [METRICS / name for name in sorted(names) if name.endswith(TUNING)]


def sources(folder: Path) -> Iterator[tuple[str, str]]:
    """The texts of record and scores of each run of the folder: here, in the last commit, in DVC's experiments."""
    for path in sorted((folder / "records").glob("[!.]*.yaml")):
        yield path.read_text("utf-8"), (folder / f"{path.stem}.csv").read_text("utf-8")
    try:
        commits = commits_with(f"{folder.as_posix()}/records")
    except (OSError, subprocess.CalledProcessError):
        return
    for commit in commits:
        for name in git("ls-tree", "--name-only", commit, f"{folder.as_posix()}/records/").split():
            yield git("show", f"{commit}:{name}"), git("show", f"{commit}:{folder.as_posix()}/{Path(name).stem}.csv")


def keep(folder: Path, record: str, cases: str) -> bool:
    """Write a trial's record and scores where it is not known yet; gives whether it was new. Raises LasslError."""
    try:
        trial = checked(Evaluated, record)
    except (yaml.YAMLError, ValidationError) as error:
        raise LasslError(f"{folder}/records: no record of a run ({str(error).splitlines()[0]}); delete it") from None
    if text_hash(cases) != trial.cases_sha256:
        raise LasslError(f"{folder}/{trial.run.name}.csv: not what its record was written with; run it again")
    path = folder / "trials" / f"{trial.run.name}-{key(trial)}.yaml"
    if path.is_file():
        return False
    write_text(path.with_suffix(".csv"), cases)
    write_text(path, record_text(trial))
    return True


def key(record: Evaluated) -> str:
    """Eight digits of the hash of the settings that were tried."""
    return text_hash(json.dumps(record.settings.plain(), sort_keys=True))[:8]


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a folder, by the names of their files. Raises LasslError for scores that were edited."""
    trials = []
    for path in sorted((folder / "trials").glob("[!.]*.yaml")):
        record, table = read_record(path), path.with_suffix(".csv")
        if not table.is_file() or text_hash(table.read_text("utf-8")) != record.cases_sha256:
            raise LasslError(f"{table}: not what {path} was written with; restore both from git")
        trials.append(Trial(record, read_scores(table)))
    return trials


def trials_table(folder: Path) -> str:
    """The trials of a folder as Markdown: what was set, and what that gave on the training cases; the best in bold."""
    trials = sorted(read_trials(folder), key=lambda t: (t.record.method, str(settings_of(t))))
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


def dice(trial: Trial) -> float:
    """Mean Dice in percent."""
    return float(trial.scores["dice"] or 0.0)
