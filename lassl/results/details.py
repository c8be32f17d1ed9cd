"""The second part of a results table as Markdown: other measures, failures, variants, sources of variance."""

from collections.abc import Sequence

from lassl.evaluation.summary import POLICIES
from lassl.plumbing.tables import grid, number
from lassl.results.layout import runs
from lassl.results.markdown import paragraph
from lassl.results.measures import DICE, MAIN, MAIN_DISTANCES, OTHERS
from lassl.results.remarks import CASES, Row, Table, failed_cases, tuning_notice


def details(table: Table) -> str:
    """Render the page of details of a table.json."""
    rows = list(table["rows"].values())
    title = f"# Details of the table of profile `{table['profile']}`"
    warnings = map(paragraph, tuning_notice(table))
    parts = [more(rows, CASES[table["scored"]]), failures(rows), variants(rows), variance(rows)]
    return "\n\n".join([title, *warnings, *parts]) + "\n"


def more(rows: Sequence[Row], cases: str) -> str:
    """Other measures of the same masks; `cases` says what kind of cases they are of."""
    lines = []
    for row in rows:
        spreads = [row["more"][measure.key] for measure in OTHERS]
        lines.append([row["title"], *(f"{number(s['mean'])} ± {number(s['std'])}" for s in spreads)])
    return (
        "## More measures\n\n"
        f"Mean ± standard deviation over {cases}. ASSD: both directions. *Larger way*: the larger of the two\n"
        "directions' 95th percentiles, where 95HD pools them. Volume error: signed, of the reference's volume.\n"
        f"{failed_cases(rows)}\n\n"
    ) + grid(["Method", *(measure.heading for measure in OTHERS)], lines)


def failures(rows: Sequence[Row]) -> str:
    """Distances under the three policies for empty predictions."""
    heads = [f"{measure.name}: {policy.heading}" for measure in MAIN_DISTANCES for policy in POLICIES.values()]
    lines = []
    for row in rows:
        distances = [row["failures"][policy][measure.key] for measure in MAIN_DISTANCES for policy in POLICIES]
        lines.append([row["title"], str(row["failed"]), *map(number, distances)])
    return (
        "## Failures under three policies\n\n"
        "Mean ASD and 95HD in voxels when an empty prediction is left out, counts with the diagonal of its volume (no\n"
        "distance is larger), or counts 0, the best value there is: a flaw of older code, shown to be recognised.\n\n"
    ) + grid(["Method", "failed", *heads], lines)


def variants(rows: Sequence[Row]) -> str:
    """Scores of every network and their ensemble, with all parts and the largest."""
    lines = []
    for row in rows:
        for name, means in row["variants"].items():
            lines.append([row["title"], name, *(number(means[measure.key]) for measure in MAIN)])
    return (
        "## Networks, ensembles and the largest component\n\n"
        "What the same runs score by another choice of the network, and when only the largest connected part of a\n"
        "mask is kept.\n\n"
    ) + grid(["Method", "network, parts", *(measure.heading for measure in MAIN)], lines)


def variance(rows: Sequence[Row]) -> str:
    """Where the variance of the Dice comes from."""
    sources = ("draw", "seed", "case", "rest")
    lines = []
    for row in rows:
        deviations = [*(row["variance"][DICE.key][source] for source in sources), row["scores"][DICE.key]["std_runs"]]
        lines.append([row["title"], runs(row), *map(number, deviations)])
    return (
        "## Sources of variance\n\n"
        "Standard deviations in percent Dice by source: draws of labeled cases, seeds within a draw, scored cases,\n"
        "and the rest (interaction of case and run). A dash where the runs cannot tell; with one seed for each draw\n"
        "the seed's part is in the draw's, with one run the rest is in the case's. Last column: standard deviation of\n"
        "the runs' means.\n\n"
    ) + grid(["Method", "runs", *sources, "runs' means"], lines)
