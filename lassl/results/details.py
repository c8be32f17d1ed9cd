"""The second part of a results table as Markdown: further tests, other measures, failures, variants, variances."""

from collections.abc import Sequence

from lassl.evaluation.summary import POLICIES
from lassl.plumbing.tables import grid, interval, number, probability
from lassl.results.comparisons import CLIP
from lassl.results.document import Row, Table, TwoWayTest
from lassl.results.layout import p_value, runs
from lassl.results.markdown import paragraph
from lassl.results.measures import DICE, LOGIT_DICE, MAIN, MAIN_DISTANCES, OTHERS
from lassl.results.remarks import CASES, TWO_WAY, failed_cases, tuning_notice


def details(table: Table) -> str:
    """Render the page of details of a table."""
    rows = list(table.rows.values())
    title = f"# Details of the table of profile `{table.profile}`"
    warnings = map(paragraph, tuning_notice(table))
    parts = [
        *tests(table),
        *structures(rows),
        more(rows, CASES[table.scored]),
        failures(rows),
        variants(rows),
        variance(rows),
    ]
    return "\n\n".join([title, *warnings, *parts]) + "\n"


def tests(table: Table) -> list[str]:
    """Tests against each baseline: over trainings and patients if there are pairs, and over patients alone."""
    parts = []
    for key, baseline in table.references.items():
        others = [row for row in table.rows.values() if row is not baseline]
        if any(row.compared[key][DICE.key].trainings for row in others):
            parts.append(over_trainings(key, baseline, others))
        if others:
            parts.append(over_patients(key, baseline, others))
    return parts


def over_trainings(key: str, baseline: Row, others: Sequence[Row]) -> str:
    """The two-way tests by every score."""
    measures = (*MAIN, LOGIT_DICE)
    lines = []
    for row in others:
        found = [row.compared[key][measure.key].trainings for measure in measures]
        cells = [uncorrected(test) if test else "-" for test in found]
        lines.append([row.title, str(row.compared[key][DICE.key].pairs), *cells])
    return (
        f"## For new trainings and new patients: against {baseline.title}\n\n"
        "Mean difference, 95 % interval and uncorrected p-value, in which\n"
        f"{TWO_WAY}.\n"
        "All scores except Dice are secondary. Logit Dice is computed from Dice clipped to "
        f"[{CLIP}, {1 - CLIP}].\n"
        "Distances are over the cases that have one in every pair.\n\n"
    ) + grid(["Method", "pairs", *(measure.heading for measure in measures)], lines)


def uncorrected(test: TwoWayTest) -> str:
    """A two-way test in a cell."""
    between = interval(test.low, test.high, "+")
    return f"{number(test.difference, '+')} {between}, p {probability(test.p_value)}"


def over_patients(key: str, baseline: Row, others: Sequence[Row]) -> str:
    """The signed-rank tests over the cases."""
    lines = []
    for row in others:
        found = [row.compared[key][measure.key] for measure in MAIN]
        dice, test = found[0], found[0].patients
        cells = [number(dice.difference, "+"), interval(test.low, test.high, "+"), p_value(test.p_value)]
        lines.append([row.title, *cells, *(p_value(each.patients.p_holm) for each in found)])
    holm = [f"p, Holm: {measure.name}" for measure in MAIN]
    return (
        f"## For new patients, with these trainings: against {baseline.title}\n\n"
        "Wilcoxon signed-rank tests over cases, Holm-corrected over the rows for each score, and bootstrap intervals\n"
        "over cases. **They take the trainings as fixed and say nothing about the methods**: in such a test a row may\n"
        "differ significantly from its own second training.\n\n"
    ) + grid(["Method", f"{DICE.name}, difference", "95 % interval", "p", *holm], lines)


def structures(rows: Sequence[Row]) -> list[str]:
    """The scores of each structure, if there are several."""
    heads, *lines = by_structure(rows)
    if not lines:
        return []
    return [
        "## By structure\n\n"
        "Mean ± standard deviation over the cases whose reference has the structure. *Failed* counts its empty\n"
        "predictions, *absent* the cases whose reference lacks it.\n\n" + grid(heads, lines)
    ]


def by_structure(rows: Sequence[Row]) -> list[list[str]]:
    """Heads, and a line for each row and structure; no line where there is one structure."""
    lines = [["Method", "structure", *(measure.heading for measure in MAIN), "failed", "absent"]]
    for row in rows:
        for name, found in (row.structures or {}).items():
            scores = [found.scores[measure.key] for measure in MAIN]
            cells = [f"{number(score.mean)} ± {number(score.std)}" for score in scores]
            lines.append([row.title, name, *cells, str(found.failed), str(found.absent)])
    return lines


def more(rows: Sequence[Row], cases: str) -> str:
    """Other measures of the same masks; `cases` names the kind of the scored cases."""
    lines = []
    for row in rows:
        found = [row.more[measure.key] for measure in OTHERS]
        lines.append([row.title, *(f"{number(values.mean)} ± {number(values.std)}" for values in found)])
    return (
        "## More measures\n\n"
        f"Mean ± standard deviation over {cases}. ASSD averages both directions. *Larger direction* is the larger of\n"
        "the two directions' 95th percentiles; 95HD pools both directions. Volume error is signed and relative to the\n"
        "volume of the reference.\n"
        f"{failed_cases(rows)}\n\n"
    ) + grid(["Method", *(measure.heading for measure in OTHERS)], lines)


def failures(rows: Sequence[Row]) -> str:
    """Distances under the three policies for empty predictions."""
    heads = [f"{measure.name}: {policy.heading}" for measure in MAIN_DISTANCES for policy in POLICIES.values()]
    lines = []
    for row in rows:
        distances = [row.failures[policy][measure.key] for measure in MAIN_DISTANCES for policy in POLICIES]
        lines.append([row.title, str(row.failed), *map(number, distances)])
    return (
        "## Failures under three policies\n\n"
        "Mean ASD and 95HD in voxels if an empty prediction is left out, counts as the diagonal of its volume (the\n"
        "largest possible distance), or counts as 0. The last is the best possible value: a flaw of older code, shown\n"
        "so that you can recognize it.\n\n"
    ) + grid(["Method", "failed", *heads], lines)


def variants(rows: Sequence[Row]) -> str:
    """Scores of every network and of their ensemble, with whole masks and with the largest component alone."""
    lines = []
    for row in rows:
        for name, means in row.variants.items():
            lines.append([row.title, name, *(number(means[measure.key]) for measure in MAIN)])
    return (
        "## Networks, ensembles and the largest component\n\n"
        "Scores of the same runs with each choice of network, and with only the largest connected component of each\n"
        "mask.\n\n"
    ) + grid(["Method", "network, parts", *(measure.heading for measure in MAIN)], lines)


def variance(rows: Sequence[Row]) -> str:
    """The sources of the variance of Dice."""
    lines = []
    for row in rows:
        found = row.variance[DICE.key]
        deviations = (found.label_split, found.seed, found.case, found.rest, row.scores[DICE.key].std_runs)
        lines.append([row.title, runs(row), *map(number, deviations)])
    return (
        "## Sources of variance\n\n"
        "Standard deviations in percent Dice by source: label splits, seeds within a label split, scored cases, and\n"
        "the rest (interaction of case and run). A dash means that the runs cannot separate this source. With one\n"
        "seed per label split, the variance of seeds is part of that of label splits; with one run, the rest is part\n"
        "of that of cases. Last column: standard deviation of the runs' means.\n\n"
    ) + grid(["Method", "runs", "label split", "seed", "case", "rest", "runs' means"], lines)
