"""Gathers what is known of a profile's runs and writes it as one page, which loads nothing from elsewhere."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from lassl.data.prepared import MANIFEST, Prepared, open_prepared
from lassl.images.geometry import orientation
from lassl.model.record import record_text
from lassl.paths import report_page
from lassl.plumbing.files import holds, whole_folder
from lassl.report import figures, origin, structures
from lassl.report.cases import Shown, extremes, fits, means_of_cases, showable, views
from lassl.report.colors import DARK, LIGHT, variables
from lassl.report.columns import columns
from lassl.report.forest import HEADINGS, NARROW, WIDE, forest
from lassl.results.details import by_structure
from lassl.results.document import REFERENCES, Table, read_table
from lassl.results.layout import layout
from lassl.results.measures import MAIN
from lassl.results.remarks import CASES, tuning_notice
from lassl.results.runs import Result, by_method, read_results

HERE = Path(__file__).parent
SIDES = {"L": "left", "R": "right", "P": "back", "A": "front", "S": "head", "I": "feet"}
FIELD_FIRST = 5  # rows of the field that are shown before others are chosen
Groups = Mapping[str, Sequence[Result]]  # by method


def report(profile: str, prepared: Path, tuning: int = 0) -> Path:
    """Write report/<profile>/index.html from the profile's runs and the prepared folder. Raises LasslError.

    `tuning`: how many training cases were scored in the place of the test cases, if any.
    """
    text = render(gather(profile, prepared, tuning))
    page = report_page(profile)
    with whole_folder(page.parent, holds(page.name)) as temporary:
        (temporary / page.name).write_text(text, encoding="utf-8")
    return page


def gather(profile: str, folder: Path, tuning: int = 0) -> dict[str, Any]:
    """All that the template shows; `data` is what the page's script needs. Raises LasslError."""
    results, table = read_results(profile), read_table(profile)
    titles = {name: row.title for name, row in table.rows.items()}
    styles = {name: figures.style(n) for n, name in enumerate(titles)}
    first = shown_first(table)
    groups = by_method(results, list(titles))
    prepared = open_prepared(folder, tuning) if (folder / MANIFEST).is_file() else None
    shown = [] if prepared is None else showable(titles, groups, first, prepared)
    trained = [r for group in groups.values() for r in group if r.names.curves.is_dir()]
    curves = {r.names.name: read_curves(r.names.curves) for r in trained}
    views_of = views(shown, extremes(groups), prepared) if prepared and shown else []
    data = {
        "profile": profile,
        "rows": titles,
        "styles": styles,
        "strips": strips(titles, groups, styles),
        "curves": figures.curves(curves, [r.record.method for r in trained], styles),
        "cases": [{"case": view["case"], "rank": view["rank"]} for view in views_of],
        "scene": figures.surface_layout(),
        **of_structures(table, groups, styles),
    }
    return {
        "synthetic": table.statistics.scans == "synthetic",
        "tuning": [remark.text for remark in tuning_notice(table)],
        "kind": CASES[table.scored],
        "cohort": table.cohort,
        "sides": [] if prepared is None else sides(prepared),
        "forests": [Markup(forest(table, variables(), size)) for size in (WIDE, NARROW)],
        "table": columns(table),
        "told": layout(table),
        "groups": {group: HEADINGS[group] for group in dict.fromkeys(row.group for row in table.rows.values())},
        "first": first,
        "cases": sorted(set(results[0].cases["case"])),
        "drawn": list(dict.fromkeys(r.record.method for r in trained)),
        "shown": shown,
        "without_curves": [r.names.name for r in results if not r.names.curves.is_dir()],
        "without_masks": without_masks(results, prepared),
        "without_uncertainty": without_uncertainty(shown),
        "commit": origin.commit(),
        "prepared": prepared,
        "runs": origin.run_lines(results),
        "records": {r.names.name: record_text(r.record) for r in results},
        "data": data,
        "views": views_of,
    }


def of_structures(table: Table, groups: Groups, styles: figures.Styles) -> dict[str, Any]:
    """What the page shows besides where there are several structures: their colors and their own scores."""
    rows = list(table.rows.values())
    names, titles = list(rows[0].structures or {}), {name: row.title for name, row in table.rows.items()}
    if not names:
        return {}
    return {
        "by_structure": by_structure(rows),
        "structures": structures.colored(names),
        "outlines": structures.outlines(styles),
        "parts": {name: strips(titles, groups, styles, name) for name in names},
    }


def shown_first(table: Table) -> list[str]:
    """The rows that the page shows before others are chosen: all but those of the field beyond its best, and baselines.

    The rows of the field stand in the order of their Dice.
    """
    baselines = [getattr(table.statistics, word) for word in REFERENCES]
    field = [name for name, row in table.rows.items() if row.group == "field" and name not in baselines]
    return [name for name in table.rows if name not in field[FIELD_FIRST:]]


def sides(prepared: Prepared) -> list[str]:
    """The patient's sides that the axes of the first case run towards."""
    return [SIDES[letter] for letter in orientation(prepared.geometry(next(iter(prepared.cases))))]


def strips(
    titles: Mapping[str, str], groups: Groups, styles: figures.Styles, structure: str = ""
) -> list[figures.Figure]:
    """The figures of the summary's scores by case, or of those of one of several structures."""
    strips = []
    for measure in MAIN:
        means = {row: means_of_cases(group, measure.column, structure) for row, group in groups.items()}
        strips.append(figures.strips(means, titles, styles, measure.heading))
    return strips


def read_curves(folder: Path) -> dict[str, "pd.Series[float]"]:
    """What a training logged: quantity -> values by step."""
    tables = {path.stem: pd.read_csv(path, sep="\t", index_col="step") for path in sorted(folder.glob("[!.]*.tsv"))}
    return {name: table[name] for name, table in tables.items()}


def without_masks(results: Sequence[Result], prepared: Prepared | None) -> list[str]:
    """Runs whose masks cannot be shown, each with the reason."""
    reasons = {}
    for r in results:
        if prepared is None:
            reasons[r.names.name] = "the prepared scans are not here"
        elif not fits(r, prepared):
            reasons[r.names.name] = "run on other data than the prepared scans"
        elif not r.names.predictions.is_dir():
            reasons[r.names.name] = "its masks are not here"
    return [f"{name} ({reason})" for name, reason in reasons.items()]


def without_uncertainty(shown: Sequence[Shown]) -> list[str]:
    """Runs whose uncertainty cannot be shown: earlier code predicted their masks, and kept no probability."""
    return [row.result.names.name for row in shown if row.uncertain and not row.probabilities.is_dir()]


def render(content: Mapping[str, Any]) -> str:
    """Fill the template; style, script, plotly and the script's data are written into the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    inlined = {name: Markup((HERE / f"page.{name}").read_text(encoding="utf-8")) for name in ("css", "js")}
    data = json.dumps(content["data"], allow_nan=False, separators=(",", ":"))
    packed = {
        "packed_data": pack(data),
        "packed_views": [pack(json.dumps(view, allow_nan=False, separators=(",", ":"))) for view in content["views"]],
        "packed_plotly": pack(get_plotlyjs()),
        "colors": {"light": Markup(LIGHT.css()), "dark": Markup(DARK.css())},
    }
    return environment.get_template("page.html.j2").render(**content, **inlined, **packed)


def pack(text: str) -> str:
    """A text compressed by gzip, in base64, which the page's script unpacks."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
