"""Gathers what is known of a profile's runs and writes it as one page, which loads nothing from elsewhere."""

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
from lassl.plumbing.files import whole_folder
from lassl.report import figures, origin
from lassl.report.cases import extremes, fits, means_of_cases, showable, views
from lassl.results.layout import layout, read_table
from lassl.results.measures import MAIN
from lassl.results.runs import Result, by_method, read_results

HERE = Path(__file__).parent
SIDES = {"L": "left", "R": "right", "P": "back", "A": "front", "S": "head", "I": "feet"}
Groups = Mapping[str, Sequence[Result]]  # by method


def report(profile: str, prepared: Path) -> Path:
    """Write report/<profile>/index.html from the profile's runs and the prepared folder. Raises LasslError."""
    text = render(gather(profile, prepared))
    page = report_page(profile)
    with whole_folder(page.parent) as temporary:
        (temporary / page.name).write_text(text, encoding="utf-8")
    return page


def gather(profile: str, folder: Path) -> dict[str, Any]:
    """All that the template shows; `data` is what the page's script needs. Raises LasslError."""
    results, table = read_results(profile), read_table(profile)
    titles = {method: row["title"] for method, row in table["rows"].items()}
    groups = by_method(results, list(titles))
    prepared = open_prepared(folder) if (folder / MANIFEST).is_file() else None
    shown = [] if prepared is None else showable(titles, groups, prepared)
    trained = [r for group in groups.values() for r in group if r.names.curves.is_dir()]
    names, methods = [r.names.name for r in trained], [r.record.method for r in trained]
    data = {
        "strips": strips(titles, groups),
        "curves": figures.curves({r.names.name: read_curves(r.names.curves) for r in trained}, methods),
        "cases": [] if prepared is None or not shown else views(shown, extremes(groups), prepared),
        "scene": figures.surface_layout(),
    }
    return {
        "profile": profile,
        "synthetic": table["statistics"]["scans"] == "synthetic",
        "cohort": table["cohort"],
        "published": any(row["published"] for row in table["rows"].values()),
        "sides": [] if prepared is None else sides(prepared),
        "table": layout(table),
        "cases": sorted(set(results[0].cases["case"])),
        "legend": list(zip(names, figures.styles(methods), strict=True)),
        "shown": shown,
        "without_curves": [r.names.name for r in results if not r.names.curves.is_dir()],
        "without_masks": without_masks(results, prepared),
        "commit": origin.commit(),
        "prepared": prepared,
        "runs": origin.run_lines(results),
        "records": {r.names.name: record_text(r.record) for r in results},
        "data": data,
    }


def sides(prepared: Prepared) -> list[str]:
    """The patient's sides that the axes of the first case run towards."""
    return [SIDES[letter] for letter in orientation(prepared.geometry(next(iter(prepared.cases))))]


def strips(titles: Mapping[str, str], groups: Groups) -> list[figures.Figure]:
    """The figures of the headline scores by case."""
    strips = []
    for measure in MAIN:
        means = {titles.get(m, m): means_of_cases(group, measure.column) for m, group in groups.items()}
        strips.append(figures.strips(means, measure.heading))
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


def render(content: Mapping[str, Any]) -> str:
    """Fill the template; style, script and plotly are written into the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    inlined = {name: Markup((HERE / f"page.{name}").read_text(encoding="utf-8")) for name in ("css", "js")}
    return environment.get_template("page.html.j2").render(**content, **inlined, plotly=Markup(get_plotlyjs()))
