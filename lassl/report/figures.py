"""The figures of the report, as plotly's JSON; the page's script adds the colors of its theme."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lassl.report.colors import variables
from lassl.report.surface import Mesh

Figure = dict[str, Any]
Curves = Mapping[str, "pd.Series[float]"]  # quantity -> values by step
Styles = Mapping[str, Mapping[str, str]]  # row -> its `style`
COLORS = variables().rows  # CSS variables, which the page's script reads by its theme
LOOKS = (  # of lines and points: rows with the same color differ by them
    ("solid", "circle"),
    ("dash", "square"),
    ("dot", "diamond"),
    ("dashdot", "triangle-up"),
    ("longdash", "cross"),
    ("longdashdot", "star"),
)
POINTS = 300  # at most, of a line
PANEL_POINTS = 100_000  # at most, of a panel: where it has more than 166 runs, their lines have fewer points
SMOOTHED = 1 / 40  # of a curve: the window of the moving mean
PANELS = {  # titles of quantities, those to come first in their order
    "loss": "Loss",
    "dice": "Dice of labeled patches",
    "weight": "Weight of the consistency or cross terms",
    "weight_unlabeled": "Weight of the unlabeled cross term",
    "mask_share": "Share of voxels in the mask",
    "agreement": "Agreement of two predictions (Dice)",
    "learning_rate": "Learning rate",
    "cross_entropy": "Cross-entropy of labeled patches",
    "dice_loss": "Dice loss of labeled patches",
    "supervised_first": "Supervised loss, first network",
    "supervised_second": "Supervised loss, second network",
    "consistency": "Consistency loss",
    "cross_labeled": "Cross loss of labeled patches",
    "cross_unlabeled": "Cross loss of unlabeled patches",
    "cross_consistency": "Cross consistency of the decoders",
    "mutual": "Mutual loss of the decoders",
    "strong": "Loss of strongly changed patches",
    "kept": "Share of voxels whose pseudo-label is kept",
    "kept_foreground": "The same within the foreground",
}


def style(n: int) -> dict[str, str]:
    """Color, dash and symbol of the n-th row: others than those of the rows before it, as far as they go (42 rows)."""
    dash, symbol = LOOKS[n // len(COLORS) % len(LOOKS)]
    return {"color": COLORS[n % len(COLORS)], "dash": dash, "symbol": symbol}


def strips(scores: Mapping[str, "pd.Series[float]"], titles: Mapping[str, str], styles: Styles, label: str) -> Figure:
    """Draw a score of all cases: a strip of points for each row, by case, and a bar at its mean; `meta` is the row.

    A case stands at the same place of every strip. The last line is empty; the script draws the chosen case with it.
    """
    figure = _figure(yaxis={"title": label, "automargin": True}, height=340)
    figure.update_layout(margin={"t": 10})
    for n, (row, values) in enumerate(scores.items()):
        places = n + np.linspace(-0.28, 0.28, len(values)) if len(values) > 1 else [n]
        figure.add_scatter(
            x=[round(float(place), 3) for place in places],
            y=[_defined(value) for value in values],
            customdata=list(values.index),
            name=titles[row],
            meta=row,
            mode="markers",
            marker={"color": styles[row]["color"], "symbol": styles[row]["symbol"], "size": 7, "opacity": 0.75},
            hovertemplate=f"%{{customdata}}: %{{y:.2f}}<extra>{titles[row]}</extra>",
        )
    for n, (row, values) in enumerate(scores.items()):
        bar = {"x": [n - 0.36, n + 0.36], "y": [_defined(values.mean())] * 2}
        line = {"color": styles[row]["color"], "width": 3}
        figure.add_scatter(**bar, line=line, meta=row, mode="lines", hoverinfo="skip")
    figure.add_scatter(x=[], y=[], mode="lines+markers", marker={"size": 11, "symbol": "circle-open"}, hoverinfo="skip")
    ticks = {"tickvals": list(range(len(scores))), "ticktext": [titles[row] for row in scores]}
    figure.update_xaxes(**ticks, tickangle=-35, automargin=True, zeroline=False, showgrid=False)
    return _plain(figure)


def _defined(value: float) -> float | None:
    """None for a score that is not defined."""
    return None if np.isnan(value) else round(float(value), 4)


def curves(runs: Mapping[str, Curves], rows: Sequence[str], styles: Styles) -> dict[str, Figure]:
    """Draw a panel for each quantity with a line for each run (name), raw values faint and smoothed ones over them.

    `rows` has the row of each run, which gives the line its look and is its `meta`.
    """
    names = list(dict.fromkeys(name for quantities in runs.values() for name in quantities))
    panels = [n for n in PANELS if n in names] + [n for n in names if n not in PANELS]
    return {name: _panel(name, runs, rows, styles) for name in panels}


def _panel(name: str, runs: Mapping[str, Curves], rows: Sequence[str], styles: Styles) -> Figure:
    """Two lines for each run that has the quantity."""
    figure = _figure(xaxis={"title": "step"}, yaxis={"rangemode": "tozero"}, height=260)
    figure.update_layout(title={"text": PANELS.get(name, name.replace("_", " ")), "font": {"size": 14}})
    every = zip(runs.items(), rows, strict=True)
    logged = [(run, quantities[name], row) for (run, quantities), row in every if name in quantities]
    points = min(POINTS, PANEL_POINTS // (2 * len(logged)))
    smooth = {run: smoothed(raw) for run, raw, _ in logged}
    together = coinciding(smooth)
    for run, raw, row in logged:
        behind = next((runs[runs.index(run) + 1 :] for runs in together if run in runs), [])
        thick = 2 + 2 * min(len(behind), 3)  # a line behind others shows on both of their sides
        for values, look, tip in ((raw, {"opacity": 0.25}, "skip"), (smooth[run], {}, "all")):
            dash = "solid" if look else styles[row]["dash"]
            line = {"color": styles[row]["color"], "width": 1 if look else thick, "dash": dash}
            x, y = thinned(values, points)
            figure.add_scatter(x=x, y=y, mode="lines", name=run, meta=row, line=line, hoverinfo=tip, **look)
    figure.update_layout(meta=together)
    return _plain(figure)


def smoothed(raw: "pd.Series[float]") -> "pd.Series[float]":
    """The moving mean of a curve."""
    return raw.rolling(max(1, round(len(raw) * SMOOTHED)), center=True, min_periods=1).mean()


def coinciding(lines: Curves) -> list[list[str]]:
    """The runs whose lines lie on each other, in groups of two or more."""
    groups: dict[bytes, list[str]] = {}
    for run, values in lines.items():
        place = np.concatenate([values.index.to_numpy(np.float64), values.to_numpy(np.float64).round(6)])
        groups.setdefault(place.tobytes(), []).append(run)
    return [group for group in groups.values() if len(group) > 1]


def thinned(values: "pd.Series[float]", points: int) -> tuple[Any, Any]:
    """Evenly chosen steps and their values, the first and the last among them."""
    kept = values.iloc[np.unique(np.linspace(0, len(values) - 1, min(points, len(values))).round().astype(int))]
    return kept.index.to_numpy(np.int32), kept.to_numpy(np.float32)


def colored_surface(mesh: Mesh, spacing_mm: tuple[float, ...], distances: Any) -> Figure:
    """A predicted surface in mm, colored by the distances (V,) of its vertices to the reference in mm."""
    trace = go.Mesh3d(
        **_places(mesh, spacing_mm),
        intensity=_coarse(distances),
        colorbar={"title": "mm", "thickness": 12},
        hovertemplate="%{intensity:.1f} mm<extra></extra>",
        lighting={"ambient": 0.6, "diffuse": 0.6, "specular": 0.1},
    )
    return dict(_plain(go.Figure(trace))["data"][0])


def ghost(mesh: Mesh, spacing_mm: tuple[float, ...]) -> Figure:
    """The reference's surface in mm, translucent."""
    trace = go.Mesh3d(**_places(mesh, spacing_mm), color="#888888", opacity=0.25, hoverinfo="skip")
    return dict(_plain(go.Figure(trace))["data"][0])


