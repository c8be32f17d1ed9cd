"""The surface of a mask as a mesh small enough for a page, and how far it lies from another mask's surface."""

from dataclasses import dataclass
from itertools import count

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.spatial import KDTree

from lassl.images.geometry import Array

VERTICES = 4000  # at most, of a mesh on the page
AROUND = ((0, 0), (-1, 0), (-1, -1), (0, -1))  # the four cells around an edge, counterclockwise


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3) and triangles (T, 3) of a closed surface; triangles are counterclockwise from outside."""

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]


def surface(field: Array, level: float = 0.5) -> Mesh:
    """Lay a surface through a field (X, Y, Z) at a level above 0; what is outside the field counts as 0.

    Naive surface nets (Gibson 1998): each cell of eight neighbors that the surface passes has one vertex, the mean of
    its crossings with the cell's edges. In voxels; voxel (0, 0, 0) lies at the origin.
    """
    field = np.pad(field.astype(np.float64), 1)
    inside = field > level
    points, quads = [], []
    for axis in range(3):
        step, a, b = (np.roll(np.eye(3, dtype=np.int64)[0], axis + n) for n in range(3))
        edges = np.argwhere(np.diff(inside, axis=axis))
        start, end = field[tuple(edges.T)], field[tuple((edges + step).T)]
        points.append(edges + ((level - start) / (end - start))[:, None] * step)
        cells = [np.ravel_multi_index((edges + i * a + j * b).T, field.shape) for i, j in AROUND]
        quads.append(_outward(np.stack(cells, 1), inside[tuple(edges.T)]))
    corners = np.concatenate(quads)
    _, cell = np.unique(corners, return_inverse=True)
    cell = cell.reshape(corners.shape)
    crossings = np.repeat(np.concatenate(points), 4, axis=0)
    sums = [np.bincount(cell.ravel(), weights=crossings[:, n]) for n in range(3)]
    vertices = np.stack(sums, 1) / np.bincount(cell.ravel())[:, None] - 1
    return Mesh(vertices, np.concatenate([cell[:, [0, 1, 2]], cell[:, [0, 2, 3]]]))


def _outward(quads: NDArray[np.int64], leaving: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Reverse the quads (Q, 4) of the edges that do not leave the inside."""
    return np.where(leaving[:, None], quads, quads[:, ::-1])


def small(mask: Array, vertices: int = VERTICES) -> Mesh:
    """The surface of a mask (X, Y, Z), not empty, in voxels, from means over blocks as large as the limit demands."""
    for block in count(1):
        mesh = surface(block_means(mask, block))
        if len(mesh.vertices) <= vertices:
            return Mesh((mesh.vertices + 0.5) * block - 0.5, mesh.triangles)
    raise AssertionError("one block has few vertices")


def block_means(mask: Array, block: int) -> Array:
    """Share of the mask in blocks of block x block x block voxels; what is missing in the last ones counts as 0.

    Where none is above one half, they are scaled to a largest of 1: something thin stays visible.
    """
    padded = np.pad(mask.astype(np.float64), [(0, -n % block) for n in mask.shape])
    x, y, z = (n // block for n in padded.shape)
    means: Array = padded.reshape(x, block, y, block, z, block).mean((1, 3, 5))
    return means if (means > 0.5).any() else means / means.max()


def distances_mm(mesh: Mesh, reference: Array, spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Distance of each vertex (V,), in voxels, to the reference's surface in mm; negative inside the reference.

    It is the distance to the nearest vertex of the reference's own mesh, at most half a voxel's diagonal too large.
    """
    tree = KDTree(surface(reference).vertices * spacing_mm)
    distance = np.asarray(tree.query(mesh.vertices * spacing_mm)[0])
    share = scipy.ndimage.map_coordinates(reference.astype(np.float64), mesh.vertices.T, order=1)
    signed: NDArray[np.float64] = np.where(share > 0.5, -distance, distance)
    return signed
