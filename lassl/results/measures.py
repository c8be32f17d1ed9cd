"""The measures of a mask that tables and figures show: their names and units."""

from dataclasses import dataclass

from lassl.evaluation.scores import DISTANCES, SUMMARY


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
