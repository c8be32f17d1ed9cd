"""The data models of table.json, and the only function that reads and checks it.

Scores are in the units of their measures; None is an undefined value.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, FiniteFloat, ValidationError, WrapSerializer, model_validator

from lassl.evaluation.summary import POLICIES
from lassl.model.record import Entry
from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import first_reason
from lassl.results.measures import (
    LOGIT_DICE,
    MAIN,
    MAIN_DISTANCES,
    OTHERS,
    Mean,
    OfStructure,
    Spread,
    Value,
    with_keys,
)
from lassl.settings.statistics import Statistics
from lassl.statistics.trainings import Deviation, Noise
from lassl.statistics.variance import Variance

REFERENCES = {"baseline": "against_baseline", "matched": "against_matched"}  # in the statistics -> in each other row


class TwoWayTest(Entry):
    """A mean difference with its 95 % interval, for random pairs and cases; `p_holm` is None outside a family."""

    difference: Value
    low: Value
    high: Value
    p_value: Value
    freedom: Value
    pairs: int
    cases: int
    p_holm: Value


class PatientTest(Entry):
    """A difference with its 95 % interval over cases alone; `p_holm` is corrected over all rows."""

    low: Value
    high: Value
    p_value: Value
    p_holm: Value


class Difference(Entry):
    """A row minus a reference, by one score; `trainings` is None with fewer than two pairs."""

    difference: Value
    cases: int
    pairs: int
    trainings: TwoWayTest | None
    patients: PatientTest


Differences = Annotated[dict[str, Difference], with_keys(*MAIN, LOGIT_DICE)]


class Family(Entry):
    """The tests of the mean of several rows against the baseline; None with fewer than two pairs."""

    rows: tuple[str, ...]
    dice: TwoWayTest | None
    logit_dice: TwoWayTest | None


class Power(Entry):
    """What the pairs can detect, in points of Dice: half the 95 % interval, and the smallest differences."""

    half_width: Value
    smallest: Value
    smallest_in_family: Value


class Design(Entry):
    """The noise of a profile's Dice, and what its pairs can detect (see lassl/results/power.py)."""

    training: Deviation | None
    rows: int
    noise: Noise | None
    compared: int
    pairs: int
    family: int
    power: Power | None


class Published(Entry):
    """Figures of a paper: how the weights were chosen, which parts of masks were scored, the source, and a note."""

    dice: FiniteFloat
    jaccard: Value = None
    asd: Value = None
    hd95: Value = None
    chosen: Literal["last", "test", "unknown"]
    parts: Literal["all", "largest"] = "all"  # of each mask that was scored
    source: str
    note: str | None = None


Means = Annotated[dict[str, Value], with_keys(*MAIN)]
Distances = Annotated[dict[str, Value], with_keys(*MAIN_DISTANCES)]
Figures = Annotated[  # {} in the file means none
    Published | None,
    BeforeValidator(lambda figures: figures or None),
    WrapSerializer(lambda figures, plain: {} if figures is None else plain(figures)),
]


class Row(Entry):
    """A row: what was trained, its scores, the distinct settings of its runs, and its differences to the baselines.

    External masks have no runs, settings or minutes. Settings are plain values and are only compared with each other.
    """

    title: str
    runs: tuple[tuple[int, int], ...]  # label split and seed
    labeled: tuple[int, ...]
    unlabeled: tuple[int, ...]
    steps: tuple[int, ...]
    training_minutes: Value
    devices: tuple[str, ...]
    cases: int
    failed: int
    scores: Annotated[dict[str, Spread], with_keys(*MAIN)]
    variance: Annotated[dict[str, Variance], with_keys(*MAIN)]
    more: Annotated[dict[str, Mean], with_keys(*OTHERS)]
    failures: Annotated[dict[str, Distances], with_keys(*POLICIES)]
    variants: dict[str, Means]  # by network and parts
    evaluation: tuple[str, ...]  # departures from the default
    stride: tuple[tuple[int, int, int], ...]  # voxels
    shared: tuple[dict[str, Any], ...]
    method: tuple[dict[str, Any], ...]
    published: Figures
    group: Literal["table", "field", "own", "external"]
    structures: dict[str, OfStructure] | None = None  # by name, if there are several
    against_baseline: Differences | None = None
    against_matched: Differences | None = None

    @property
    def compared(self) -> dict[str, dict[str, Difference]]:
        """The differences to each reference of the row, by their name in the row."""
        found = {"against_baseline": self.against_baseline, "against_matched": self.against_matched}
        return {key: differences for key, differences in found.items() if differences is not None}


class Table(Entry):
    """A profile's table.

    `lacking`: pair -> rows that it lacks; `missing`: published rows that were not run. All of `statistics` must be set
    explicitly, including defaults, because `plain` leaves out unset fields.
    """

    profile: str
    cohort: str
    cohort_hash: tuple[str, ...]
    pool: int
    devices: tuple[str, ...]
    scored: Literal["test", "tuning"]
    scored_cases: int
    statistics: Statistics
    rows: dict[str, Row]
    family: Family | None
    design: Design
    lacking: dict[str, tuple[str, ...]]
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    @model_validator(mode="after")
    def _every_row_is_compared(self) -> Self:
        for key, reference in self.references.items():
            for name, row in self.rows.items():
                if row is not reference and key not in row.compared:
                    raise ValueError(f"rows.{name}.{key}: missing, although row {reference.title} exists")
        return self

    @property
    def references(self) -> dict[str, Row]:
        """The existing baselines, by the name of the differences to them."""
        names = {key: getattr(self.statistics, word) for word, key in REFERENCES.items()}
        return {key: self.rows[name] for key, name in names.items() if name in self.rows}


def read_table(profile: str) -> Table:
    """Read a profile's table.json. Raises LasslError if it does not exist or does not fit the models."""
    path = metrics_folder(profile) / "table.json"
    if not path.is_file():
        raise LasslError(f"{path}: not found; create it with `dvc repro`, or name a profile with a table")
    try:
        return Table.model_validate_json(read_text(path), strict=True)
    except ValidationError as error:
        advice = "restore it from git, or create it again with `dvc repro`"
        raise LasslError(f"{path}: not a table of results ({first_reason(error)}); {advice}") from None
