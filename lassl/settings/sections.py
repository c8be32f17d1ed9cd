"""The sections of params.yaml: checked, frozen."""

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic
from pydantic import BeforeValidator, model_validator

from lassl.paths import prepared_folder
from lassl.settings.earlier_names import ALGORITHMS
from lassl.settings.values import (
    CHANNELS,
    HALVINGS,
    Channels,
    Clip,
    Count,
    Halvings,
    Normalize,
    Orientation,
    Positive,
    Section,
    Size,
    Spacing,
    Structures,
    plugin_name,
)

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
    """Where the raw scans are and how they are prepared; sizes and margins in voxels.

    `channels` names the image files of a case, without suffix. Scans are brought to `spacing_mm` (along x, y, z) and
    `orientation`; without them they stay on their own grids.
    """

    cohort: str
    folder: Path
    split: Path
    structures: Structures | None = None
    channels: Channels = CHANNELS
    crop: Literal["label", "none"]
    crop_z: bool
    margin: tuple[Count, Count]
    margins: Annotated[str, plugin_name("seeded")]
    min_size: Size
    seed: int
    spacing_mm: Spacing | None = None
    orientation: Orientation | None = None
    normalize: Normalize = "zscore"
    later: ClassVar = ("channels", "spacing_mm", "orientation", "normalize")

    @model_validator(mode="after")
    def _margin_in_order(self) -> Self:
        if self.margin[0] > self.margin[1]:
            raise ValueError(f"margin {list(self.margin)} is in the wrong order; give the smaller number first")
        return self

    @property
    def prepared(self) -> Path:
        """Folder of the prepared cohort."""
        return prepared_folder(self.cohort)

    @property
    def clip(self) -> tuple[float, float] | None:
        """The intensities to which a scan is clipped before it is normalized; None: it is not."""
        return self.normalize.clip if isinstance(self.normalize, Clip) else None


class Network(Section):
    """The network: `vnet` with its four keys, or a class by its name, which gets `options` as keywords.

    Of the V-Net: width of the first stage, residual stages, dropout probability, and for each of four steps down the
    factor along x, y, z (1 or 2). `classes`, with the background, and `channels` of a scan follow from `data`.
    """

    name: Annotated[str, plugin_name(VNET, kind="class")] = VNET
    options: dict[str, Any] = pydantic.Field(default_factory=dict)
    width: Positive
    residual: bool
    dropout: Annotated[float, pydantic.Field(ge=0, lt=1)]
    classes: Annotated[int, pydantic.Field(ge=2)] = 2
    channels: Positive = 1
    halve: Halvings | None = None  # None: 2 everywhere
    later: ClassVar = ("name", "options", "classes", "channels", "halve")

    @property
    def halvings(self) -> Halvings:
        """The factors along x, y, z of each step down."""
        return self.halve or HALVINGS

    @property
    def multiple(self) -> Size:
        """Numbers of voxels along x, y, z of which a patch has multiples, so that it can be halved."""
        x, y, z = (math.prod(factors) for factors in zip(*self.halvings, strict=True))
        return x, y, z

    @pydantic.field_validator("halve")
    @classmethod
    def _usual_is_none(cls, halve: Halvings | None) -> Halvings | None:
        return None if halve == HALVINGS else halve

    @model_validator(mode="after")
    def _the_vnet_has_none(self) -> Self:
        if self.name == VNET and self.options:
            raise ValueError(f"options {self.options} are for a class of your own; the V-Net takes none")
        if self.name != VNET and self.halve:
            raise ValueError(f"halve is for the V-Net, and the network is {self.name}; leave network.halve out")
        return self


class Patches(Section):
    """Pooling of the volumes and size of the training patch and inference window, in pooled voxels."""

    pool: Positive
    size: Size


class Train(Section):
    """Settings shared by all rows: number of steps, learning rate, momentum, and a schedule for all rows."""

    steps: Positive
    lr: Annotated[float, pydantic.Field(gt=0)]
    momentum: Annotated[float, pydantic.Field(ge=0, lt=1)]
    schedule: Schedule | None
    start: str | None = None  # the model that trainings start from
    later: ClassVar = ("start",)


class Snapshots(Section):
    """How many states from the second half of training are kept besides the last, and which state is scored."""

    count: Count
    use: Annotated[str, plugin_name("last", "validated")]


class Evaluate(Section):
    """The sliding window's stride in pooled voxels, windows per pass, and which scores the summary shows."""

    stride: Size
    batch: Positive
    network: Literal["default", "teacher", "second", "ensemble"]
    largest_component: bool
    failures: Annotated[str, plugin_name("excluded", "diagonal")]


class Compute(Section):
    """Device and number format of the networks; `compile`: torch compiles them for training on a GPU."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "bf16", "fp16", "fp32"]
    channels_last: bool
    deterministic: bool
    compile: bool = False  # older records lack this and the next key
    threads: Positive = 2  # on the CPU, of one process; the value of all older runs


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
