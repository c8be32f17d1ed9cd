"""The synthetic cohort: phantoms of a left atrium in late-gadolinium MRI, in the challenge's layout.

Anatomy is drawn in coordinates of its own: x to the patient's left, y to the back, z to the head; the origin is the
atrium's centre and 1 is half the volume's width along x. Each case poses, scales and bends these coordinates at random.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from lassl.images.geometry import Box, Geometry, Triple, Volume
from lassl.images.volumes import write_volume
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole_folder
from lassl.plumbing.progress import bar
from lassl.seeds import stream

Field = NDArray[np.float32]  # (X, Y, Z), or (3, X, Y, Z) for coordinates
Mask = NDArray[np.bool_]  # (X, Y, Z)
Point = NDArray[np.float64]  # (3,)

GEOMETRY = Geometry(spacing_mm=(0.625, 0.625, 0.625))
HALF_WIDTH = np.array([1.0, 0.9, 0.5])  # of the volume, in anatomical units before the pose
BEND = 0.07  # standard deviation of the coordinates' random bending
CHAMBERS = (  # centre, radii
    ((-0.52, -0.32, -0.05), (0.36, 0.34, 0.4)),  # right atrium
    ((-0.1, -0.75, -0.2), (0.45, 0.32, 0.34)),  # right ventricle
)
ARTERIES = (  # start, end, radius
    ((-0.05, -0.45, 0), (-0.15, -0.5, 0.8), 0.14),  # ascending aorta
    ((0.35, -0.6, 0.3), (-0.8, 0, 0.42), 0.13),  # pulmonary artery
    ((0.2, 0.55, -1), (0.2, 0.55, 1), 0.13),  # descending aorta
)
EARLY_SCANS = 0.2  # share of cases in which other blood is as bright as the atrium's: brightness tells nothing there
CLOSE = 0.2  # distances beyond a structure are known up to here
FAR = np.float32(9)  # and are this elsewhere


@dataclass(frozen=True)
class Space:
    """Anatomical coordinates (3, X, Y, Z) of each voxel, and the pose they came from."""

    p: Field
    turn: Rotation
    shift: Point
    scale: float

    def box(self, points: NDArray[np.float64], reach: float) -> Box:
        """Voxels that may lie within `reach` of the points (N, 3), and those close to them, to compute on no others."""
        size = np.array(self.p.shape[1:])
        placed = self.turn.inv().apply(points) * self.scale + self.shift
        margin = (reach + CLOSE + 4 * BEND) * self.scale
        low = ((placed.min(0) - margin) / HALF_WIDTH + 1) / 2 * size
        high = ((placed.max(0) + margin) / HALF_WIDTH + 1) / 2 * size + 1
        first, last = (np.clip(edge, 0, size).astype(int).tolist() for edge in (low, high))
        return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])

    def empty(self) -> Field:
        """A distance field without any structure."""
        return np.full(self.p.shape[1:], FAR, np.float32)


def draw_phantom(size: Triple, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Mask]:
    """Draw one case: image (X, Y, Z) in 0..255 and the label of the atrium's blood pool (X, Y, Z).

    The label is one connected piece, clear of the volume's sides in x and y; all lengths scale with the size.
    Raises LasslError if a side is shorter than 16 voxels.
    """
    if min(size) < 16:
        raise LasslError(
            f"params.yaml: phantom.size: found {size}, expected 16 voxels or more along each axis: enlarge it"
        )
    while True:  # an atrium that leaves the field of view is drawn again
        space = _space(size, rng)
        body, normal = _body(space, rng)
        pool, label = _atrium(space, body, rng)
        if _is_clear(label):
            break
    ideal = _paint(space, pool, normal, rng)
    return _acquire(ideal, rng), label


def phantom(cases: Sequence[str], folder: Path, size: Triple, seed: int) -> None:
    """Write `<folder>/<case>/lgemri.nrrd` and `laendo.nrrd` for each case, on all cores; the folder is whole or absent.

    A case depends on the seed, its name and the size only, not on its place in the list or on the number of cores.
    """
    with whole_folder(folder) as temporary, ProcessPoolExecutor() as pool:
        work = pool.map(partial(_write_case, folder=temporary, size=size, seed=seed), cases)
        for _ in bar(work, "phantoms", "case", len(cases)):
            pass


def _write_case(case: str, folder: Path, size: Triple, seed: int) -> None:
    image, label = draw_phantom(size, stream(seed, "phantom", case))
    write_volume(folder / case / "lgemri.nrrd", Volume(image, GEOMETRY))
    write_volume(folder / case / "laendo.nrrd", Volume(label.astype(np.uint8) * 255, GEOMETRY))


def _smooth(size: Triple, waves: int, rng: np.random.Generator) -> Field:
    """A random field of unit variance with at most `waves` half-waves along x and y, half as many along z."""
    coarse = rng.standard_normal((waves, waves, max(2, waves // 2))).astype(np.float32)
    coarse[0, 0, 0] = 0  # no constant part
    field = fft.idctn(coarse, s=size, norm="ortho")
    return np.asarray(field / field.std(), np.float32)


def _space(size: Triple, rng: np.random.Generator) -> Space:
    """Coordinates of a case: random pose and size, then a smooth random bending."""
    turn = Rotation.from_euler("zyx", rng.uniform(-1, 1, 3) * (25, 12, 15), degrees=True)
    shift, scale = rng.uniform(-1, 1, 3) * (0.14, 0.14, 0.06), rng.uniform(0.82, 1.18)
    axes = [((np.arange(n) + 0.5) / n * 2 - 1) * half for n, half in zip(size, HALF_WIDTH, strict=True)]
    u = np.stack(np.meshgrid(*axes, indexing="ij")) - shift[:, None, None, None]  # (3, X, Y, Z)
    p = np.tensordot(turn.as_matrix() / scale, u, 1).astype(np.float32)
    return Space(p + BEND * np.stack([_smooth(size, 4, rng) for _ in range(3)]), turn, shift, scale)


def _blob(space: Space, into: Field, centre: Point, radii: Point) -> None:
    """Add an ellipsoid to a distance field."""
    box = space.box(centre[None], float(radii.max()))
    q = (space.p[:, *box] - _column(centre)) / _column(radii)
    distance = (np.sqrt(np.einsum("ixyz,ixyz->xyz", q, q)) - 1) * np.float32(radii.prod() ** (1 / 3))
    into[box] = np.minimum(into[box], distance)


def _tube(space: Space, into: Field, start: Point, end: Point, sag: Point, radius: float | Field) -> None:
    """Add a tube that leaves the straight line by `sag` at its end; its radius may differ from voxel to voxel."""
    box = space.box(np.stack([start, end, end + sag]), float(np.max(radius)))
    q, axis = space.p[:, *box] - _column(start), end - start
    t = np.clip(np.tensordot((axis / (axis @ axis)).astype(np.float32), q, 1), 0, 1)  # 0 at the start, 1 at the end
    q = q - _column(axis) * t - _column(sag) * t**2
    distance = np.sqrt(np.einsum("ixyz,ixyz->xyz", q, q)) - (radius if isinstance(radius, float) else radius[box])
    into[box] = np.minimum(into[box], distance)


def _column(point: Point) -> Field:
    return point.astype(np.float32)[:, None, None, None]


def _body(space: Space, rng: np.random.Generator) -> tuple[Field, Point]:
    """Distance to the atrium's body, an uneven ellipsoid cut flat at the mitral valve, and the valve's centre."""
    radii = rng.uniform((0.38, 0.25, 0.25), (0.56, 0.38, 0.36))
    normal = np.array([0.5, -0.7, -0.45]) + rng.uniform(-0.2, 0.2, 3)
    normal /= np.linalg.norm(normal)
    height = rng.uniform(0.7, 0.9) * np.linalg.norm(radii * normal)
    body = space.empty()
    _blob(space, body, np.zeros(3), radii)
    body += 0.04 * _smooth(body.shape, 8, rng)
    plane = np.tensordot(normal.astype(np.float32), space.p, 1) - np.float32(height)
    return np.maximum(body, plane), normal * height


def _atrium(space: Space, body: Field, rng: np.random.Generator) -> tuple[Field, Mask]:
    """Distance to the whole blood pool with all of its veins, and the label, whose veins end near the body."""
    pool, label = body.copy(), body < 0
    funnel = 1 + 0.6 * np.exp(-np.clip(body, 0, 1) / np.float32(0.1))  # veins widen towards the body
    for side, level in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        if rng.random() < 0.1:  # a vein that is missing, as where two share a trunk
            continue
        start = np.array([side * 0.15, 0.05, level * 0.08]) + rng.uniform(-0.05, 0.05, 3)
        end = np.array([side, 0.25 - 0.15 * level, level * 0.22]) + rng.uniform(-0.2, 0.2, 3)
        radius, vein = rng.uniform(0.055, 0.1), space.empty()
        _tube(space, vein, start, end, rng.uniform(-0.15, 0.15, 3), radius * funnel)
        if rng.random() < 0.4:  # an early branch
            fork = start + rng.uniform(0.4, 0.6) * (end - start)
            _tube(space, vein, fork, end + rng.uniform(-0.3, 0.3, 3), np.zeros(3), 0.8 * radius)
        np.minimum(pool, vein, out=pool)
        label |= (vein < 0) & (body < 2 * radius)  # the ostium: one diameter beyond the body
    appendage = space.empty()
    start = np.array([0.25, -0.1, 0.1]) + rng.uniform(-0.06, 0.06, 3)
    end = start + np.array([0.28, -0.3, 0.12]) + rng.uniform(-0.12, 0.12, 3)
    _tube(space, appendage, start, end, rng.uniform((-0.3, -0.1, 0), (0, 0, 0.2)), rng.uniform(0.07, 0.12))
    appendage += 0.02 * _smooth(body.shape, 16, rng)
    pieces, _ = ndimage.label(label | (appendage < 0))
    return np.minimum(pool, appendage), pieces == np.bincount(pieces.ravel())[1:].argmax() + 1


def _is_clear(label: Mask) -> bool:
    """Whether a label keeps a sixteenth of the volume clear at the sides in x and y."""
    x, y = label.shape[0] // 16, label.shape[1] // 16
    return int(label[x:-x, y:-y].sum()) == int(label.sum())


def _paint(space: Space, pool: Field, valve: Point, rng: np.random.Generator) -> Field:
    """The noiseless image: tissues over one another, back to front; the atrium's blood is 1."""
    muscle, wall = rng.uniform(0.15, 0.5), rng.uniform(0.05, 0.09)
    image = _chest(space, muscle, rng)
    ventricle, others = _heart(space, valve, rng)
    image[np.minimum.reduce([ventricle, *others]) < wall] = muscle
    early = rng.random() < EARLY_SCANS
    timing = rng.uniform(*((1.0, 1.3) if early else (0.4, 0.75)))  # how bright the contrast agent leaves other blood
    for blood in others:
        image[blood < 0] = timing * rng.uniform(0.9, 1.1)
    enhanced = _smooth(image.shape, 10, rng) > rng.uniform(0.5, 1.5)
    scar, healthy = rng.uniform(1.05, 1.45), muscle * rng.uniform(0.6, 1)
    image[pool < wall] = np.where(enhanced, scar, healthy)[pool < wall]
    image[ventricle < 0] = timing * rng.uniform(0.9, 1.1)  # after the wall: the mitral valve is open
    image[pool < 0] = 1
    return image


