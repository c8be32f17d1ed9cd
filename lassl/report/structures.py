"""One structure or several on the page: their outlines, surfaces and colors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lassl.images.geometry import Array
from lassl.report import figures
from lassl.report.surface import VERTICES, distances_mm, small
from lassl.report.volume import runs

LINES = [dash for dash, _ in figures.LOOKS[1:]]  # of rows, beside the solid line of the reference


def colored(names: Sequence[str]) -> list[dict[str, str]]:
    """The name and color of each of several structures."""
    return [{"name": name, "color": figures.COLORS[n % len(figures.COLORS)]} for n, name in enumerate(names)]


def outlines(styles: figures.Styles) -> figures.Styles:
    """The looks of the rows' outlines where colors tell several structures: lines tell the rows."""
    return {
        row: {**style, "color": "var(--text)", "dash": LINES[n % len(LINES)]}
        for n, (row, style) in enumerate(styles.items())
    }


def encoded(classes: Array, count: int) -> list[Any]:
    """The runs of a mask, from its classes (X, Y, Z); of several structures a list of those of each."""
    found = [runs(classes == index) for index in range(1, count + 1)]
    return found if count > 1 else found[0]


def surfaces(
    reference: Array, masks: Mapping[str, Array], spacing: tuple[float, ...], names: Sequence[str]
) -> tuple[Any, dict[str, Any], list[float]]:
    """The surface of the reference, those of the masks by row, and the reach of each of the latter in mm.

    Both are classes (X, Y, Z). A mask's surface is colored by its distance to the reference; its reach is the 95th
    percentile of them, whatever their sign. An empty mask has no surface. With several structures, a dictionary by
    name is in the place of each surface; a mask has that of a structure only where the reference has it, too.
    """
    ghosts, found, reaches = {}, {row: dict[str, Any]() for row in masks}, []
    vertices = VERTICES // max(1, len(names))
    for index, name in enumerate(names or [""], 1):
        true = reference == index
        if not true.any():
            continue
        ghosts[name] = figures.ghost(small(true, vertices), spacing)
        for row, mask in masks.items():
            if not (mask == index).any():
                continue
            mesh = small(mask == index, vertices)
            distances = distances_mm(mesh, true, spacing)
            found[row][name] = figures.colored_surface(mesh, spacing, distances)
            reaches.append(float(np.percentile(abs(distances), 95)))
    if names:
        return ghosts, found, reaches
    return ghosts[""], {row: each[""] for row, each in found.items() if each}, reaches
