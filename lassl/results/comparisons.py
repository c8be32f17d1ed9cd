"""Compares rows with the baselines: paired differences, tested over trainings and patients, and over patients alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from lassl.results.document import REFERENCES, Difference, Family, PatientTest, TwoWayTest
from lassl.results.measures import DICE, LOGIT_DICE
from lassl.settings.statistics import Statistics
from lassl.statistics.patients import compare, holm
from lassl.statistics.scores import paired
from lassl.statistics.trainings import TwoWay, complete, two_way

CLIP = 0.01  # Dice is clipped to [CLIP, 1 - CLIP] before its logit is computed
Tables = Mapping[str, Mapping[str, pd.DataFrame]]  # row -> key of a measure -> (label split, seed) x cases


def compared(tables: Tables, statistics: Statistics) -> dict[str, dict[str, dict[str, Difference]]]:
    """Differences of each row to the existing baselines: `against_baseline`, `against_matched`."""
    tables = {row: {**scores, LOGIT_DICE.key: logit(scores[DICE.key])} for row, scores in tables.items()}
    differences = {
        key: against(tables, getattr(statistics, word), family(tables, word, statistics), statistics)
        for word, key in REFERENCES.items()
    }
    return {row: {key: found[row] for key, found in differences.items() if row in found} for row in tables}


def family(rows: Collection[str], word: str, statistics: Statistics) -> list[str]:
    """The rows whose tests against a reference (`baseline` or `matched`) are corrected together.

    If the settings name a family, it applies to tests against the baseline; tests against the matched one stay
    uncorrected.
    """
    if statistics.family is None:
        return [row for row in rows if row not in (statistics.baseline, statistics.matched)]
    return [row for row in statistics.family if row in rows] if word == "baseline" else []


def logit(dice: pd.DataFrame) -> pd.DataFrame:
    """The logit of clipped Dice in percent; it stretches values near 100 %, where trainings vary little."""
    share = (dice / 100).clip(CLIP, 1 - CLIP)
    return pd.DataFrame(np.log(share / (1 - share)))


def against(
    tables: Tables, baseline: str | None, family: Collection[str], statistics: Statistics
) -> dict[str, dict[str, Difference]]:
    """Compare every other row with a baseline, if it exists, by each score; Dice is the primary score.

    `trainings`: pairs and cases are random; None with fewer than two pairs; Dice alone is Holm-corrected, over the
    family. `patients`: new patients, with these trainings; Holm-corrected over all rows for each score.
    """
    if baseline is None or baseline not in tables:
        return {}
    others = [row for row in tables if row != baseline]
    differences: dict[str, dict[str, Difference]] = {row: {} for row in others}
    for key, scores in tables[baseline].items():
        over_patients = [
            compare(tables[row][key], scores, count=statistics.resamples, seed=statistics.seed) for row in others
        ]
        p_holm = holm([found.p_value for found in over_patients])
        over_trainings = {row: two_way(complete(paired(tables[row][key], scores))) for row in others}
        corrected = correct(over_trainings, family if key == DICE.key else ())
        for row, found, p in zip(others, over_patients, p_holm, strict=True):
            patients = {"low": found.low, "high": found.high, "p_value": found.p_value, "p_holm": p}
            differences[row][key] = Difference(
                **rounded({"difference": found.difference}),
                cases=found.cases,
                pairs=len(scores.index.intersection(tables[row][key].index)),
                trainings=told(over_trainings[row], corrected.get(row)),
                patients=PatientTest(**rounded(patients)),
            )
    return differences


def correct(tests: Mapping[str, TwoWay | None], family: Collection[str]) -> dict[str, float]:
    """Holm's correction of the tests of a family."""
    made = {row: test.p_value for row, test in tests.items() if test is not None and row in family}
    return dict(zip(made, holm(list(made.values())), strict=True))


def told(test: TwoWay | None, p_holm: float | None = None) -> TwoWayTest | None:
    """A two-way test in the form of table.json; `p_holm` is None outside a family."""
    return None if test is None else TwoWayTest(**rounded({**asdict(test), "p_holm": p_holm}))


def mean_of_family(tables: Tables, statistics: Statistics) -> Family | None:
    """Two-way tests of the mean of the settings' family against the baseline, by Dice and by its logit.

    They use the runs that all rows share. None if the settings do not name a family, or if a row is missing.
    """
    rows: Sequence[str] = statistics.family or ()
    if not rows or not {*rows, statistics.baseline} <= set(tables):
        return None
    found = {}
    for key, scale in ((DICE.key, pd.DataFrame), (LOGIT_DICE.key, logit)):
        dice = {row: scale(tables[row][DICE.key]) for row in (*rows, statistics.baseline)}
        differences = [paired(dice[row], dice[statistics.baseline]) for row in rows]
        shared = differences[0].index
        for frame in differences[1:]:
            shared = shared.intersection(frame.index)
        found[key] = told(two_way(np.mean([complete(frame.loc[shared]) for frame in differences], axis=0)))
    return Family(rows=tuple(rows), dice=found[DICE.key], logit_dice=found[LOGIT_DICE.key])


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Round to four decimals; None for undefined or infinite values."""
    return {k: v if isinstance(v, int) else None if not finite(v) else round(float(v), 4) for k, v in values.items()}


def finite(value: float | None) -> bool:
    """Whether a value is a finite number."""
    return value is not None and bool(np.isfinite(value))
