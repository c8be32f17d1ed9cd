"""Shapes of phantoms: random anatomical coordinates, and ellipsoids and tubes as distance fields.

Anatomical coordinates: x to the patient's left, y to the back, z to the head; the origin is the atrium's centre and 1
is half the volume's width along x. Each case poses, scales and bends these coordinates at random. A distance field has
each voxel's distance to the surface of a structure in these units, negative inside.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial.transform import Rotation

from lassl.images.geometry import Box, Triple

Field = NDArray[np.float32]  # (X, Y, Z), or (3, X, Y, Z) for coordinates
Point = NDArray[np.float64]  # (3,)

HALF_WIDTH = np.array([1.0, 0.9, 0.5])  # of the volume, in anatomical units before the pose
BEND = 0.07  # standard deviation of the coordinates' random bending
CLOSE = 0.2  # distances outside a structure are computed up to here
FAR = np.float32(9)  # and have this value elsewhere


@dataclass(frozen=True)
class Space:
    """Anatomical coordinates `p` (3, X, Y, Z) of each voxel, and the pose (rotation, shift, scale) behind them."""

    p: Field
    turn: Rotation
    shift: Point
    scale: float

    def box(self, points: NDArray[np.float64], reach: float) -> Box:
        """The voxels that may lie within `reach` + CLOSE of some points (N, 3): no others need a distance to them."""
        size = np.array(self.p.shape[1:])
        posed = self.turn.inv().apply(points) * self.scale + self.shift
        margin = (reach + CLOSE + 4 * BEND) * self.scale
        low = ((posed.min(0) - margin) / HALF_WIDTH + 1) / 2 * size
        high = ((posed.max(0) + margin) / HALF_WIDTH + 1) / 2 * size + 1
        first, last = (np.clip(edge, 0, size).astype(int).tolist() for edge in (low, high))
        return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])

    def empty(self) -> Field:
        """A distance field (X, Y, Z) without any structure."""
        return np.full(self.p.shape[1:], FAR, np.float32)


def random_space(size: Triple, rng: np.random.Generator) -> Space:
    """Coordinates of a case with `size` voxels: random pose and scale, then a smooth random bending."""
    turn = Rotation.from_euler("zyx", rng.uniform(-1, 1, 3) * (25, 12, 15), degrees=True)
    shift, scale = rng.uniform(-1, 1, 3) * (0.14, 0.14, 0.06), rng.uniform(0.82, 1.18)
    axes = [((np.arange(n) + 0.5) / n * 2 - 1) * half for n, half in zip(size, HALF_WIDTH, strict=True)]
    u = np.stack(np.meshgrid(*axes, indexing="ij")) - shift[:, None, None, None]  # (3, X, Y, Z)
    p = np.tensordot(turn.as_matrix() / scale, u, 1).astype(np.float32)
    return Space(p + BEND * np.stack([smooth_field(size, 4, rng) for _ in range(3)]), turn, shift, scale)


def smooth_field(size: Triple, waves: int, rng: np.random.Generator) -> Field:
    """A random field (X, Y, Z) of unit variance: at most `waves` half-waves along x and y, half as many along z."""
    coarse = rng.standard_normal((waves, waves, max(2, waves // 2))).astype(np.float32)
    coarse[0, 0, 0] = 0  # no constant part
    field = fft.idctn(coarse, s=size, norm="ortho")
    return np.asarray(field / field.std(), np.float32)


def add_ellipsoid(space: Space, into: Field, centre: Point, radii: Point) -> None:
    """Add an ellipsoid to the distance field `into`; its distances are approximate away from the surface."""
    box = space.box(centre[None], float(radii.max()))
    q = (space.p[:, *box] - _column(centre)) / _column(radii)
    distance = (np.sqrt(np.einsum("ixyz,ixyz->xyz", q, q)) - 1) * np.float32(radii.prod() ** (1 / 3))
    into[box] = np.minimum(into[box], distance)


def add_tube(space: Space, into: Field, start: Point, end: Point, sag: Point, radius: float | Field) -> None:
    """Add a tube to the distance field `into`; at its end it deviates from a straight line by `sag`.

    The radius is one number, or one per voxel (X, Y, Z).
    """
    box = space.box(np.stack([start, end, end + sag]), float(np.max(radius)))
    q, axis = space.p[:, *box] - _column(start), end - start
    t = np.clip(np.tensordot((axis / (axis @ axis)).astype(np.float32), q, 1), 0, 1)  # 0 at the start, 1 at the end
    q = q - _column(axis) * t - _column(sag) * t**2
    distance = np.sqrt(np.einsum("ixyz,ixyz->xyz", q, q)) - (radius if isinstance(radius, float) else radius[box])
    into[box] = np.minimum(into[box], distance)


def _column(point: Point) -> Field:
    return point.astype(np.float32)[:, None, None, None]
