"""Stage `phantom`: draws the synthetic cohort, left atria in late-gadolinium MRI, in the challenge's layout."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lassl.data.phantom_shapes import Field, Point, Space, add_ellipsoid, add_tube, random_space, smooth_field
from lassl.data.raw import CHALLENGE_SPACING_MM, IMAGE, LABEL, only_phantoms
from lassl.images.geometry import Geometry, Triple, Volume
from lassl.images.volumes import write_volume
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole_folder
from lassl.plumbing.pool import process_pool
from lassl.plumbing.progress import bar
from lassl.seeds import stream

Mask = NDArray[np.bool_]  # (X, Y, Z)

# places and radii in this file are in the anatomical coordinates of lassl/data/phantom_shapes.py
CHAMBERS = (  # centre, radii
    ((-0.52, -0.32, -0.05), (0.36, 0.34, 0.4)),  # right atrium
    ((-0.1, -0.75, -0.2), (0.45, 0.32, 0.34)),  # right ventricle
)
ARTERIES = (  # start, end, radius
    ((-0.05, -0.45, 0), (-0.15, -0.5, 0.8), 0.14),  # ascending aorta
    ((0.35, -0.6, 0.3), (-0.8, 0, 0.42), 0.13),  # pulmonary artery
    ((0.2, 0.55, -1), (0.2, 0.55, 1), 0.13),  # descending aorta
)
STRUCTURES = {"atrium": 1, "left_ventricle": 2, "right_heart": 3}  # values of a label of several
EARLY_SCANS = 0.2  # share of cases in which other blood is as bright as the atrium's, so that brightness is no clue


def phantom(cases: Sequence[str], folder: Path, size: Triple, seed: int, chambers: bool = False) -> None:
    """Write `<folder>/<case>/lgemri.nrrd` and `laendo.nrrd` (0 and 255) for each case; the folder is whole or absent.

    `size` is in voxels. With `chambers`, labels have the values of STRUCTURES. A case depends only on the seed, its
    name and the size, not on its place in the list or on the number of cores; all cores are used. Raises LasslError if
    draw_phantom refuses the size, or if the folder contains anything other than phantoms.
    """
    with whole_folder(folder, only_phantoms) as temporary, process_pool(__name__) as pool:
        work = pool.map(partial(_write_case, folder=temporary, size=size, seed=seed, chambers=chambers), cases)
        for _ in bar(work, "phantoms", "case", len(cases)):
            pass


def _write_case(case: str, folder: Path, size: Triple, seed: int, chambers: bool) -> None:
    image, label = draw_phantom(size, stream(seed, "phantom", case))
    geometry = Geometry(CHALLENGE_SPACING_MM)
    write_volume(folder / case / IMAGE, Volume(image, geometry))
    values = label if chambers else np.uint8(255) * (label == STRUCTURES["atrium"])
    write_volume(folder / case / LABEL, Volume(values, geometry))


def draw_phantom(size: Triple, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one case of `size` voxels: image (X, Y, Z) in 0..255 and the label (X, Y, Z) with the values of STRUCTURES.

    They are pools of blood. The atrium's is one connected piece, clear of the volume's sides in x and y; the others may
    leave the volume. All lengths scale with the size. Raises LasslError if a side is shorter than 16 voxels.
    """
    if min(size) < 16:
        raise LasslError(
            f"params.yaml: phantom.size: found {size}, expected at least 16 voxels along each axis; increase it"
        )
    while True:  # an atrium that leaves the field of view is drawn again
        space = random_space(size, rng)
        body, valve = _body(space, rng)
        pool, atrium = _atrium(space, body, rng)
        if _is_clear(atrium):
            break
    ideal, ventricle, others = _paint(space, pool, valve, rng)
    label = np.zeros(size, np.uint8)
    for distance in others[: len(CHAMBERS)]:
        label[distance < 0] = STRUCTURES["right_heart"]
    label[ventricle < 0] = STRUCTURES["left_ventricle"]
    label[pool < 0] = 0  # the veins that are not of the atrium's label
    label[atrium] = STRUCTURES["atrium"]
    return _acquire(ideal, rng), label


def _body(space: Space, rng: np.random.Generator) -> tuple[Field, Point]:
    """Distance to the atrium's body, an uneven ellipsoid cut flat at the mitral valve, and the valve's centre."""
    radii = rng.uniform((0.38, 0.25, 0.25), (0.56, 0.38, 0.36))
    normal = np.array([0.5, -0.7, -0.45]) + rng.uniform(-0.2, 0.2, 3)
    normal /= np.linalg.norm(normal)
    height = rng.uniform(0.7, 0.9) * np.linalg.norm(radii * normal)
    body = space.empty()
    add_ellipsoid(space, body, np.zeros(3), radii)
    body += 0.04 * smooth_field(body.shape, 8, rng)
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
        add_tube(space, vein, start, end, rng.uniform(-0.15, 0.15, 3), radius * funnel)
        if rng.random() < 0.4:  # an early branch
            fork = start + rng.uniform(0.4, 0.6) * (end - start)
            add_tube(space, vein, fork, end + rng.uniform(-0.3, 0.3, 3), np.zeros(3), 0.8 * radius)
        np.minimum(pool, vein, out=pool)
        label |= (vein < 0) & (body < 2 * radius)  # the ostium: one diameter beyond the body
    appendage = space.empty()
    start = np.array([0.25, -0.1, 0.1]) + rng.uniform(-0.06, 0.06, 3)
    end = start + np.array([0.28, -0.3, 0.12]) + rng.uniform(-0.12, 0.12, 3)
    add_tube(space, appendage, start, end, rng.uniform((-0.3, -0.1, 0), (0, 0, 0.2)), rng.uniform(0.07, 0.12))
    appendage += 0.02 * smooth_field(body.shape, 16, rng)
    pieces, _ = ndimage.label(label | (appendage < 0))
    return np.minimum(pool, appendage), pieces == np.bincount(pieces.ravel())[1:].argmax() + 1


