"""What a table.json holds, in words: what its figures are of, and every way in which its rows cannot be compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import listed

Table = Mapping[str, Any]  # the content of a table.json
Row = Mapping[str, Any]  # one of its rows
SCANS = {"real": "real scans", "synthetic": "synthetic phantoms, not patients"}
CASES = {"test": "test cases", "tuning": "training cases held back to choose settings"}
CHOSEN = {"last": "last", "test": "best on test", "unknown": "choice unknown"}  # weights behind published figures
REFERENCES = {"baseline": "against_baseline", "matched": "against_matched"}  # in the statistics -> in each other row
INTERVAL_AND_TEST = (
    "The interval is of the mean, which a few cases with large differences can move far; the test counts each case by "
    "its rank and sees whether most cases go the same way: one can show a difference where the other shows none."
)


@dataclass(frozen=True)
class Remark:
    """A paragraph under a table; a warning says that its rows cannot be compared, or are not what they seem."""

    text: str
    warning: bool = False


def read_table(profile: str) -> dict[str, Any]:
    """Read a profile's table.json. Raises LasslError."""
    path = metrics_folder(profile) / "table.json"
    if not path.is_file():
        raise LasslError(f"{path}: not found; make it with `dvc repro`, or name a profile that has one")
    try:
        table: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise LasslError(f"{path}: no JSON ({error}); restore it from git, or make it again with `dvc repro`") from None
    return table


def references(table: Table) -> dict[str, Row]:
    """The rows that are there of those that others are compared with, by the key of the differences to them."""
    rows, names = table["rows"], {key: table["statistics"][word] for word, key in REFERENCES.items()}
    return {key: rows[name] for key, name in names.items() if name in rows}


def remarks(table: Table) -> list[Remark]:
    """What the figures are, and every way in which rows cannot be compared."""
    rows = list(table["rows"].values())
    texts = [described(table), *comparisons(table), *published_sources(table)]
    if all(len(row["runs"]) <= 1 for row in rows):
        texts.append("One run of each row: intervals and tests speak of other patients, not of other trainings.")
    if not all(row["runs"] for row in rows):
        texts.append(
            "External: masks that were made elsewhere, or here by weights from elsewhere, scored as one run on the "
            "same cases; how they were trained is not known here. Differences to them are between means over runs, "
            "and they have no P(best)."
        )
    if table["missing"]:
        texts.append(f"Not run in this profile: {', '.join(table['missing'])}.")
    notes = [Remark(f"[1] {note}") for note in table["notes"]]
    return [*tuning_notice(table), *map(Remark, texts), *warnings(table), *notes]


def tuning_notice(table: Table) -> list[Remark]:
    """That the scores are of training cases, if they are."""
    if table["scored"] == "test":
        return []
    return [Remark(f"Scores of {scored_cases(table)}, not of test cases.", warning=True)]


def scored_cases(table: Table) -> str:
    """How many cases were scored, and what kind of cases they are."""
    return f"{table['scored_cases']} {CASES[table['scored']]}"


def described(table: Table) -> str:
    """The scans, the scale, the devices, and what a cell holds."""
    return " ".join(
        [
            f"Profile {table['profile']}: cohort {cohort(table)}, trained on {devices(table)}.",
            f"Mean ± standard deviation over {CASES[table['scored']]} [95 % bootstrap interval of the mean], scored at "
            "native resolution; min: minutes of training.",
            failed_cases(list(table["rows"].values())),
        ]
    )


def cohort(table: Table) -> str:
    """The cohort's name, what kind of scans it has, and the resolution of the volumes that the networks saw."""
    scale = f"volumes pooled by {table['pool']}" if table["pool"] > 1 else "full resolution"
    return f"{table['cohort']} ({SCANS[table['statistics']['scans']]}), {scale}"


def devices(table: Table) -> str:
    """Where the rows were trained, each by its title where that is not the same place for all."""
    titles: dict[str, list[str]] = {device: [] for device in table["devices"]}
    for row in table["rows"].values():
        for device in row["devices"]:
            titles[device].append(row["title"])
    if len(titles) == 1:
        return str(table["devices"][0])
    return " and ".join(f"{device} ({', '.join(names)})" for device, names in titles.items())


def failed_cases(rows: Sequence[Row]) -> str:
    """How failed cases enter the distances."""
    usual = not any("failures" in departure for row in rows for departure in row["evaluation"])
    how = "leave out failed cases" if usual else "count failed cases as each row says, or leave them out"
    return f'Distances {how} (empty predictions), whose number stands under "failed".'


def comparisons(table: Table) -> list[str]:
    """What the differences, if there are any, the letters and P(best) say, and what they do not."""
    others = references(table)
    texts, larger = [], ""
    if others and len(table["rows"]) > 1:
        titles = " and to ".join(row["title"] for row in others.values())
        texts.append(
            f"Dice is the primary score. Differences to {titles}: paired, with a 95 % bootstrap interval "
            "and the p of a Wilcoxon signed-rank test over the cases. Holm's correction of p is over the rows for Dice "
            "alone; the other scores are secondary, each corrected over the rows by itself (table.json). The intervals "
            f"are not corrected. {INTERVAL_AND_TEST}{meaning(others)}"
        )
        larger = (
            ", and a larger one, so that a row may share a letter with the baseline though its p tells the two apart"
        )
    texts.append(
        'Rows that share a letter under "alike" cannot be told apart by Dice when every pair is tested (Wilcoxon '
        "signed-rank test over the cases, Holm's correction over all pairs, p ≥ 0.05). The pairs are a family of tests "
        f"of their own{larger}. P(best): share of bootstrap replicates in which the row has the highest mean Dice."
    )
    return texts


def meaning(others: Mapping[str, Row]) -> str:
    """What is read from the differences to the one row and to the other, where there are two."""
    if len(others) < 2:
        return ""
    baseline, matched = (others[key]["title"] for key in REFERENCES.values())
    return (
        f" {matched} sees as many labeled patches a step as most semi-supervised rows: the difference to it is what "
        f"the unlabeled scans add, by a loss and in batch norm, that to {baseline} what a user with these labels "
        "gains. The two are separate families of tests."
    )


def published_sources(table: Table) -> list[str]:
    """Who published the figures beside the rows, and how their weights were chosen."""
    rows = [row for row in table["rows"].values() if row["published"]]
    if not rows:
        return []
    titles: dict[str, list[str]] = {}
    for row in rows:
        titles.setdefault(row["published"]["source"], []).append(row["title"].split(" & ")[0])
    sources = "; ".join(f"{source} ({listed(dict.fromkeys(names))})" for source, names in titles.items())
    return [
        f"Published, on the real scans at full resolution: {sources}. Their weights: last, those of the last step; "
        "best on test, those of many that scored best on these test cases, which makes a figure too high; choice "
        "unknown, not told. Ours are the last, unless a row says otherwise."
    ]


def warnings(table: Table) -> list[Remark]:
    """Give a remark for each way in which the settings or the data of rows and runs differ."""
    rows = table["rows"].values()
    texts = []
    for what, key in (("settings", "shared"), ("window strides", "stride")):
        values = [value for row in rows for value in row[key]]
        if any(value != values[0] for value in values):
            texts.append(f"The rows have different {what} (see table.json) and cannot be compared.")
    for row in rows:
        if len(row["method"]) > 1 or len(row["evaluation"]) > 1:
            texts.append(f"{row['title']}: its runs differ in their options (see table.json): not one method.")
    if len(table["cohort_hash"]) > 1:
        texts.append("The rows were trained on different data and cannot be compared.")
    return [Remark(text, warning=True) for text in texts]
