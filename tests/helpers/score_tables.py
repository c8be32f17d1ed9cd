"""Tables of scores of runs and cases, made by hand or by chance."""

import math

import numpy as np
import pandas as pd

NAN = math.nan


def table(runs, cases="abcdefghijklmnopqrst"):
    """Scores {(label split, seed): values of the first cases}."""
    index = pd.MultiIndex.from_tuples(list(runs), names=["label_split", "seed"])
    values = list(runs.values())
    return pd.DataFrame(values, index=index, columns=list(cases)[: len(values[0])], dtype=float)


def one(*values):
    return table({(0, 0): values})


def random_table(runs, cases=6, seed=0):
    rng = np.random.default_rng(seed)
    return table({run: rng.normal(80, 10, cases) for run in runs})


def shuffled(scores):
    """The same scores with runs and cases in other places."""
    return scores.iloc[::-1, [2, 0, *range(scores.shape[1] - 1, 2, -1), 1]]


UNEQUAL = ((3, 5), (1, 0), (1, 4))  # label split 3 has one seed, label split 1 has two
