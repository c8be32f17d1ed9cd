"""The paths of all files and folders of the project."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pydantic
from pydantic import BaseModel, ConfigDict

Count = Annotated[int, pydantic.Field(ge=0)]
METRICS = Path("metrics")
TUNING = "-tuning"  # at the end of a profile's name: its runs are scored on training cases
PUBLISHED = METRICS / "published.yaml"  # the figures of papers
MODELS = Path("models")
IMPORTED = MODELS / "imported"  # models whose weights were trained elsewhere
SUMMARY, CASES, RECORD = "summary.json", "cases.csv", "record.yaml"  # among the predictions of a run
PROBABILITY = "probability"  # the folder for the probabilities behind the masks, in the same place
DOCS = Path("docs")
FIGURES = DOCS / "figures"
EXTERNAL = METRICS / "external"  # scores of external masks and imported weights


def is_folder_name(name: str) -> bool:
    """Whether a text can be the name of one folder: not a path, not hidden, and on one line."""
    return bool(name) and name.isprintable() and not name.startswith(".") and not set(name) & set("/\\")


def metrics_folder(profile: str) -> Path:
    """Folder of a profile's run files and its table."""
    return METRICS / profile


def raw_folder(cohort: str) -> Path:
    """Folder of a cohort's raw scans."""
    return Path("data/raw") / cohort


def prepared_folder(cohort: str) -> Path:
    """Folder of a prepared cohort."""
    return Path("data/prepared") / cohort


def report_page(profile: str) -> Path:
    """The page of a profile's report."""
    return Path("report") / profile / "index.html"


class Run(BaseModel):
    """One training: profile x method x label split x seed, and where its files are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    method: str
    label_split: Count
    seed: Count

    @property
    def name(self) -> str:
        """File name of the run, such as cps_alw-d0-s0."""
        return f"{self.method}-d{self.label_split}-s{self.seed}"

    @property
    def model(self) -> Path:
        """The trained networks and the record of their training."""
        return MODELS / self.profile / f"{self.name}.pt"

    @property
    def checkpoints(self) -> Path:
        """Folder of the states from which an interrupted training resumes."""
        return Path("checkpoints") / self.profile / self.name

    @property
    def curves(self) -> Path:
        """Folder of the values logged at every step."""
        return Path("curves") / self.profile / self.name

    @property
    def tensorboard(self) -> Path:
        """Folder of the same values for TensorBoard, where they are asked for: no stage makes it."""
        return Path("build/tensorboard") / self.profile / self.name

    @property
    def predictions(self) -> Path:
        """Folder of the predicted masks of the test cases, and of the files that are published."""
        return Path("predictions") / self.profile / self.name

    @property
    def published(self) -> dict[str, Path]:
        """File name in `predictions` -> path in metrics/, where git keeps it."""
        return {SUMMARY: self.metrics, CASES: self.cases, RECORD: self.record}

    @property
    def metrics(self) -> Path:
        """The summary: means over the test cases."""
        return metrics_folder(self.profile) / f"{self.name}.json"

    @property
    def cases(self) -> Path:
        """The scores of each test case."""
        return metrics_folder(self.profile) / f"{self.name}.csv"

    @property
    def snapshots(self) -> Path:
        """The Dice of the snapshots as written by earlier code; now it is part of the record."""
        return metrics_folder(self.profile) / "snapshots" / f"{self.name}.csv"

    def field(self, field: str) -> Path:
        """The scores of each test case in another field of view."""
        return metrics_folder(self.profile) / "fields" / f"{self.name}-{field}.csv"

    @property
    def record(self) -> Path:
        """What ran: configuration, data, code, versions, times."""
        return metrics_folder(self.profile) / "records" / f"{self.name}.yaml"


def probability_files(folder: Path, case: str, structures: Iterable[str] | None) -> list[Path]:
    """Where predictions have the probabilities of a case: a file, in a folder for each of several structures."""
    folders = [folder / PROBABILITY / name for name in structures] if structures else [folder / PROBABILITY]
    return [each / f"{case}.nrrd" for each in folders]
