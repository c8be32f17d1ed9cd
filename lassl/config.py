"""The configuration: read once from params.yaml, checked, frozen. Every path of the project is made here."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from lassl.plumbing.errors import LasslError
from lassl.plumbing.plugins import NAMED

Positive = Annotated[int, pydantic.Field(ge=1)]
Count = Annotated[int, pydantic.Field(ge=0)]
Field = Literal["whole", "center", "padded"]
ATRIA = ("la2018", "synthetic")  # cohorts of the challenge's scans and of phantoms like them; all others are somebody's
Size = tuple[Positive, Positive, Positive]  # voxels along x, y, z


def _part(*words: str) -> AfterValidator:
    """Accept one of our words, or the name of a function that does the same job: see lassl/plumbing/plugins.py."""

    def known(name: str) -> str:
        if name not in words and not NAMED.fullmatch(name):
            raise ValueError(f"expected {', '.join(words)}, or a function's name as in package.module:function")
        return name

    return AfterValidator(known)


Schedule = Annotated[str, _part("step", "poly", "constant")]


class _Section(BaseModel):
    """A section of params.yaml: read-only, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Phantom(_Section):
    """The synthetic cohort: names of the cohorts to make (none for real data), volume size, seed."""

    cohorts: tuple[str, ...]
    size: Size
    seed: int


class Data(_Section):
    """Where the raw scans are and how they are prepared; sizes and margins in voxels."""

    cohort: str
    folder: Path
    split: Path
    crop: Literal["label", "none"]
    crop_z: bool
    margin: tuple[Count, Count]
    margins: Annotated[str, _part("seeded")]
    min_size: Size
    seed: int

    @model_validator(mode="after")
    def _margin_in_order(self) -> Self:
        if self.margin[0] > self.margin[1]:
            raise ValueError(f"margin {list(self.margin)} runs backwards; give the smaller one first")
        return self

    @property
    def prepared(self) -> Path:
        """Folder of the prepared cohort."""
        return Path("data/prepared") / self.cohort


class Network(_Section):
    """The V-Net: channels of its first stage, residual stages, dropout probability."""

    width: Positive
    residual: bool
    dropout: Annotated[float, pydantic.Field(ge=0, lt=1)]


class Patches(_Section):
    """Pooling of the volumes and size of the training patch and inference window, in pooled voxels."""

    pool: Positive
    size: Size

    @field_validator("size")
    @classmethod
    def _halves_four_times(cls, size: Size) -> Size:
        if any(n % 16 for n in size):
            raise ValueError("expected multiples of 16, since the V-Net halves every axis four times")
        return size


class Train(_Section):
    """What every row shares: the number of steps, the optimizer's rate and momentum, a schedule for all rows."""

    steps: Positive
    lr: Annotated[float, pydantic.Field(gt=0)]
    momentum: Annotated[float, pydantic.Field(ge=0, lt=1)]
    schedule: Schedule | None


class Cases(_Section):
    """Which training cases serve as what: the unlabeled ones, and how many labeled ones choose a snapshot only."""

    unlabeled: Annotated[str, _part("rest")]
    held_out: Count


class Snapshots(_Section):
    """How many states of the second half of training are kept beside the last, and which of them all is scored."""

    count: Count
    use: Annotated[str, _part("last", "validated")]


class Weights(_Section):
    """Final weights of the terms without labels. What counts is the copy of one among each method's options."""

    cross: Annotated[float, pydantic.Field(ge=0)]
    consistency: Annotated[float, pydantic.Field(ge=0)]


class Learned(_Section):
    """Training cases that are labeled and unlabeled."""

    labeled: Positive
    unlabeled: Count


class Counts(_Section):
    """Training cases that the seven rows learn from; `all`: labeled ones. What counts is each method's copy of them."""

    few: Learned
    more: Learned
    all: Positive


