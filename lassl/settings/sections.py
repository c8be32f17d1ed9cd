"""The sections of params.yaml: checked, frozen."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic
from pydantic import BeforeValidator, field_validator, model_validator

from lassl.paths import prepared_folder
from lassl.settings.earlier_names import ALGORITHMS
from lassl.settings.values import Count, Positive, Section, Size, Structures, plugin_name

Field = Literal["whole", "center", "padded"]
VNET = "vnet"  # the network that is ours


Schedule = Annotated[str, plugin_name("step", "poly", "constant")]


class Phantom(Section):
    """The synthetic cohort: names of the cohorts to draw (none for real data), volume size, seed.

    `chambers`: labels have several structures, those of lassl/data/phantom.py, in place of the atrium alone.
    """

    cohorts: tuple[str, ...]
    size: Size
    seed: int
    chambers: bool = False
    later: ClassVar = ("chambers",)


class Data(Section):
    """Where the raw scans are and how they are prepared; sizes and margins in voxels."""

    cohort: str
    folder: Path
    split: Path
    structures: Structures | None = None
    crop: Literal["label", "none"]
    crop_z: bool
    margin: tuple[Count, Count]
    margins: Annotated[str, plugin_name("seeded")]
    min_size: Size
    seed: int

    @model_validator(mode="after")
    def _margin_in_order(self) -> Self:
        if self.margin[0] > self.margin[1]:
            raise ValueError(f"margin {list(self.margin)} is in the wrong order; give the smaller number first")
        return self

    @property
    def prepared(self) -> Path:
        """Folder of the prepared cohort."""
        return prepared_folder(self.cohort)


class Network(Section):
    """The network: `vnet` with its three keys, or a class by its name, which gets `options` as keywords.

    Of the V-Net: channels of the first stage, residual stages, dropout probability. `classes` counts the background
    and follows from `data.structures`.
    """

    name: Annotated[str, plugin_name(VNET, kind="class")] = VNET
    options: dict[str, Any] = pydantic.Field(default_factory=dict)
    width: Positive
    residual: bool
    dropout: Annotated[float, pydantic.Field(ge=0, lt=1)]
    classes: Annotated[int, pydantic.Field(ge=2)] = 2
    later: ClassVar = ("name", "options", "classes")

    @model_validator(mode="after")
    def _the_vnet_has_none(self) -> Self:
        if self.name == VNET and self.options:
            raise ValueError(f"options {self.options} are for a class of your own; the V-Net takes none")
        return self


class Patches(Section):
    """Pooling of the volumes and size of the training patch and inference window, in pooled voxels."""

    pool: Positive
    size: Size

    @field_validator("size")
    @classmethod
    def _halves_four_times(cls, size: Size) -> Size:
        if any(n % 16 for n in size):
            raise ValueError("expected multiples of 16, because the V-Net halves every axis four times")
        return size


class Train(Section):
    """Settings shared by all rows: number of steps, learning rate, momentum, and a schedule for all rows."""

    steps: Positive
    lr: Annotated[float, pydantic.Field(gt=0)]
    momentum: Annotated[float, pydantic.Field(ge=0, lt=1)]
    schedule: Schedule | None
    start: str | None = None  # the model that trainings start from
    later: ClassVar = ("start",)


class Cases(Section):
    """The use of training cases: which are unlabeled, and how many labeled ones are held out to choose a snapshot.

    `tuning` labeled cases are scored instead of the test cases, to choose settings; 0: the test cases are scored.
    """

    unlabeled: Annotated[str, plugin_name("rest")]
    held_out: Count
    tuning: Count = 0  # older records lack it


class Snapshots(Section):
    """How many states from the second half of training are kept besides the last, and which state is scored."""

    count: Count
    use: Annotated[str, plugin_name("last", "validated")]


class Counts(Section):
    """Numbers of labeled and unlabeled training cases."""

    labeled: Positive
    unlabeled: Count


class Labels(Section):
    """Numbers of training cases for the seven rows; `all`: labeled ones. Only the methods' copies are read."""

    few: Counts
    more: Counts
    fewest: Counts
    all: Positive


class Evaluate(Section):
    """The sliding window's stride in pooled voxels, windows per pass, and which scores the summary shows."""

    stride: Size
    batch: Positive
    network: Literal["default", "teacher", "second", "ensemble"]
    largest_component: bool
    failures: Annotated[str, plugin_name("excluded", "diagonal")]


class Pairs(Section):
    """Pairs of a registered experiment: pair k is label split k with seed k, and counts once all `rows` have it."""

    rows: tuple[str, ...]
    planned: tuple[Count, ...]
    least: Positive  # pairs that a result needs


class Statistics(Section):
    """The baselines, the family of tests, bootstrap replicates, and what the table says about the scans."""

    baseline: str
    matched: str | None  # sees as many labeled patches per step as most semi-supervised rows
    family: tuple[str, ...] | None = (
        None  # rows whose tests against the baseline are corrected together; None: see conf/
    )
    pairs: Pairs | None = None  # None: all runs count
    resamples: Positive
    seed: Count
    scans: Literal["real", "synthetic"]  # the kind that the cohort has
    published: bool  # whether the table shows published figures


class Compute(Section):
    """Device and number format of the networks; `compile`: torch compiles them for training on a GPU.

    `threads`: number of CPU threads of one process.
    """

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "bf16", "fp16", "fp32"]
    channels_last: bool
    deterministic: bool
    compile: bool = False  # older records lack this and the next key
    threads: Positive = 2  # the value of all older runs


class Running(Section):
    """How a training goes about it, without influence on its result: loading processes, checkpoints, live curves."""

    workers: Count
    checkpoint_minutes: Annotated[float, pydantic.Field(ge=0)]
    tensorboard: bool = False


class BatchSize(Section):
    """Patches of labeled and of unlabeled cases in one step."""

    labeled: Positive
    unlabeled: Count


class Method(Section):
    """A row of the table: an algorithm, its options, its label counts and its optimizer."""

    algorithm: Annotated[str, BeforeValidator(lambda name: ALGORITHMS.get(name, name))]
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
                f"unlabeled is {self.unlabeled} (cases) but batch.unlabeled is {self.batch.unlabeled} (their patches "
                "per step); expected both above 0, or both 0 (`labels` sets the cases of the table's rows)"
            )
        return self
