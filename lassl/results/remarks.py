"""What a table holds, in words: what its figures are of, and every way in which its rows cannot be compared."""

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
LARGEST = "largest component"  # published figures of masks of which that alone was scored
ENOUGH_CASES = 50  # from which percentile intervals of a mean are about as wide as they should be
TWO_WAY = (
    "trainings and patients are both random, as readers and cases are in multi-reader studies: a training takes the "
    "place of a reader (Dorfman, Berbaum and Metz 1992; degrees of freedom of Hillis 2007)"
)


@dataclass(frozen=True)
class Remark:
    """A paragraph under a table; a warning says that its rows cannot be compared, or are not what they seem."""

    text: str
    warning: bool = False


def remarks(table: Table) -> list[Remark]:
    """What the figures are, and every way in which rows cannot be compared."""
    rows = list(table.rows.values())
    texts = [described(table), *comparisons(table), *shown_by(table), *published_sources(table)]
    if not all(row.runs for row in rows):
        texts.append(
            "External: masks that were made elsewhere, or here by weights from elsewhere, scored as one run on the "
            "same cases; how they were trained is not known here. Differences to them are between means over runs, "
            "and no test counts their trainings."
        )
    if table.missing:
        texts.append(f"Not run in this profile: {', '.join(table.missing)}.")
    notes = [Remark(f"[1] {note}") for note in table.notes]
    return [*tuning_notice(table), *pairs(table), *map(Remark, texts), *warnings(table), *notes]


def tuning_notice(table: Table) -> list[Remark]:
    """That the scores are of training cases, if they are."""
    if table.scored == "test":
        return []
    return [Remark(f"Scores of {scored_cases(table)}, not of test cases.", warning=True)]


def scored_cases(table: Table) -> str:
    """How many cases were scored, and what kind of cases they are."""
    return f"{table.scored_cases} {CASES[table.scored]}"


def described(table: Table) -> str:
    """The scans, the scale, the devices, and what a cell holds."""
    return " ".join(
        [
            f"Profile {table.profile}: cohort {cohort(table)}, trained on {devices(table)}.",
            f"Mean ± standard deviation over {CASES[table.scored]} [95 % bootstrap interval of the mean], scored at "
            "native resolution.",
            *narrow(table.scored_cases),
            "min: minutes of training.",
            failed_cases(list(table.rows.values())),
        ]
    )


def cohort(table: Table) -> str:
    """The cohort's name, what kind of scans it has, and the resolution of the volumes that the networks saw."""
    scale = f"volumes pooled by {table.pool}" if table.pool > 1 else "full resolution"
    return f"{table.cohort} ({SCANS[table.statistics.scans]}), {scale}"


def devices(table: Table) -> str:
    """Where the rows were trained, each by its title where that is not the same place for all."""
    titles: dict[str, list[str]] = {}
    for row in table.rows.values():
        for device in row.devices:
            titles.setdefault(device, []).append(row.title)
    if len(titles) == 1:
        return next(iter(titles))
    return " and ".join(f"{device} ({', '.join(titles[device])})" for device in sorted(titles))


def failed_cases(rows: Sequence[Row]) -> str:
    """How failed cases enter the distances."""
    usual = not any("failures" in departure for row in rows for departure in row.evaluation)
    how = "leave out failed cases" if usual else "count failed cases as each row says, or leave them out"
    return f'Distances {how} (empty predictions), whose number stands under "failed".'


def narrow(cases: int) -> list[str]:
    """That percentile intervals of a mean are too narrow with so few cases; nothing with many."""
    if not 1 < cases < ENOUGH_CASES:
        return []
    covered = 2 * stdtr(cases - 1, 1.96 * ((cases - 1) / cases) ** 0.5) - 1
    return [
        f"With {cases} cases such an interval is too narrow: it holds the mean in about {100 * covered:.0f} % of "
        "samples, in fewer where scores are skewed."
    ]


