"""The record of a run: what was trained on which data, how it was evaluated, and on which machine.

A model file has the record of its training; metrics/<profile>/records has it together with the evaluation. Older
records lack the fields that have a default.
"""

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import checked, yaml_text
from lassl.settings.cases import Cases
from lassl.settings.config import Config
from lassl.settings.sections import Compute, Method, Network, Patches, Train
from lassl.settings.values import Count, Size


class Entry(BaseModel):
    """A part of a record: read-only, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def plain(self) -> dict[str, Any]:
        """The entry as plain values, without fields that were unset when it was made."""
        return self.model_dump(mode="json", exclude_unset=True)


class Kept(Entry):
    """The number of snapshots that a training kept."""

    count: Count


class Settings(Entry):
    """Everything that shaped a training: its method, and the settings shared by the rows of a profile."""

    network: Network
    patches: Patches
    train: Train
    compute: Compute
    cases: Cases
    snapshots: Kept
    method: Method

    @classmethod
    def of(cls, config: Config, method: str) -> Self:
        """The settings of a method in params.yaml."""
        return cls.model_validate(config.settings(method))


class Cohort(Entry):
    """A prepared cohort: its name, the hash of its content, spacing (mm, along x, y, z) and orientation of its scans.

    The orientation, such as LPS, names the side of the patient to which each axis points. Several structures, in the
    order of their classes, are there with the values that they have in raw labels and in masks. Scans were clipped to
    the intensities `clip` before they were normalized, if it is there. `channels` are the names of a scan's files, if
    they were set.
    """

    name: str
    hash: str
    spacing_mm: tuple[float, float, float] | None = None
    orientation: str | None = None
    structures: dict[str, tuple[int, ...]] | None = None
    clip: tuple[float, float] | None = None
    channels: tuple[str, ...] | None = None


class Computation(Entry):
    """Time, memory and machine of a piece of work, and the number format of its networks."""

    seconds: float
    peak_memory_mib: int
    precision: str | None = None
    device: str
    threads: int
    cores: int
    python: str
    torch: str
    numpy: str


class Training(Computation):
    """How a training went: how often it resumed, the reason for its number format, and what it started from."""

    resumed: int
    precision_reason: str | None = None
    start_sha256: str | None = None  # of the model's file that it started from


class Scored(Entry):
    """Which weights were scored: the rule, and the step that it chose (None: there was no choice)."""

    use: str
    step: int | None


class Reported(Entry):
    """What a summary reports: a network, whole masks or their largest component, and how failed cases count."""

    network: str
    largest_component: bool
    failures: str


class Evaluation(Reported, Computation):
    """How a run was evaluated: the sliding window, and what its summary reports (see Evaluate)."""

    stride: Size
    batch: int
    snapshot: Scored

    @property
    def departures(self) -> str:
        """All departures from the default evaluation, in words; empty if there are none."""
        parts = {
            f"{self.network} network": self.network in ("teacher", "second", "ensemble"),
            "largest component only": self.largest_component,
            f"failures: {self.failures}": self.failures != "excluded",
            f"snapshot: {self.snapshot.use}": self.snapshot.use != "last",
        }
        return ", ".join(part for part, departs in parts.items() if departs)


class SnapshotDice(Entry):
    """Dice in percent of the default network after `step` steps, by case, for held-out and for test cases."""

    step: int
    held_out: dict[str, float]
    test: dict[str, float]


class Trained(Entry):
    """The record of a training; `weights_sha256` is over all weights of its networks."""

    profile: str
    method: str
    label_split: int = Field(validation_alias=AliasChoices("label_split", "draw"))  # earlier records: draw
    seed: int
    settings: Settings
    cohort: Cohort
    labeled: tuple[str, ...]
    held_out: tuple[str, ...]
    training: Training
    weights_sha256: str = ""

    @property
    def run(self) -> Run:
        """The run that the record describes."""
        return Run(profile=self.profile, method=self.method, label_split=self.label_split, seed=self.seed)

    @property
    def precision(self) -> str:
        """The number format of the training; older records have only the requested one."""
        return self.training.precision or self.settings.compute.precision


class Evaluated(Trained):
    """The record of an evaluated run, with the hash of the table of its cases and the Dice of its snapshots.

    Earlier records have the hash of a separate table for the latter.
    """

    evaluation: Evaluation
    cases_sha256: str
    snapshot_dice: tuple[SnapshotDice, ...] = ()
    snapshots_sha256: str | None = None


def read_record(path: Path) -> Evaluated:
    """Read the record of an evaluated run. Raises LasslError."""
    try:
        return checked(Evaluated, read_text(path))
    except OSError as error:
        raise LasslError(f"{path}: cannot be read ({error.strerror}); create it with `dvc repro`") from None
    except (yaml.YAMLError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise LasslError(
            f"{path}: not a valid record of a run ({reason}); restore it from git, or run `dvc repro`"
        ) from None


def record_text(record: Evaluated) -> str:
    """The record of an evaluated run as YAML."""
    return yaml_text(record.plain())
