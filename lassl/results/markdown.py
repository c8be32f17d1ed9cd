"""The results table as Markdown: the table itself, and a page of details."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
HEADS = {"dice": "Dice [%]", "jaccard": "Jaccard [%]", "asd": "ASD [voxel]", "hd95": "95HD [voxel]"}
MORE = {
    "assd_voxel": "ASSD [voxel]",
    "hd95_max_voxel": "95HD, larger way [voxel]",
    "asd_mm": "ASD [mm]",
    "hd95_mm": "95HD [mm]",
    "assd_mm": "ASSD [mm]",
    "hd95_max_mm": "95HD, larger way [mm]",
    "surface_dice_1mm_percent": "surface Dice at 1 mm [%]",
    "volume_error_percent": "volume error [%]",
}
INTERVAL_AND_TEST = (
    "The interval is of the mean, which a few cases with large differences can move far; the test counts each case by "
    "its rank and sees whether most cases go the same way: one can show a difference where the other shows none."
)
POLICIES = {"excluded": "left out", "diagonal": "volume's diagonal", "zero": "0, as older code does"}


def table(found: Mapping[str, Any]) -> str:
    """Render a table: ours and the published row beside each other, then what a reader has to know about them."""
    rows = found["rows"]
    base = rows.get(found["statistics"]["baseline"])
    against = [f"Dice against {base['title']}"] if base else []
    heads = ["Method", *HEADS.values(), "alike", *against, "P(best)", "failed", "cases"]
    heads += ["labeled + unlabeled", "runs", "steps", "min"]
    lines = []
    for r in rows.values():
        lines += [ours(r, base)] + ([theirs(r, len(heads))] if r["published"] else [])
    return f"{grid(heads, lines)}\n\n{paragraphs(remarks(found))}"


def ours(r: Row, base: Row | None) -> list[str]:
    """Cells of a row of ours: mean, standard deviation over cases, interval of the mean; then what it is worth."""
    title = f"**{r['title']}**" + "".join(f", {e}" for e in r["evaluation"] if e)
    against = [] if base is None else ["baseline" if r is base else difference(r["against_baseline"]["dice"])]
    chance = r.get("probability_of_best", {}).get("dice")
    return [
        title,
        *map(score, r["scores"].values()),
        r["alike"],
        *against,
        number(chance),
        str(r["failed"]),
        str(r["cases"]),
        *trained(r),
    ]


def trained(r: Row) -> list[str]:
    """Cells that tell of a row's trainings, of which nothing is known where its masks were made elsewhere."""
    if not r["runs"]:
        return ["-", runs(r), "-", "-"]
    counts = " + ".join(listed(r[k]) for k in ("labeled", "unlabeled"))
    return [counts, runs(r), listed(r["steps"]), f"{r['training_minutes']:g}"]


def runs(r: Row) -> str:
    """The number of a row's runs, or that they were not ours."""
    return str(len(r["runs"])) if r["runs"] else "external"


def theirs(r: Row, cells: int) -> list[str]:
    """Cells of the published figures under a row of ours."""
    mark = " [1]" if "note" in r["published"] else ""
    figures = [f"{r['published'][k]:g}" for k in HEADS]
    return [f"published{mark}", *figures, *[""] * (cells - 1 - len(figures))]


def score(s: Mapping[str, float | None]) -> str:
    """Mean, standard deviation over cases, interval of the mean."""
    return f"{number(s['mean'])} ± {number(s['std'])} [{number(s['low'])}, {number(s['high'])}]"


def difference(d: Mapping[str, float | None]) -> str:
    """A mean difference with its interval and its adjusted p."""
    low, high = number(d["low"], "+"), number(d["high"], "+")
    return f"{number(d['difference'], '+')} [{low}, {high}], p {probability(d['p_holm'])}"


def number(value: float | None, sign: str = "") -> str:
    """Two decimals, or a dash for an undefined score."""
    return "-" if value is None else f"{round(value, 2) + 0.0:{sign}.2f}"  # + 0.0: no minus before a zero