def _places(mesh: Mesh, spacing_mm: tuple[float, ...]) -> dict[str, Any]:
    """Vertices and triangles as short numbers."""
    x, y, z = _coarse((mesh.vertices * spacing_mm).T)
    i, j, k = mesh.triangles.T.astype(np.uint16 if len(mesh.vertices) < 2**16 else np.int32)
    return {"x": x, "y": y, "z": z, "i": i, "j": j, "k": k}


def _coarse(lengths_mm: Any) -> Any:
    """Lengths rounded to a 32nd of a mm: their last digits, all zeros, need no room on the page."""
    return (np.round(lengths_mm * 32) / 32).astype(np.float32)


def surface_layout() -> Figure:
    """A scene without axes, equal in all directions, seen along y with z upwards: as a rule from the front."""
    hidden = {"visible": False}
    camera = {"eye": {"x": 0.0, "y": -1.15, "z": 0.25}, "up": {"x": 0, "y": 0, "z": 1}}
    scene = {"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "camera": camera}
    figure = _figure(scene=scene, uirevision="same")
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})
    return dict(_plain(figure)["layout"])


def _figure(**layout: Any) -> Any:
    clear = "rgba(0,0,0,0)"
    margin = {"l": 48, "r": 8, "t": 36, "b": 40}
    looks = {"template": "none", "paper_bgcolor": clear, "plot_bgcolor": clear, "margin": margin}
    return go.Figure(layout=go.Layout(**looks, hovermode="closest", showlegend=False, **layout))


def _plain(figure: Any) -> Figure:
    """Figure as JSON holds it; arrays become base64."""
    content: Figure = figure.to_dict()
    return content