def _is_clear(label: Mask) -> bool:
    """Whether a label keeps a sixteenth of the volume clear at the sides in x and y."""
    x, y = label.shape[0] // 16, label.shape[1] // 16
    return int(label[x:-x, y:-y].sum()) == int(label.sum())


def _paint(space: Space, pool: Field, valve: Point, rng: np.random.Generator) -> tuple[Field, Field, list[Field]]:
    """The noiseless image: tissues over one another, back to front; the atrium's blood is 1.

    Also gives the distances that `_heart` does.
    """
    muscle, wall = rng.uniform(0.15, 0.5), rng.uniform(0.05, 0.09)
    image = _chest(space, muscle, rng)
    ventricle, others = _heart(space, valve, rng)
    image[np.minimum.reduce([ventricle, *others]) < wall] = muscle
    early = rng.random() < EARLY_SCANS
    timing = rng.uniform(*((1.0, 1.3) if early else (0.4, 0.75)))  # how bright the contrast agent leaves other blood
    for blood in others:
        image[blood < 0] = timing * rng.uniform(0.9, 1.1)
    enhanced = smooth_field(image.shape, 10, rng) > rng.uniform(0.5, 1.5)
    scar, healthy = rng.uniform(1.05, 1.45), muscle * rng.uniform(0.6, 1)
    image[pool < wall] = np.where(enhanced, scar, healthy)[pool < wall]
    image[ventricle < 0] = timing * rng.uniform(0.9, 1.1)  # after the wall: the mitral valve is open
    image[pool < 0] = 1
    return image, ventricle, others


def _chest(space: Space, muscle: float, rng: np.random.Generator) -> Field:
    """An image of what lies around the heart: soft tissue, lungs with vessels, spine with its bright rim."""
    size, lungs, spine = space.p.shape[1:], space.empty(), space.empty()
    for side in (-1, 1):
        add_ellipsoid(space, lungs, _near((side, 0.3, 0.1), rng), _about((0.42, 0.6, 1.2), rng))
    add_ellipsoid(space, spine, _near((-0.12, 0.75, 0), rng), _about((0.24, 0.22, 2), rng))
    image = muscle * (0.8 + 0.12 * smooth_field(size, 24, rng))
    vessels = smooth_field(size, 32, rng) > 1.7
    image[lungs < 0] = np.where(vessels, 0.7, 0.12)[lungs < 0]
    image[spine < 0.03] = 0.9 * muscle
    image[spine < 0] = 0.4 * muscle
    return image


def _heart(space: Space, valve: Point, rng: np.random.Generator) -> tuple[Field, list[Field]]:
    """Distances to the left ventricle, behind the valve, and to each other pool of blood around the atrium."""
    ventricle = space.empty()
    outwards = valve / np.linalg.norm(valve)
    add_ellipsoid(space, ventricle, _near(valve + 0.22 * outwards, rng), _about((0.34, 0.36, 0.34), rng))
    others = []
    for centre, radii in CHAMBERS:
        others.append(space.empty())
        add_ellipsoid(space, others[-1], _near(centre, rng), _about(radii, rng))
    for start, end, radius in ARTERIES:
        others.append(space.empty())
        add_tube(space, others[-1], _near(start, rng), _near(end, rng), np.zeros(3), radius * rng.uniform(0.85, 1.15))
    return ventricle, others


def _near(point: Sequence[float] | Point, rng: np.random.Generator) -> Point:
    return np.array(point) + rng.uniform(-0.08, 0.08, 3)


def _about(radii: Sequence[float], rng: np.random.Generator) -> Point:
    return np.array(radii) * rng.uniform(0.8, 1.2, 3)


def _acquire(ideal: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scan of a noiseless image: partial volume, uneven coil sensitivity, Rician noise, 8 bits."""
    coil = np.exp(rng.uniform(0.05, 0.4) * smooth_field(ideal.shape, 3, rng))
    signal = ndimage.gaussian_filter(ideal, rng.uniform(0.4, 1)) * coil
    noise = rng.uniform(0.03, 0.12) * rng.standard_normal((2, *ideal.shape), np.float32)
    magnitude = ndimage.gaussian_filter(np.hypot(signal + noise[0], noise[1]), 0.4)  # scanners interpolate
    return np.clip(magnitude * rng.uniform(70, 180), 0, 255).astype(np.uint8)
