"""The measures of a mask that tables and figures show: their names and units, and the form of their values."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, FiniteFloat

from lassl.evaluation.scores import DISTANCES, SUMMARY
from lassl.model.record import Entry

Value = FiniteFloat | None


@dataclass(frozen=True)
class Measure:
    """One measure: its key in table.json, its column among the scores of cases, its name and its unit."""

    key: str
    column: str
    name: str
    unit: str

    @property
    def heading(self) -> str:
        """Name and unit, for the head of a column."""
        return f"{self.name} [{self.unit}]"


DICE = Measure("dice", SUMMARY["dice"], "Dice", "%")
JACCARD = Measure("jaccard", SUMMARY["jaccard"], "Jaccard", "%")
ASD = Measure("asd", SUMMARY["asd"], "ASD", "voxel")
HD95 = Measure("hd95", SUMMARY["hd95"], "95HD", "voxel")
MAIN = (DICE, JACCARD, ASD, HD95)  # of the summary
LOGIT_DICE = Measure("logit_dice", SUMMARY["dice"], "logit Dice", "logit")  # only in tests, next to Dice
MAIN_DISTANCES = tuple(measure for measure in MAIN if measure.column in DISTANCES)


def _other(column: str, name: str, unit: str) -> Measure:
    """A measure whose key is its column."""
    return Measure(column, column, name, unit)


OTHERS = (  # of the page of details
    _other("assd_voxel", "ASSD", "voxel"),
    _other("hd95_max_voxel", "95HD, larger direction", "voxel"),
    _other("asd_mm", "ASD", "mm"),
    _other("hd95_mm", "95HD", "mm"),
    _other("assd_mm", "ASSD", "mm"),
    _other("hd95_max_mm", "95HD, larger direction", "mm"),
    _other("surface_dice_1mm_percent", "surface Dice at 1 mm", "%"),
    _other("volume_error_percent", "volume error", "%"),
)


def with_keys(*expected: Measure | str) -> AfterValidator:
    """A check that a mapping has exactly these keys, or the keys of these measures."""
    keys = [each.key if isinstance(each, Measure) else each for each in expected]

    def check(values: dict[str, Any]) -> dict[str, Any]:
        if set(values) != set(keys):
            raise ValueError(f"found {', '.join(values) or 'nothing'}, expected {', '.join(keys)}")
        return values

    return AfterValidator(check)


class Mean(Entry):
    """Mean over all runs and cases, and standard deviation over cases (of each case's mean over the runs)."""

    mean: Value
    std: Value


class Spread(Mean):
    """A mean with its 95 % bootstrap interval, and the standard deviation of the runs' means."""

    low: Value
    high: Value
    std_runs: Value


class OfStructure(Entry):
    """The scores of one of several structures, its empty predictions, and the cases whose reference lacks it."""

    scores: Annotated[dict[str, Mean], with_keys(*MAIN)]
    failed: int
    absent: int
