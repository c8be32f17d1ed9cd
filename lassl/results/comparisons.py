"""Rows beside each other: differences to the baselines, the probability to be the best, and a letter display."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import networkx
import pandas as pd

from lassl.results.measures import DICE, MAIN
from lassl.results.remarks import REFERENCES
from lassl.results.statistics import compare, holm, probability_of_best
from lassl.sections import Statistics

LEVEL = 0.05  # two rows whose adjusted p is not below it cannot be told apart
Tables = Mapping[str, Mapping[str, pd.DataFrame]]  # row -> key of a measure -> (draw, seed) x cases


def compared(tables: Tables, ours: Sequence[str], statistics: Statistics) -> dict[str, dict[str, Any]]:
    """What a table says of each row beside the others, `ours` being the rows that are not external.

    Keys: `alike`, and where they are defined `against_baseline`, `against_matched` and `probability_of_best`.
    """
    differences = {key: against(tables, getattr(statistics, word), statistics) for word, key in REFERENCES.items()}
    chances = best({row: tables[row] for row in ours}, statistics)
    letters = alike(tables, statistics)
    return {
        row: {
            **{key: found[row] for key, found in differences.items() if row in found},
            **({"probability_of_best": chances[row]} if row in chances else {}),
            "alike": letters[row],
        }
        for row in tables
    }


def against(tables: Tables, baseline: str | None, statistics: Statistics) -> dict[str, dict[str, Any]]:
    """Compare every other row with a baseline, if it is there, by each score, of which Dice is the primary one.

    Holm's correction is over the rows, for each score by itself: a secondary score takes nothing from Dice.
    """
    if baseline is None or baseline not in tables:
        return {}
    others = [row for row in tables if row != baseline]
    differences: dict[str, dict[str, Any]] = {row: {} for row in others}
    for key, scores in tables[baseline].items():
        family = [compare(tables[row][key], scores, count=statistics.resamples, seed=statistics.seed) for row in others]
        adjusted = holm([comparison.p_value for comparison in family])
        for row, comparison, p in zip(others, family, adjusted, strict=True):
            differences[row][key] = rounded(asdict(comparison) | {"p_holm": p})
    return differences


def best(tables: Tables, statistics: Statistics) -> dict[str, dict[str, float | None]]:
    """Probability of each row to be the best by each score, over the runs that all rows have; nothing if none."""
    if not set.intersection(*(set(scores[DICE.key].index) for scores in tables.values())):
        return {}
    chances = {}
    for measure in MAIN:
        scores = {row: tables[row][measure.key] for row in tables}
        chances[measure.key] = probability_of_best(
            scores, bool(measure.higher_is_better), statistics.resamples, statistics.seed
        )
    return {row: rounded({key: chance[row] for key, chance in chances.items()}) for row in tables}


def alike(tables: Tables, statistics: Statistics) -> dict[str, str]:
    """Compact letter display (Piepho 2004): rows that share a letter cannot be told apart by Dice.

    Wilcoxon signed-rank test, Holm's correction over all pairs of rows. A letter stands for a largest set of rows of
    which no pair differs. The pairs are a family of their own, larger than that of the comparisons with a baseline: a
    row can differ from the baseline there and share a letter with it here.
    """
    pairs = list(combinations(tables, 2))
    p_values = [
        compare(tables[a][DICE.key], tables[b][DICE.key], count=1, seed=statistics.seed).p_value for a, b in pairs
    ]
    graph = networkx.Graph()
    graph.add_nodes_from(tables)
    graph.add_edges_from(pair for pair, p in zip(pairs, holm(p_values), strict=True) if p >= LEVEL)
    order = list(tables)
    groups = sorted(sorted(map(order.index, clique)) for clique in networkx.find_cliques(graph))
    return {
        row: "".join(letter(n) for n, group in enumerate(groups) if place in group) for place, row in enumerate(order)
    }


def letter(n: int) -> str:
    """The n-th letter from 0: a to z, then a1 to z1, a2, ..."""
    return chr(ord("a") + n % 26) + (str(n // 26) if n >= 26 else "")


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Four decimals, and None for what is undefined."""
    return {k: v if isinstance(v, int) else None if pd.isna(v) else round(float(v), 4) for k, v in values.items()}