class Evaluate(_Section):
    """The sliding window's stride in pooled voxels, windows per pass, and what the headline figures are of."""

    stride: Size
    batch: Positive
    network: Literal["default", "teacher", "second", "ensemble"]
    largest_component: bool
    failures: Annotated[str, _part("excluded", "diagonal")]


class Statistics(_Section):
    """The row that others are compared with, and the number and seed of bootstrap replicates."""

    baseline: str
    resamples: Positive
    seed: Count


class Compute(_Section):
    """Where and in which number format networks run."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "bf16", "fp16", "fp32"]
    channels_last: bool
    deterministic: bool


class Running(_Section):
    """How a training goes about it, without influence on its result: loading processes, minutes between checkpoints."""

    workers: Count
    checkpoint_minutes: Annotated[float, pydantic.Field(ge=0)]


class BatchSize(_Section):
    """Patches of labeled and of unlabeled cases in one step."""

    labeled: Positive
    unlabeled: Count


class Method(_Section):
    """A row of the table: an algorithm, its options, its label counts and its optimiser."""

    algorithm: str
    labeled: Positive
    unlabeled: Count
    batch: BatchSize
    weight_decay: Annotated[float, pydantic.Field(ge=0)]
    schedule: Schedule
    options: dict[str, Any]

    @model_validator(mode="after")
    def _unlabeled_cases_have_patches(self) -> Self:
        if (self.unlabeled > 0) != (self.batch.unlabeled > 0):
            raise ValueError(
                f"unlabeled is {self.unlabeled} (cases) and batch.unlabeled {self.batch.unlabeled} (their patches in a "
                "step); expected both above 0, or both 0 (`counts` sets the cases of the table's rows)"
            )
        return self


class Config(_Section):
    """All of params.yaml; `variant` is added to the profile's name where runs depart from it on purpose."""

    profile: str
    variant: Annotated[str, pydantic.Field(pattern=r"^(-[\w-]+)?$")]
    draws: tuple[Count, ...]
    seeds: tuple[Count, ...]
    phantom: Phantom
    data: Data
    network: Network
    patches: Patches
    train: Train
    cases: Cases
    snapshots: Snapshots
    weights: Weights
    counts: Counts
    evaluate: Evaluate
    fields: tuple[Field, ...]
    statistics: Statistics
    compute: Compute
    running: Running
    methods: dict[str, Method]

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Self:
        if any(stride > size for stride, size in zip(self.evaluate.stride, self.patches.size, strict=True)):
            raise ValueError(f"evaluate.stride {self.evaluate.stride} exceeds patches.size {self.patches.size}")
        return self

    @property
    def name(self) -> str:
        """The profile with its variant: the folder of the runs and the table."""
        return f"{self.profile}{self.variant}"

    @model_validator(mode="after")
    def _snapshots_have_what_chooses_them(self) -> Self:
        if self.snapshots.use == "validated" and not (self.snapshots.count and self.cases.held_out):
            raise ValueError("snapshots.use is validated, which needs snapshots.count and cases.held_out above 0")
        if self.snapshots.use != "last" and not self.snapshots.count:
            raise ValueError(f"snapshots.use is {self.snapshots.use}, but snapshots.count is 0; keep some")
        if self.snapshots.use != "last" and self.evaluate.network != "default":
            raise ValueError(
                f"snapshots.use is {self.snapshots.use} and evaluate.network {self.evaluate.network}, "
                "but snapshots are of the default network; use that"
            )
        return self

    @model_validator(mode="after")
    def _rows_can_train(self) -> Self:
        for name, method in self.methods.items():
            if self.cases.held_out >= method.labeled:
                raise ValueError(
                    f"cases.held_out is {self.cases.held_out}, but methods.{name} has only {method.labeled} labeled "
                    "cases; leave some to train on"
                )
            if max(self.patches.size) == 16 and method.batch.labeled + method.batch.unlabeled == 1:
                raise ValueError(
                    f"methods.{name}.batch is one patch of {list(self.patches.size)}, which the V-Net makes one voxel, "
                    "and batch norm needs two; take two patches or a larger patches.size"
                )
        return self

    def run(self, method: str, draw: int, seed: int) -> "Run":
        """Name one run of this profile. Raises LasslError for a method that params.yaml does not have."""
        if method not in self.methods:
            known = ", ".join(self.methods) or "none"
            raise LasslError(f"params.yaml: no method '{method}' under methods (found: {known}); see conf/method/")
        return Run(profile=self.name, method=method, draw=draw, seed=seed)

    def settings(self, method: str) -> dict[str, Any]:
        """Everything that shapes the training of a method, as plain values."""
        shared = self.model_dump(mode="json", include={"network", "patches", "train", "compute", "cases"})
        snapshots = {"count": self.snapshots.count}
        return {**shared, "snapshots": snapshots, "method": self.methods[method].model_dump(mode="json")}


