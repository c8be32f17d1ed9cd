"""The figures of the report, as plotly's JSON; the page's script adds the colors of its theme."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lassl.report.surface import Mesh

Figure = dict[str, Any]
Curves = Mapping[str, "pd.Series[float]"]  # quantity -> values by step
# Okabe and Ito's colors for all kinds of sight, without yellow; gray instead of black, for dark pages.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#888888")
DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
SIGNED = [[0, "#0072B2"], [0.5, "#E8E8E8"], [1, "#D55E00"]]  # inside, on, outside the reference
POINTS = 300  # at most, of a line
SMOOTHED = 1 / 40  # of a curve: the window of the moving mean
PANELS = {  # titles of quantities, those to come first in their order
    "loss": "Loss",
    "dice": "Dice of labeled patches",
    "weight": "Weight of the consistency or cross terms",
    "weight_unlabeled": "Weight of the unlabeled cross term",
    "mask_share": "Share of voxels under the uncertainty threshold",
    "agreement": "Agreement of the two networks of CPS (Dice)",
    "learning_rate": "Learning rate",
}


def color(n: int) -> str:
    """Color of the n-th row."""
    return COLORS[n % len(COLORS)]


def strips(scores: Mapping[str, "pd.Series[float]"], label: str) -> Figure:
    """Draw a score of all cases: a strip of points for each row (title), by case, and a bar at its mean.

    A case stands at the same place of every strip. The last line is empty; the script draws the chosen case with it.
    """
    figure = _figure(yaxis={"title": label, "automargin": True}, height=340)
    figure.update_layout(margin={"t": 10})
    for n, (title, values) in enumerate(scores.items()):
        places = n + np.linspace(-0.28, 0.28, len(values)) if len(values) > 1 else [n]
        figure.add_scatter(
            x=[round(float(place), 3) for place in places],
            y=[_defined(value) for value in values],
            customdata=list(values.index),
            name=title,
            mode="markers",
            marker={"color": color(n), "size": 7, "opacity": 0.75},
            hovertemplate=f"%{{customdata}}: %{{y:.2f}}<extra>{title}</extra>",
        )
    for n, values in enumerate(scores.values()):
        bar = {"x": [n - 0.36, n + 0.36], "y": [_defined(values.mean())] * 2, "line": {"color": color(n), "width": 3}}
        figure.add_scatter(**bar, mode="lines", hoverinfo="skip")
    figure.add_scatter(x=[], y=[], mode="lines+markers", marker={"size": 11, "symbol": "circle-open"}, hoverinfo="skip")
    ticks = {"tickvals": list(range(len(scores))), "ticktext": list(scores), "tickangle": -35, "automargin": True}
    figure.update_xaxes(**ticks, zeroline=False, showgrid=False)
    return _plain(figure)


def _defined(value: float) -> float | None:
    """None for a score that is not defined."""
    return None if np.isnan(value) else round(float(value), 4)


def curves(runs: Mapping[str, Curves], rows: Sequence[str]) -> dict[str, Figure]:
    """Draw a panel for each quantity with a line for each run (name), raw values faint and smoothed ones over them.

    `rows` has the row of each run: it gives the color, and the run's place in its row the dash.
    """
    names = list(dict.fromkeys(name for quantities in runs.values() for name in quantities))
    panels = [n for n in PANELS if n in names] + [n for n in names if n not in PANELS]
    return {name: _panel(name, runs, rows) for name in panels}


def styles(rows: Sequence[str]) -> list[dict[str, str]]:
    """Color and dash of each run, whose row is given."""
    order = list(dict.fromkeys(rows))
    seen = [rows[:n].count(row) for n, row in enumerate(rows)]
    return [
        {"color": color(order.index(row)), "dash": DASHES[n % len(DASHES)]} for row, n in zip(rows, seen, strict=True)
    ]


def _panel(name: str, runs: Mapping[str, Curves], rows: Sequence[str]) -> Figure:
    """Two lines for each run that has the quantity; the run's name is the lines' legend group."""
    figure = _figure(xaxis={"title": "step"}, yaxis={"rangemode": "tozero"}, height=260)
    figure.update_layout(title={"text": PANELS.get(name, name.replace("_", " ")), "font": {"size": 14}})
    for (run, quantities), style in zip(runs.items(), styles(rows), strict=True):
        if name not in quantities:
            continue
        raw = quantities[name]
        smooth = raw.rolling(max(1, round(len(raw) * SMOOTHED)), center=True, min_periods=1).mean()
        for values, look, tip in ((raw, {"opacity": 0.25}, "skip"), (smooth, {}, "all")):
            line = {"color": style["color"], "width": 1 if look else 2, "dash": "solid" if look else style["dash"]}
            x, y = thinned(values)
            figure.add_scatter(x=x, y=y, mode="lines", name=run, legendgroup=run, line=line, hoverinfo=tip, **look)
    return _plain(figure)


def thinned(values: "pd.Series[float]", points: int = POINTS) -> tuple[Any, Any]:
    """Evenly chosen steps and their values, the first and the last among them."""
    kept = values.iloc[np.unique(np.linspace(0, len(values) - 1, min(points, len(values))).round().astype(int))]
    return kept.index.to_numpy(np.int32), kept.to_numpy(np.float32)


def colored_surface(mesh: Mesh, spacing_mm: tuple[float, ...], distances: Any) -> Figure:
    """A predicted surface in mm, colored by the distances (V,) of its vertices to the reference in mm."""
    trace = go.Mesh3d(
        **_places(mesh, spacing_mm),
        intensity=distances.astype(np.float32),
        colorscale=SIGNED,
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
    x, y, z = (mesh.vertices * spacing_mm).T.astype(np.float32)
    i, j, k = mesh.triangles.T.astype(np.uint16 if len(mesh.vertices) < 2**16 else np.int32)
    return {"x": x, "y": y, "z": z, "i": i, "j": j, "k": k}


def surface_layout() -> Figure:
    """A scene without axes, equal in all directions, seen along y with z upwards: as a rule from the front."""
    hidden = {"visible": False}
    camera = {"eye": {"x": 0.0, "y": -2.0, "z": 0.4}, "up": {"x": 0, "y": 0, "z": 1}}
    scene = {"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data", "camera": camera}
    figure = _figure(height=460, scene=scene, uirevision="same")
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