def _chest(space: Space, muscle: float, rng: np.random.Generator) -> Field:
    """An image of what lies around the heart: soft tissue, lungs with vessels, spine with its bright rim."""
    size, lungs, spine = space.p.shape[1:], space.empty(), space.empty()
    for side in (-1, 1):
        _blob(space, lungs, _near((side, 0.3, 0.1), rng), _about((0.42, 0.6, 1.2), rng))
    _blob(space, spine, _near((-0.12, 0.75, 0), rng), _about((0.24, 0.22, 2), rng))
    image = muscle * (0.8 + 0.12 * _smooth(size, 24, rng))
    vessels = _smooth(size, 32, rng) > 1.7
    image[lungs < 0] = np.where(vessels, 0.7, 0.12)[lungs < 0]
    image[spine < 0.03] = 0.9 * muscle
    image[spine < 0] = 0.4 * muscle
    return image


def _heart(space: Space, valve: Point, rng: np.random.Generator) -> tuple[Field, list[Field]]:
    """Distances to the left ventricle, behind the valve, and to each other pool of blood around the atrium."""
    ventricle = space.empty()
    outwards = valve / np.linalg.norm(valve)
    _blob(space, ventricle, _near(valve + 0.22 * outwards, rng), _about((0.34, 0.36, 0.34), rng))
    others = []
    for centre, radii in CHAMBERS:
        others.append(space.empty())
        _blob(space, others[-1], _near(centre, rng), _about(radii, rng))
    for start, end, radius in ARTERIES:
        others.append(space.empty())
        _tube(space, others[-1], _near(start, rng), _near(end, rng), np.zeros(3), radius * rng.uniform(0.85, 1.15))
    return ventricle, others


def _near(point: Sequence[float] | Point, rng: np.random.Generator) -> Point:
    return np.array(point) + rng.uniform(-0.08, 0.08, 3)


def _about(radii: Sequence[float], rng: np.random.Generator) -> Point:
    return np.array(radii) * rng.uniform(0.8, 1.2, 3)


def _acquire(ideal: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scan of a noiseless image: partial volume, uneven coil sensitivity, Rician noise, 8 bits."""
    coil = np.exp(rng.uniform(0.05, 0.4) * _smooth(ideal.shape, 3, rng))
    signal = ndimage.gaussian_filter(ideal, rng.uniform(0.4, 1)) * coil
    noise = rng.uniform(0.03, 0.12) * rng.standard_normal((2, *ideal.shape), np.float32)
    magnitude = ndimage.gaussian_filter(np.hypot(signal + noise[0], noise[1]), 0.4)  # scanners interpolate
    return np.clip(magnitude * rng.uniform(70, 180), 0, 255).astype(np.uint8)
