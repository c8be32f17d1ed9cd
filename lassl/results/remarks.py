"""The remarks under a table: what its figures measure, and every reason why its rows cannot be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtr

from lassl.plumbing.tables import listed
from lassl.results.document import REFERENCES, Row, Table
from lassl.results.measures import DICE
from lassl.results.power import in_words

SCANS = {"real": "real scans", "synthetic": "synthetic phantoms, not patients"}
CASES = {"test": "test cases", "tuning": "training cases held back to choose settings"}
CHOSEN = {"last": "last", "test": "best on test", "unknown": "choice unknown"}  # weights behind published figures
LARGEST = "largest component"  # for published figures where only that part of each mask was scored
ENOUGH_CASES = 50  # with this many or more, percentile intervals of a mean are about as wide as they should be
TWO_WAY = (
    "trainings and patients both count as random, like readers and cases in multi-reader studies "
    "(Dorfman, Berbaum and Metz 1992; degrees of freedom: Hillis 2007)"
)


@dataclass(frozen=True)
class Remark:
    """A paragraph under a table; a warning says that its rows cannot be compared or could mislead."""

    text: str
    warning: bool = False


def remarks(table: Table) -> list[Remark]:
    """Say what the figures are, and every reason why rows cannot be compared."""
    rows = list(table.rows.values())
    texts = [described(table), *structures(table), *comparisons(table), *shown_by(table), *published_sources(table)]
    if not all(row.runs for row in rows):
        texts.append(
            "External: the masks come from other software, or from imported weights, and are scored as one run on the "
            "same cases. How those models were trained is unknown. Differences to them compare means over runs; no "
            "test accounts for their trainings."
        )
    if table.missing:
        texts.append(f"Not run in this profile: {', '.join(table.missing)}.")
    notes = [Remark(f"[1] {note}") for note in table.notes]
    return [*tuning_notice(table), *pairs(table), *map(Remark, texts), *warnings(table), *notes]


def tuning_notice(table: Table) -> list[Remark]:
    """Warn if the scores are of training cases."""
    if table.scored == "test":
        return []
    return [Remark(f"Scores of {scored_cases(table)}, not of test cases.", warning=True)]


def scored_cases(table: Table) -> str:
    """Say how many cases were scored, and of what kind."""
    return f"{table.scored_cases} {CASES[table.scored]}"


def described(table: Table) -> str:
    """Describe the scans, the scale, the devices, and what a cell shows."""
    return " ".join(
        [
            f"Profile {table.profile}: cohort {cohort(table)}, trained on {devices(table)}.",
            f"Mean ± standard deviation over {CASES[table.scored]} [95 % bootstrap interval of the mean], scored at "
            "native resolution.",
            *narrow(table.scored_cases),
            "min: training time in minutes.",
            failed_cases(list(table.rows.values())),
        ]
    )


def cohort(table: Table) -> str:
    """The cohort's name, what kind of scans it has, and the resolution of the volumes that the networks saw."""
    scale = f"volumes pooled by {table.pool}" if table.pool > 1 else "full resolution"
    return f"{table.cohort} ({SCANS[table.statistics.scans]}), {scale}"


def devices(table: Table) -> str:
    """The devices that trained the rows; with the titles of the rows if there is more than one device."""
    titles: dict[str, list[str]] = {}
    for row in table.rows.values():
        for device in row.devices:
            titles.setdefault(device, []).append(row.title)
    if len(titles) == 1:
        return next(iter(titles))
    return " and ".join(f"{device} ({', '.join(titles[device])})" for device in sorted(titles))


def failed_cases(rows: Sequence[Row]) -> str:
    """Say how failed cases count in the distances."""
    usual = not any("failures" in departure for row in rows for departure in row.evaluation)
    unless = "" if usual else ", unless a row's title says how they count"
    failed = "empty predictions of a structure" if rows[0].structures else "failed cases (empty predictions)"
    return f'Distances leave out {failed}{unless}; the column "failed" counts them.'


def structures(table: Table) -> list[str]:
    """Say what the score of a case is where there are several structures, and which of them references lack."""
    found = next(iter(table.rows.values())).structures or {}
    lacking = listed(f"{name} in {each.absent}" for name, each in found.items() if each.absent)
    text = f"The score of a case is the mean over its structures ({listed(found)}); details.md has each of them."
    left_out = f" A structure is left out of the cases whose reference lacks it: {lacking} of {table.scored_cases}."
    return [text + (left_out if lacking else "")] if found else []


def narrow(cases: int) -> list[str]:
    """Warn that percentile intervals of a mean are too narrow with this few cases; empty if there are enough."""
    if not 1 < cases < ENOUGH_CASES:
        return []
    covered = 2 * stdtr(cases - 1, 1.96 * ((cases - 1) / cases) ** 0.5) - 1
    return [
        f"With {cases} cases such an interval is too narrow: it covers the true mean in about {100 * covered:.0f} % of "
        "samples, and in fewer if the scores are skewed."
    ]