class Run(_Section):
    """One training: profile x method x draw x seed, and where its files are."""

    profile: str
    method: str
    draw: Count
    seed: Count

    @property
    def name(self) -> str:
        """File name of the run, such as cps_alw-d0-s0."""
        return f"{self.method}-d{self.draw}-s{self.seed}"

    @property
    def model(self) -> Path:
        """The trained networks and the record of their training."""
        return Path("models") / self.profile / f"{self.name}.pt"

    @property
    def checkpoints(self) -> Path:
        """Folder of the states from which an interrupted training goes on."""
        return Path("checkpoints") / self.profile / self.name

    @property
    def curves(self) -> Path:
        """Folder of the values logged at every step."""
        return Path("curves") / self.profile / self.name

    @property
    def predictions(self) -> Path:
        """Folder of the predicted masks of the test cases, and of the files that are published."""
        return Path("predictions") / self.profile / self.name

    @property
    def published(self) -> dict[str, Path]:
        """Where git keeps what an evaluation writes beside the masks, by its name there."""
        return {
            "headline.json": self.metrics,
            "cases.csv": self.cases,
            "snapshots.csv": self.snapshots,
            "record.yaml": self.record,
        }

    @property
    def metrics(self) -> Path:
        """The headline figures."""
        return metrics_folder(self.profile) / f"{self.name}.json"

    @property
    def cases(self) -> Path:
        """The scores of each test case."""
        return metrics_folder(self.profile) / f"{self.name}.csv"

    @property
    def snapshots(self) -> Path:
        """The Dice of the snapshots of the training."""
        return metrics_folder(self.profile) / "snapshots" / f"{self.name}.csv"

    def field(self, field: Field) -> Path:
        """The scores of each test case in another field of view."""
        return metrics_folder(self.profile) / "fields" / f"{self.name}-{field}.csv"

    @property
    def record(self) -> Path:
        """What ran: configuration, data, code, versions, times."""
        return metrics_folder(self.profile) / "records" / f"{self.name}.yaml"


def metrics_folder(profile: str) -> Path:
    """Folder of a profile's run files and its table."""
    return Path("metrics") / profile


def load(path: Path = Path("params.yaml")) -> Config:
    """Read and check params.yaml. Raises LasslError with a line for each wrong, missing or unknown key."""
    try:
        return Config.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise LasslError(f"{path}: not found; run from the project's folder") from None
    except yaml.YAMLError as error:
        raise LasslError(f"{path}: no YAML ({error}); compose it anew with `make params`") from None
    except ValidationError as error:
        raise LasslError("\n".join(f"{path}: {_finding(dict(e))}" for e in error.errors())) from None


def _finding(error: dict[str, Any]) -> str:
    """Describe an error of pydantic: the key, what is wrong, and the value if it is short."""
    value = repr(error["input"])
    found = f" (found {value})" if len(value) <= 60 else ""
    where = ".".join(map(str, error["loc"]))
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{found}".removeprefix(": ")
