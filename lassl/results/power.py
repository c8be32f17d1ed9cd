"""How much the mean Dice varies between trainings of one row, and which differences a table can detect.

Every record in metrics/ of the same row, label split and settings counts. Such trainings differ in their seed,
processor or number format. Equal weights count once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lassl.model.record import Evaluated, read_record
from lassl.paths import EXTERNAL, METRICS
from lassl.plumbing.tables import number
from lassl.results import document
from lassl.results.comparisons import family, rounded
from lassl.results.measures import DICE
from lassl.results.runs import Result, read_result, scores
from lassl.settings.statistics import Statistics
from lassl.statistics.scores import paired
from lassl.statistics.trainings import Deviation, MeanSquares, Noise, Values, complete, deviation, mean_squares

Groups = Mapping[str, Sequence[Result]]  # row -> its runs


@dataclass(frozen=True)
class Design:
    """The noise of a profile's Dice, in percent, and the size of its comparisons."""

    training: Deviation | None  # of a row's mean Dice when it is retrained
    rows: int  # trained more than once; `training` is estimated from them
    noise: Noise | None  # of differences to the baseline
    compared: int  # rows with two or more pairs, from which `noise` is estimated; 0: estimated from `training`
    pairs: int  # of a row with the baseline
    family: int  # number of tests that are corrected together
    minutes: float  # for one pair: training and scoring of all rows

    def told(self) -> document.Design:
        """The design and what it can detect, as in table.json."""
        power = self.noise.power(self.pairs, self.family) if self.noise and self.pairs else None
        return document.Design(
            training=Deviation(**rounded(asdict(self.training))) if self.training else None,
            rows=self.rows,
            noise=Noise(**rounded(asdict(self.noise))) if self.noise else None,
            compared=self.compared,
            pairs=self.pairs,
            family=self.family,
            power=document.Power(**rounded(asdict(power))) if power else None,
        )


def design(groups: Groups, statistics: Statistics) -> Design:
    """Estimate the noise of these rows from them and from all records of the same scale. Raises LasslError."""
    repeated = trained_again([result.record for group in groups.values() for result in group])
    squares = [found for dice in repeated if (found := mean_squares(dice))]
    freedom = sum(found.runs - 1 for found in squares)
    training = deviation(sum(f.run_variance * (f.runs - 1) for f in squares), freedom) if freedom else None
    members = family(groups, "baseline", statistics)
    differences = to_baseline(groups, statistics)
    paired_often = [found for difference in differences.values() if (found := mean_squares(difference))]
    if paired_often:
        noise: Noise | None = between(paired_often)
    else:
        noise = made_again(training, squares[0].cases) if training else None
    return Design(
        training=training,
        rows=len(squares),
        noise=noise,
        compared=len(paired_often),
        pairs=max((len(differences[row]) for row in members if row in differences), default=0),
        family=sum(row in differences for row in members),
        minutes=sum(minutes(group) for group in groups.values()),
    )


def to_baseline(groups: Groups, statistics: Statistics) -> dict[str, Values]:
    """Differences of Dice to the baseline (pairs, cases) of each row that shares a run with it."""
    if statistics.baseline not in groups:
        return {}
    dice = {row: scores(group, DICE.column) for row, group in groups.items()}
    baseline = dice.pop(statistics.baseline)
    return {
        row: complete(paired(table, baseline))
        for row, table in dice.items()
        if len(table.index.intersection(baseline.index))
    }


def between(squares: Sequence[MeanSquares]) -> Noise:
    """The noise of paired differences, pooled over rows by their degrees of freedom."""
    weights = [found.runs - 1 for found in squares]
    pair = np.average([found.run_variance for found in squares], weights=weights)
    patient = np.average([found.case_variance for found in squares], weights=weights)
    return Noise(float(np.sqrt(pair)), float(np.sqrt(patient)), squares[0].cases)


def made_again(training: Deviation, cases: int) -> Noise:
    """The noise of a difference between two trainings, each of which varies as retrainings do.

    One pair does not show what patients add to it, so this is a lower bound.
    """
    return Noise(float(np.sqrt(2)) * training.value, 0.0, cases, training.freedom)


def trained_again(like: Sequence[Evaluated]) -> list[Values]:
    """Dice (trainings, cases) of each row, split and settings trained more than once at the scale of `like`.

    Raises LasslError.
    """
    scales = {scale(record) for record in like}
    found: dict[str, dict[str, Evaluated]] = {}
    for path in sorted(METRICS.glob("*/records/[!.]*-d*-s*.yaml")):
        if path.parents[1] != EXTERNAL and scale(record := read_record(path)) in scales:
            found.setdefault(row_and_draw(record), {}).setdefault(record.weights_sha256 or str(path), record)
    groups = [[read_result(record) for record in records.values()] for records in found.values() if len(records) > 1]
    return [np.array([dice(result) for result in group]) for group in groups]


def dice(result: Result) -> Values:
    """Dice in percent of the cases, sorted by name."""
    return result.reported_cases().set_index("case")[DICE.column].sort_index().to_numpy(dtype=np.float64)


def scale(record: Evaluated) -> str:
    """A key of what rows of one scale share: the data, the network, patches, steps and scored cases."""
    settings = record.settings.model_dump(mode="json", include={"network", "patches", "train", "cases"})
    return json.dumps([record.cohort.hash, settings], sort_keys=True)


def row_and_draw(record: Evaluated) -> str:
    """A key of what trainings of one row with the same labels share."""
    shown: Any = {"network": True, "largest_component": True, "stride": True, "snapshot": {"use": True}}
    evaluation = record.evaluation.model_dump(mode="json", include=shown)
    settings = record.settings.method.model_dump(mode="json")
    settings["schedule"] = record.settings.train.schedule or settings["schedule"]
    return json.dumps([record.method, record.label_split, scale(record), settings, evaluation], sort_keys=True)


def minutes(group: Sequence[Result]) -> float:
    """Mean minutes of training and scoring."""
    seconds = [result.record.training.seconds + result.record.evaluation.seconds for result in group]
    return sum(seconds) / len(seconds) / 60


def in_words(design: document.Design, one: bool) -> str:
    """Describe a design: how much trainings vary and what they can detect; `one`: no row has more than one."""
    texts = ["One training per row says nothing about the methods."] if one else []
    if training := design.training:
        low, high = number(training.low), number(training.high)
        texts.append(
            f"Retraining a row changes its mean Dice by {number(training.value)} points (SD; 95 % interval {low} to "
            f"{high}; from {row_count(design.rows)} of this scale)."
        )
    if design.noise and design.compared:
        pair = number(design.noise.pair)
        texts.append(f"The difference of a pair varies by {pair} points (SD; from {row_count(design.compared)}).")
    if power := design.power:
        many = f"{design.pairs} pairs" if design.pairs > 1 else "One pair"
        one_test, strictest = (number(value, decimals=1) for value in (power.smallest, power.smallest_in_family))
        family = f", or {strictest} in a family of {design.family} tests" if design.family > 1 else ""
        texts.append(f"{many} can detect a difference of {one_test} points with 80 % power{family}.")
    elif one:
        texts.append("How much retraining changes a row is unknown at this scale, because no row was trained twice.")
    return " ".join(texts)


def row_count(count: int) -> str:
    """A number of rows in words."""
    return "1 row" if count == 1 else f"{count} rows"