def pairs(table: Table) -> list[Remark]:
    """Say which pairs of a registered experiment count and which are missing; a warning if there are too few."""
    if not (registered := table.statistics.pairs):
        return []
    made = sorted({label_split for row in table.rows.values() for label_split, _ in row.runs})
    texts = [f"Complete pairs of trainings (label split k, seed k): {listed(made)}."]
    if missing := [k for k in registered.planned if k not in made]:
        texts.append(f"Interim result: of the {len(registered.planned)} planned pairs, {listed(missing)} are missing.")
    if few := len(made) < registered.least:
        texts.append(f"A result needs at least {registered.least} pairs.")
    texts += [f"Pair {k} is left out because it lacks {listed(rows)}." for k, rows in table.lacking.items()]
    return [Remark(" ".join(texts), warning=few)]


def comparisons(table: Table) -> list[str]:
    """Explain the differences, if there are any, and their tests."""
    others, rows = table.references, table.rows.values()
    if not others or len(rows) < 2:
        return []
    titles = " and to ".join(row.title for row in others.values())
    tests = [found[DICE.key].trainings for row in rows for found in row.compared.values()]
    text = f"Dice is the primary score. Differences to {titles} are paired by label split, seed and case."
    if any(tests):
        text += (
            f" In intervals and p-values {TWO_WAY}. p-values for Dice are Holm-corrected over the rows of the family, "
            "unless marked as uncorrected; intervals and other scores are never corrected (table.json)."
        )
        if len(others) > 1:
            text += " Each of the two baselines has its own family of tests."
    if any(tests) and not all(tests):
        text += " A difference without an interval is from one training and says nothing about the method."
    if any(test and test.pairs == 2 for test in tests):
        text += (
            " With two pairs the test is too liberal: at a level of 5 %, up to 10 % of tables give a false positive."
        )
    if any(tests) and len({label_split for row in rows for label_split, _ in row.runs}) == 1:
        text += " All pairs share one label split, so the result holds for that split alone."
    if not any(tests):
        text += " All differences in a column share one training of the baseline."
    return [f"{text}{meaning(others)}"]


def shown_by(table: Table) -> list[str]:
    """Say what this number of trainings can detect."""
    text = in_words(table.design, all(len(row.runs) <= 1 for row in table.rows.values()))
    return [text] if text else []


def meaning(others: Mapping[str, Row]) -> str:
    """Say what each of two baselines measures; empty if there is only one."""
    if len(others) < 2:
        return ""
    baseline, matched = (others[key].title for key in REFERENCES.values())
    return (
        f" {matched} sees as many labeled patches per step as most semi-supervised rows, so the difference to it shows "
        f"what the unlabeled scans add, through a loss and batch norm. The difference to {baseline} shows what a user "
        "with these labels gains."
    )


def published_sources(table: Table) -> list[str]:
    """Name the sources of the published figures, and explain how their weights were chosen."""
    titles: dict[str, list[str]] = {}
    for row in table.rows.values():
        if row.published:
            titles.setdefault(row.published.source, []).append(row.title.split(" & ")[0])
    if not titles:
        return []
    sources = "; ".join(f"{source} ({listed(dict.fromkeys(names))})" for source, names in titles.items())
    return [
        f"Published figures are for the real scans at full resolution: {sources}. They are scored with the weights of "
        "the last step (last), with the checkpoint that did best on these test cases, which inflates them (best on "
        "test), or with weights whose choice is not stated (choice unknown). Ours use the last weights unless a row "
        "says otherwise." + largest_component(table)
    ]


def largest_component(table: Table) -> str:
    """Say that some published figures score only the largest component of each mask; empty if none does."""
    if not any(row.published and row.published.parts == "largest" for row in table.rows.values()):
        return ""
    return (
        " Largest component: everything else was removed from their masks. Our masks are scored whole unless a row "
        "says otherwise."
    )


def warnings(table: Table) -> list[Remark]:
    """Give a remark for each way in which the settings or the data of rows and runs differ."""
    rows = table.rows.values()
    texts = []
    strides = {stride for row in rows for stride in row.stride}
    shared = [settings for row in rows for settings in row.shared]
    for what, differ in (("settings", any(s != shared[0] for s in shared)), ("window strides", len(strides) > 1)):
        if differ:
            texts.append(f"The rows have different {what} (see table.json) and cannot be compared.")
    for row in rows:
        if len(row.method) > 1 or len(row.evaluation) > 1:
            texts.append(f"{row.title}: its runs have different options (see table.json) and are not one method.")
    if len(table.cohort_hash) > 1:
        texts.append("The rows were trained on different data and cannot be compared.")
    return [Remark(text, warning=True) for text in texts]
