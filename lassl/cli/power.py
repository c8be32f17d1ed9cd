"""`lassl power`: shows which differences a number of trainings can detect, from the runs in metrics/."""

import argparse

from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import grid, interval, number
from lassl.results.comparisons import correct, family, told
from lassl.results.document import Table, read_table
from lassl.results.layout import p_value
from lassl.results.power import Design, design, in_words, to_baseline
from lassl.results.runs import by_method, read_results, whole_pairs
from lassl.settings.config import load
from lassl.statistics.trainings import Values, two_way

PAIRS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30)  # numbers of pairs to report, in addition to the profile's own


def run(arguments: argparse.Namespace) -> int:
    """Print what the profile's trainings can detect; the exit code is 0. Raises LasslError."""
    print(report(arguments.profile or load().name))
    return 0


def report(profile: str) -> str:
    """A profile's noise, its differences, and a line for each number of pairs. Raises LasslError."""
    table = read_table(profile)
    statistics = table.statistics
    results, _ = whole_pairs(read_results(profile), statistics.pairs)
    groups = by_method(results, list(table.rows))
    if untold := [row for row in groups if row not in table.rows]:
        folder = metrics_folder(profile)
        raise LasslError(
            f"{folder / 'table.json'}: found no row for {', '.join(untold)}, expected one for each row with runs in "
            f"{folder / 'records'}; make the table again with `lassl tables {profile}`"
        )
    found = design(groups, statistics)
    differences = to_baseline(groups, statistics)
    one = all(len(group) == 1 for group in groups.values())
    parts = [f"Profile {profile}: {len(groups)} rows, {table.scored_cases} cases.", in_words(found.told(), one)]
    if differences:
        parts += [tested(table, differences, family(groups, "baseline", statistics)), *planned(found)]
    else:
        parts.append("No row shares a label split and seed with the baseline, so nothing can be compared.")
    return "\n\n".join(filter(None, parts))


def tested(table: Table, differences: dict[str, Values], members: list[str]) -> str:
    """The difference of each row to the baseline, with interval and p if it has two or more pairs."""
    tests = {row: two_way(pairs) for row, pairs in differences.items()}
    corrected = correct(tests, members)
    lines = []
    for row, pairs in differences.items():
        test = told(tests[row], corrected.get(row))
        cells = [interval(test.low, test.high, "+"), p_value(test.p_value)] if test else ["-", "-"]
        holm = p_value(test.p_holm) if test and row in corrected else "-"
        lines.append([table.rows[row].title, str(len(pairs)), number(float(pairs.mean()), "+"), *cells, holm])
    heads = [
        f"Dice against {table.rows[table.statistics.baseline].title}",
        "pairs",
        "difference",
        "95 % interval",
        "p",
        "p, Holm",
    ]
    return grid(heads, lines)


def planned(found: Design) -> list[str]:
    """What numbers of pairs can detect, and what they cost."""
    noise = found.noise
    if noise is None:
        return ["What more pairs could detect is unknown, because no row of this scale was trained twice."]
    if found.compared:
        source = f"Between patients, the difference of a case varies by {number(noise.patient)} points (SD)."
    else:
        source = (
            f"The difference between two trainings varies by {number(noise.pair)} points (SD); "
            "what patients add is unknown."
        )
    many = found.family > 1
    lines = []
    for pairs in sorted({*PAIRS, found.pairs}):
        if power := noise.power(pairs, found.family):
            values = [power.half_width, power.smallest]
            if many:
                values.append(power.smallest_in_family)
            values.append(pairs * found.minutes / 60)
            now = f"{pairs} (now)" if pairs == found.pairs else str(pairs)
            lines.append([now, *(number(value, decimals=1) for value in values)])
    heads = ["pairs", "interval ±", "smallest difference, one test"]
    if many:
        heads.append(f"in a family of {found.family}")
    heads.append("hours")
    return [
        f"{source} The smallest difference is the one detected with 80 % power at a level of 5 %.",
        grid(heads, lines),
    ]