def probability(p: float | None) -> str:
    """A p-value as it is reported."""
    return "undefined" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def listed(values: Sequence[int]) -> str:
    """The distinct values, joined."""
    return ", ".join(map(str, values))


def grid(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Lay cells out as a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, ["---"] * len(heads), *lines])


def side_by_side(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Mean Dice in percent of the rows that two tables share, by profile, and the second minus the first."""
    first, second = (table["rows"] for table in tables.values())
    lines = []
    for method in [m for m in first if m in second]:
        means = [rows[method]["scores"]["dice"]["mean"] for rows in (first, second)]
        apart = None if None in means else means[1] - means[0]
        lines.append([first[method]["title"], *map(number, means), number(apart, "+")])
    return grid(["Mean Dice [%]", *tables, "difference"], lines)


def paragraphs(lines: Iterable[str]) -> str:
    """Each line as a paragraph."""
    return "\n".join(f"{line}\n" for line in lines)


def remarks(found: Mapping[str, Any]) -> list[str]:
    """What the figures are, and every way in which rows cannot be compared."""
    rows = list(found["rows"].values())
    published = "The published rows are Gupta and Guo's, on the real scans at full resolution."
    source = f" {published}" if any(r["published"] for r in rows) else ""
    lines = [
        f"Profile `{found['profile']}`: cohort `{found['cohort']}`{data(found)}, {scale(found)}, trained on "
        f"{' and '.join(found['devices'])}. Mean ± standard deviation over test cases [95 % bootstrap interval of "
        f"the mean], scored at native resolution; min: minutes of training. {counted(rows)}{source}",
        *compared(rows, found["rows"].get(found["statistics"]["baseline"])),
    ]
    if all(len(r["runs"]) <= 1 for r in rows):
        lines.append("One run of each row: intervals and tests speak of other patients, not of other trainings.")
    if not all(r["runs"] for r in rows):
        lines.append(
            "*external*: masks that were made elsewhere, scored here as one run on the same cases; how they were "
            "trained is not known here. Differences to them are between means over runs, and they have no P(best)."
        )
    if found["missing"]:
        lines.append(f"Not run in this profile: {', '.join(found['missing'])}.")
    return lines + warnings(found) + [f"[1] {note}" for note in found["notes"]]


def data(found: Mapping[str, Any]) -> str:
    """What kind of scans a cohort of ours has, in brackets after its name; nothing for somebody's own."""
    return {"synthetic": " (synthetic phantoms, not patients)", "la2018": " (real scans)"}.get(found["cohort"], "")


def scale(found: Mapping[str, Any]) -> str:
    """The resolution of the volumes that the networks saw."""
    return f"volumes pooled by {found['pool']}" if found["pool"] > 1 else "full resolution"


def compared(rows: Sequence[Row], baseline: Row | None) -> list[str]:
    """What the differences to the baseline, if there are any, the letters and P(best) say, and what they do not."""
    lines, differs = [], ""
    if baseline and len(rows) > 1:
        lines.append(
            f"Dice is the primary score. Differences to {baseline['title']}: paired, with a 95 % bootstrap interval "
            "and the p of a Wilcoxon signed-rank test over the cases. Holm's correction of p is over the rows for Dice "
            "alone; the other scores are secondary, each corrected over the rows by itself (table.json). The intervals "
            f"are not corrected. {INTERVAL_AND_TEST}"
        )
        differs = (
            ", and a larger one, so that a row may share a letter with the baseline though its p tells the two apart"
        )
    return [
        *lines,
        "Rows that share a letter under *alike* cannot be told apart by Dice when every pair is tested (Wilcoxon "
        "signed-rank test over the cases, Holm's correction over all pairs, p ≥ 0.05). The pairs are a family of tests "
        f"of their own{differs}. P(best): share of bootstrap replicates in which the row has the highest mean Dice.",
    ]


def counted(rows: Sequence[Row]) -> str:
    """Tell how failed cases enter the distances."""
    usual = not any("failures" in departure for r in rows for departure in r["evaluation"])
    how = "leave out failed cases" if usual else "count failed cases as each row says, or leave them out"
    return f"Distances {how} (empty predictions), whose number stands under *failed*."


def warnings(found: Mapping[str, Any]) -> list[str]:
    """Give a line for each way in which the settings or the data of rows and runs differ."""
    rows = found["rows"].values()
    lines = []
    for what, key in (("settings", "shared"), ("window strides", "stride")):
        values = [value for r in rows for value in r[key]]
        if any(value != values[0] for value in values):
            lines.append(f"**The rows have different {what} (see table.json) and cannot be compared.**")
    for r in rows:
        if len(r["method"]) > 1 or len(r["evaluation"]) > 1:
            lines.append(f"**{r['title']}: its runs differ in their options (see table.json): not one method.**")
    if len(found["cohort_hash"]) > 1:
        lines.append("**The rows were trained on different data and cannot be compared.**")
    return lines


def details(found: Mapping[str, Any]) -> str:
    """Render the second part: other measures, failures, networks and parts, and where the variance comes from."""
    rows = list(found["rows"].values())
    title = f"# Details of the table of profile `{found['profile']}`"
    return "\n\n".join([title, more(rows), failures(rows), variants(rows), variance(rows)]) + "\n"


def more(rows: Sequence[Row]) -> str:
    """Other measures of the same masks."""
    lines = [[f"{number(r['more'][k]['mean'])} ± {number(r['more'][k]['std'])}" for k in MORE] for r in rows]
    return (
        "## More measures\n\n"
        "Mean ± standard deviation over test cases. ASSD: both directions. *Larger way*: the larger of the two\n"
        "directions' 95th percentiles, where 95HD pools them. Volume error: signed, of the reference's volume.\n"
        f"{counted(rows)}\n\n"
    ) + grid(["Method", *MORE.values()], [[r["title"], *line] for r, line in zip(rows, lines, strict=True)])


def failures(rows: Sequence[Row]) -> str:
    """Distances under the three policies for empty predictions."""
    heads = [f"{measure}: {words}" for measure in ("ASD", "95HD") for words in POLICIES.values()]
    lines = [[number(r["failures"][p][d]) for d in ("asd", "hd95") for p in POLICIES] for r in rows]
    return (
        "## Failures under three policies\n\n"
        "Mean ASD and 95HD in voxels when an empty prediction is left out, counts with the diagonal of its volume (no\n"
        "distance is larger), or counts 0, the best value there is: a flaw of older code, shown to be recognised.\n\n"
    ) + grid(
        ["Method", "failed", *heads],
        [[r["title"], str(r["failed"]), *line] for r, line in zip(rows, lines, strict=True)],
    )


def variants(rows: Sequence[Row]) -> str:
    """Scores of every network and their ensemble, with all parts and the largest."""
    return (
        "## Networks, ensembles and the largest component\n\n"
        "What the same runs score by another choice of the network, and when only the largest connected part of a\n"
        "mask is kept.\n\n"
    ) + grid(
        ["Method", "network, parts", *HEADS.values()],
        [[r["title"], name, *map(number, v.values())] for r in rows for name, v in r["variants"].items()],
    )


def variance(rows: Sequence[Row]) -> str:
    """Where the variance of the Dice comes from."""
    parts = [[*r["variance"]["dice"].values(), r["scores"]["dice"]["std_runs"]] for r in rows]
    return (
        "## Sources of variance\n\n"
        "Standard deviations in percent Dice by source: draws of labeled cases, seeds within a draw, test cases, and\n"
        "the rest (interaction of case and run). A dash where the runs cannot tell; with one seed for each draw the\n"
        "seed's part is in the draw's, with one run the rest is in the case's. Last column: standard deviation of the\n"
        "runs' means.\n\n"
    ) + grid(
        ["Method", "runs", "draw", "seed", "case", "rest", "runs' means"],
        [[r["title"], runs(r), *map(number, p)] for r, p in zip(rows, parts, strict=True)],
    )