def pairs(table: Table) -> list[Remark]:
    """Which pairs of a registered experiment count, and which are missing; a warning where they are too few."""
    if not (registered := table.statistics.pairs):
        return []
    made = sorted({label_split for row in table.rows.values() for label_split, _ in row.runs})
    texts = [f"Pairs (label split k, seed k) that all of {listed(registered.rows)} have: {listed(made)}."]
    if missing := [k for k in registered.planned if k not in made]:
        texts.append(f"Interim: of the {len(registered.planned)} planned pairs {listed(missing)} are missing.")
    if few := len(made) < registered.least:
        texts.append(f"At least {registered.least} are needed for a result.")
    texts += [f"Pair {k} is left out: it lacks {listed(rows)}." for k, rows in table.lacking.items()]
    return [Remark(" ".join(texts), warning=few)]


def comparisons(table: Table) -> list[str]:
    """What the differences are, if there are any, and what tests of them say."""
    others, rows = table.references, table.rows.values()
    if not others or len(rows) < 2:
        return []
    titles = " and to ".join(row.title for row in others.values())
    tests = [found[DICE.key].trainings for row in rows for found in row.compared.values()]
    text = f"Dice is the primary score. Differences to {titles}: paired by label split, seed and case."
    if any(tests):
        text += (
            f" Interval and p: {TWO_WAY}. p has Holm's correction over the rows of the family, by Dice alone, and none "
            "where it says so; intervals and other scores have none (table.json)."
        )
        if len(others) > 1:
            text += " The two baselines are families of their own."
    if any(tests) and not all(tests):
        text += " A difference without an interval is of one training and says nothing about the method."
    if any(test and test.pairs == 2 for test in tests):
        text += " With two pairs the test is too bold: at 5 % it finds what is not there in up to 10 % of tables."
    if any(tests) and len({label_split for row in rows for label_split, _ in row.runs}) == 1:
        text += " All pairs have one label split and speak of that label split."
    if not any(tests):
        text += " All differences of a column share one training of the baseline."
    return [f"{text}{meaning(others)}"]


def shown_by(table: Table) -> list[str]:
    """What the number of trainings can show."""
    text = in_words(table.design, all(len(row.runs) <= 1 for row in table.rows.values()))
    return [text] if text else []


def meaning(others: Mapping[str, Row]) -> str:
    """What is read from the differences to the one row and to the other, where there are two."""
    if len(others) < 2:
        return ""
    baseline, matched = (others[key].title for key in REFERENCES.values())
    return (
        f" {matched} sees as many labeled patches a step as most semi-supervised rows: the difference to it is what "
        f"the unlabeled scans add, by a loss and in batch norm, that to {baseline} what a user with these labels "
        "gains."
    )


def published_sources(table: Table) -> list[str]:
    """Who published the figures beside the rows, and how their weights were chosen."""
    titles: dict[str, list[str]] = {}
    for row in table.rows.values():
        if row.published:
            titles.setdefault(row.published.source, []).append(row.title.split(" & ")[0])
    if not titles:
        return []
    sources = "; ".join(f"{source} ({listed(dict.fromkeys(names))})" for source, names in titles.items())
    return [
        f"Published, on the real scans at full resolution: {sources}. Their weights: last, those of the last step; "
        "best on test, those of many that scored best on these test cases, which makes a figure too high; choice "
        "unknown, not told. Ours are the last, unless a row says otherwise." + largest_component(table)
    ]


def largest_component(table: Table) -> str:
    """That some published figures are of the largest component of each mask; nothing where none is."""
    if not any(row.published and row.published.parts == "largest" for row in table.rows.values()):
        return ""
    return " Largest component: all else was removed from their masks. Ours are whole, unless a row says otherwise."


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
            texts.append(f"{row.title}: its runs differ in their options (see table.json): not one method.")
    if len(table.cohort_hash) > 1:
        texts.append("The rows were trained on different data and cannot be compared.")
    return [Remark(text, warning=True) for text in texts]
