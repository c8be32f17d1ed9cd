"""Networks on volumes of any grid: what they find is in the right place, and the same as evaluation finds."""

import math
from itertools import pairwise

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from helpers.dicom import write_series
from helpers.scans import IMAGES, same_place
from helpers.trainings import predicting, settings
from lassl.evaluation import inference
from lassl.images.geometry import Geometry, Volume, directions, orientation
from lassl.images.grids import covering, shifted, turned
from lassl.images.volumes import to_image
from lassl.model.placement import Placement, place
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.predict.scan_files import output_files, read_scan, write_output
from lassl.predict.segment import segment
from lassl.predict.slabs import needed_bytes, plan
from lassl.predict.task import PROBABILITY, UNCERTAINTY, Task
from lassl.predict.uncertainty import entropy
from lassl.settings.sections import Network

CPU = Placement(torch.device("cpu"), torch.float32, False)
CENTER = np.array([-30.0, 12.5, 40.0])  # mm
AXES = np.array([8.0, 5.0, 6.0])  # half axes of the blob, mm


class Bright(nn.Module):
    """Foreground is what is brighter than a threshold."""

    def __init__(self, threshold: float):
        super().__init__()
        self.threshold = threshold

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), 10 * (image - self.threshold)], 1)


def geometry(spacing, size, code="LPS", turns=(0, 0, 0)) -> Geometry:
    """A grid whose middle is near the blob's centre: axes after `code`, then turned about z, y, x by degrees."""
    matrix = np.reshape(directions(code), (3, 3))
    for (a, b), degrees in zip(((0, 1), (0, 2), (1, 2)), turns, strict=True):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = np.eye(3)
        turn[a, a], turn[b, b], turn[a, b], turn[b, a] = c, c, -s, s
        matrix = turn @ matrix
    middle = CENTER + np.array([1.5, -2.0, 1.0])
    origin = middle - matrix @ (np.multiply(spacing, size) / 2)
    return Geometry(tuple(spacing), tuple(origin.tolist()), tuple(matrix.ravel().tolist()))


def blob(size, place: Geometry) -> tuple[Volume, np.ndarray]:
    """A bright ellipsoid with a soft edge, from 100 to 300 at its border 200; and which voxels lie inside."""
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1) * place.spacing_mm
    points = index @ np.reshape(place.direction, (3, 3)).T + place.origin_mm
    radius = np.linalg.norm((points - CENTER) / AXES, axis=-1)
    image = 200 + 100 * np.clip(6 * (1 - radius), -1, 1)
    return Volume(image.astype(np.int16), place), radius < 1


def bright(volume: Volume) -> Bright:
    """The network that finds the blob's border in a volume that is normalized as a whole."""
    return Bright((200 - volume.array.mean()) / volume.array.std())


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


GRIDS = {
    "as trained": ((0.625, 0.625, 0.625), (54, 44, 40), "LPS", (0, 0, 0)),
    "flipped": ((0.625, 0.625, 0.625), (54, 44, 40), "RAI", (0, 0, 0)),
    "axes swapped": ((0.625, 0.625, 0.625), (40, 54, 44), "SLA", (0, 0, 0)),
    "1 mm": ((1.0, 1.0, 1.0), (33, 27, 25), "LPS", (0, 0, 0)),
    "thick slices": ((0.5, 0.7, 2.5), (66, 40, 11), "RPS", (0, 0, 0)),
    "swapped and thick": ((2.5, 0.7, 0.5), (11, 40, 66), "IAR", (0, 0, 0)),
    "oblique": ((0.7, 0.8, 1.0), (50, 36, 30), "LPS", (25, 0, 15)),
    "oblique and swapped": ((0.8, 1.25, 0.6), (36, 24, 56), "PIR", (-20, 10, 5)),
}


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_blob_is_found_in_its_place_whatever_grid_the_scan_has(grid, pool):
    spacing, size, code, turns = GRIDS[grid]
    scan, inside = blob(size, geometry(spacing, size, code, turns))
    assert 0.02 < inside.mean() < 0.5
    found = segment(scan, Task({"n": bright(scan)}, predicting(pool=pool), CPU))[PROBABILITY][0]
    assert found.dtype == np.float32 and found.shape == size
    assert found.min() >= 0 and found.max() <= 1
    assert dice(found > 0.5, inside) > 0.93


@pytest.mark.parametrize("kind", [*IMAGES, "series"])
def test_a_blob_goes_through_files_of_every_format(tmp_path, kind):
    spacing, size, code, turns = GRIDS["oblique and swapped"]
    place = geometry(spacing, size, code, turns)
    assert np.linalg.det(np.reshape(place.direction, (3, 3))) == pytest.approx(1)  # DICOM has no left-handed axes
    scan, inside = blob(size, place)
    path = tmp_path / f"scan{kind}" if kind in IMAGES else write_series(tmp_path / "scan", scan)
    if kind in IMAGES:
        sitk.WriteImage(to_image(scan), str(path))
    found = read_scan(path)
    mask = segment(found, Task({"n": bright(scan)}, predicting(), CPU))[PROBABILITY][0] > 0.5
    target = output_files(path, tmp_path / "out")["mask"]
    assert target.name == ("scan.nrrd" if kind == "series" else path.name)
    write_output(target, Volume(mask.astype(np.uint8), found.geometry))
    again = read_scan(target)
    same_place(again.geometry, place)
    assert again.array.dtype == np.uint8 and np.unique(again.array).tolist() == [0, 1]
    assert dice(again.array > 0, inside) > 0.93


def network(seed: int = 0, dropout: float = 0.5) -> VNet:
    """A tiny V-Net with random weights."""
    torch.manual_seed(seed)
    shape = {"width": 2, "residual": True, "dropout": dropout}
    return VNet(Network.model_validate(shape)).eval()


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("names", ["a", "ab"])
def test_on_the_grid_of_the_training_the_probability_is_that_of_the_evaluation_bit_for_bit(
    tiny_data, prepared, pool, names
):
    config = settings(tiny_data, patches={"pool": pool}, evaluate={"batch": 4})
    networks = {name: network(seed) for seed, name in enumerate(names)}
    where = place(config.compute)
    own = predicting(pool=pool, window=(16, 16, 16), stride=(8, 8, 8), batch=4, channels_last=where.channels_last)
    scan = read_scan(tiny_data.folder / "C6" / "lgemri.nrrd")
    expected = list(
        inference.foregrounds(networks, prepared.read_image("C6"), inference.Windows.of(config), where).values()
    )[-1][0]
    found = segment(scan, Task(networks, own, where))[PROBABILITY][0]
    assert np.ptp(found) > 0.01
    np.testing.assert_array_equal(found, expected)
    normalized = Volume(prepared.read_image("C6"), scan.geometry)
    np.testing.assert_array_equal(
        segment(normalized, Task(networks, own, where, normalized=True))[PROBABILITY][0], found
    )


def test_swapped_and_flipped_axes_change_nothing_else():
    chance = np.random.default_rng(0)
    scan = Volume(chance.standard_normal((21, 18, 34), np.float32), geometry((0.625,) * 3, (21, 18, 34)))
    task = Task({"n": network()}, predicting(), CPU, normalized=True)
    other = turned(scan, "IRA")
    assert other.array.shape == (34, 21, 18) and orientation(other.geometry) == "IRA"
    found = segment(other, task)[PROBABILITY][0]
    expected = segment(scan, task)[PROBABILITY][0]
    np.testing.assert_array_equal(turned(Volume(found, other.geometry), "LPS").array, expected)
    assert np.ptp(expected) > 0.01
    sideways = Task({"n": network()}, predicting(orientation="IRA"), CPU, normalized=True)  # trained on such scans
    assert not np.array_equal(segment(scan, sideways)[PROBABILITY][0], expected)


def test_the_grid_of_the_training_covers_all_of_an_oblique_scan():
    size, place = (20, 30, 10), geometry((1.0, 0.5, 2.0), (20, 30, 10), "LPS", (30, 0, 20))
    grid = covering(size, place, "LPS", (0.5, 0.625, 1.0))
    assert grid.geometry.direction == directions("LPS") and grid.geometry.spacing_mm == (0.5, 0.625, 1.0)
    low = np.array(grid.geometry.origin_mm) - np.multiply(grid.geometry.spacing_mm, 0.5)
    high = low + np.multiply(grid.geometry.spacing_mm, grid.size)
    corners = np.stack(np.meshgrid(*((-0.5, n - 0.5) for n in size), indexing="ij"), -1).reshape(-1, 3)
    points = np.array([shifted(place, corner).origin_mm for corner in corners])
    assert (points >= low - 1e-2).all() and (points <= high + 1e-2).all()
    assert ((high - low) - np.ptp(points, axis=0) <= grid.geometry.spacing_mm).all()


def bounded(scan: Volume, task: Task, pieces: float) -> Task:
    """The same task with memory for a slab that is `pieces` windows long."""
    axis, _ = plan(scan, task)
    length = math.ceil(pieces * task.settings.window[axis] * task.settings.pool)
    enough = needed_bytes(scan, axis, length, task) / 2**30
    return Task(task.networks, task.settings, task.placement, task.normalized, task.passes, enough)


@pytest.mark.parametrize("pool", [1, 2])
def test_slabs_find_what_one_piece_finds(pool):
    size = (20 * pool, 150 * pool, 18 * pool)
    chance = np.random.default_rng(1)
    image = chance.standard_normal((5, 30, 4)).repeat(4 * pool, 0).repeat(5 * pool, 1).repeat(5 * pool, 2)
    scan = Volume(image[:, :, : size[2]] + 0.2 * chance.standard_normal(size), geometry((0.625,) * 3, size))
    net = network()
    task = Task({"n": net}, predicting(pool=pool, stride=(8, 8, 8)), CPU)
    margin = np.quantile(np.log(1 / segment(scan, task)[PROBABILITY][0] - 1), 0.6)
    with torch.no_grad():
        net.head[1].bias[1] += float(margin)  # so that about 40 % are foreground
    one, (_, slabs) = segment(scan, task)[PROBABILITY][0], plan(scan, bounded(scan, task, 3))
    assert 0.2 < (one > 0.5).mean() < 0.6 and len(plan(scan, task)[1]) == 1 and len(slabs) >= 3
    found = segment(scan, bounded(scan, task, 3))[PROBABILITY][0]
    assert dice(found > 0.5, one > 0.5) > 0.98
    far = np.ones(size[1], bool)  # from the cuts
    for slab in slabs[1:]:
        far[slab.kept.start - 17 * pool : slab.kept.start + 17 * pool] = False
    assert far.sum() > 20
    np.testing.assert_allclose(found[:, far], one[:, far], atol=1e-5)


def test_slabs_of_an_oblique_scan_fit_together():
    spacing, size = (0.5, 0.9, 0.7), (30, 24, 120)
    scan, inside = blob(size, geometry(spacing, size, "LPS", (20, 0, 10)))
    task = Task({"n": bright(scan)}, predicting(), CPU)
    small = bounded(scan, task, 1.6)
    assert len(plan(scan, small)[1]) >= 3
    found = segment(scan, small)[PROBABILITY][0]
    assert dice(found > 0.5, inside) > 0.93
    assert dice(found > 0.5, segment(scan, task)[PROBABILITY][0] > 0.5) > 0.97


@pytest.mark.parametrize("pieces", [1.5, 2, 3.7, 100])
def test_slabs_overlap_by_one_window_and_what_is_kept_of_them_is_the_whole_axis(pieces):
    scan = Volume(np.zeros((20, 151, 18), np.int16), geometry((0.625,) * 3, (20, 151, 18)))
    task = bounded(scan, Task({"n": Bright(0)}, predicting(), CPU), pieces)
    axis, slabs = plan(scan, task)
    assert axis == 1
    assert [slabs[0].kept.start, slabs[-1].kept.stop] == [0, 151]
    assert len(slabs) == 1 if pieces == 100 else len(slabs) > 1
    for slab, following in pairwise(slabs):
        assert slab.kept.stop == following.kept.start
        assert slab.seen.stop - following.seen.start == 16
        assert (following.seen.start - slab.seen.start) % 8 == 0
    for slab in slabs:
        assert slab.seen.start <= slab.kept.start < slab.kept.stop <= slab.seen.stop <= 151
        assert needed_bytes(scan, axis, slab.seen.stop - slab.seen.start, task) <= task.memory_gib * 2**30


def test_a_bound_too_small_for_one_window_is_told_with_what_is_needed():
    scan, _ = blob((54, 44, 40), geometry((0.625,) * 3, (54, 44, 40)))
    task = Task({"n": Bright(0)}, predicting(), CPU, memory_gib=1e-3)
    with pytest.raises(LasslError, match=r"takes at least 0\.00\d+ GiB.*found a bound of 0\.001 GiB: raise --memory"):
        segment(scan, task)


def test_more_memory_is_asked_for_by_more_networks_maps_voxels_and_finer_pooling():
    scan = Volume(np.zeros((60, 50, 40), np.uint8), geometry((0.625,) * 3, (60, 50, 40)))

    def asked(networks=1, passes=0, length=60, **changes):
        nets = {str(i): Bright(0) for i in range(networks)}
        return needed_bytes(scan, 0, length, Task(nets, predicting(**changes), CPU, passes=passes))

    assert asked() == 120_000 * (2 + 4 + 4 + 4 + 4 + 24)
    assert asked() < asked(networks=2) and asked() < asked(passes=8)
    assert asked(length=32) < asked() and asked(pool=2) < asked()
    assert asked(spacing_mm=(0.3, 0.3, 0.3)) > 4 * asked()


@pytest.mark.parametrize("pool", [1, 2, 3])
@pytest.mark.parametrize("size", [(40, 30, 1), (1, 40, 30), (40, 30, 2)])
def test_an_axis_shorter_than_the_pool_is_segmented_all_the_same(size, pool):
    scan, _ = blob(size, geometry((0.625,) * 3, size))
    found = segment(scan, Task({"n": network()}, predicting(pool=pool, window=(16, 16, 16)), CPU, normalized=True))[
        PROBABILITY
    ][0]
    assert found.shape == size and np.isfinite(found).all()


@pytest.mark.parametrize("spacing", [(0.625, 0.625, 0.3), (1e-3, 1e-3, 1e-3)])
def test_a_scan_thinner_than_a_voxel_of_the_training_is_refused(spacing):
    scan, _ = blob((40, 30, 1), geometry(spacing, (40, 30, 1)))
    with pytest.raises(
        LasslError, match=r"less than one voxel of the training \(0\.625 x .* mm\) along an axis; check"
    ):
        segment(scan, Task({"n": Bright(0)}, predicting(pool=2), CPU))


class Coin(nn.Module):
    """Each voxel's margin is 4 or -4 by the toss of a dropout; 4 without dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.toss = nn.Dropout(0.5)
        self.norm = nn.BatchNorm3d(1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert not self.norm.training
        kept = self.toss(torch.ones_like(image)) > 0
        return torch.cat([torch.zeros_like(image), 8.0 * kept - 4.0], 1)


def test_uncertainty_is_the_entropy_of_the_mean_of_the_passes():
    scan, _ = blob((15, 14, 13), geometry((0.625,) * 3, (15, 14, 13)))
    coin = Coin().eval()
    state = torch.random.get_rng_state()
    task = Task({"n": coin}, predicting(window=(16, 16, 16), stride=(8, 8, 8)), CPU, passes=3)
    first, second = segment(scan, task), segment(scan, task)
    sure = 1 / (1 + math.exp(-4))
    np.testing.assert_allclose(first[PROBABILITY][0], sure, rtol=1e-5)
    means = [(k * sure + (3 - k) * (1 - sure)) / 3 for k in range(4)]
    possible = np.unique(np.round([-p * math.log(p) - (1 - p) * math.log(1 - p) for p in means], 4))
    assert np.unique(np.round(first[UNCERTAINTY][0], 4)).tolist() == pytest.approx(possible.tolist(), abs=2e-4)
    np.testing.assert_array_equal(first[UNCERTAINTY][0], second[UNCERTAINTY][0])
    assert torch.equal(state, torch.random.get_rng_state()) and not coin.toss.training
    assert list(segment(scan, Task({"n": coin}, task.settings, CPU))) == [PROBABILITY]


class Channels(nn.Module):
    """The margin of every voxel is the sum of channels of ones, of which dropout keeps some."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout3d(0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        margin = self.drop(torch.ones_like(image).repeat(1, 5, 1, 1, 1)).sum(1, keepdim=True) - 5
        return torch.cat([torch.zeros_like(image), margin], 1)


def test_a_pass_drops_the_same_channels_in_every_window():
    scan, _ = blob((40, 30, 20), geometry((0.625,) * 3, (40, 30, 20)))
    task = Task({"n": Channels().eval()}, predicting(window=(16, 16, 16), stride=(8, 8, 8)), CPU, passes=2)
    found = segment(scan, task)[UNCERTAINTY][0]
    assert np.ptp(found) < 1e-5 and found.max() > 0.1


def test_entropy_is_in_nats():
    found = entropy(np.array([0.0, 0.5, 1.0, 0.1], np.float32).reshape(1, 2, 2))
    assert found.ravel().tolist() == pytest.approx([0, math.log(2), 0, 0.325083], abs=1e-6)


def test_uncertainty_has_a_place_on_any_grid():
    spacing, size, code, turns = GRIDS["oblique and swapped"]
    scan, _ = blob(size, geometry(spacing, size, code, turns))
    found = segment(scan, Task({"a": network(0), "b": network(1)}, predicting(pool=2), CPU, passes=2))[UNCERTAINTY][0]
    assert found.shape == size and found.min() >= 0 and 0 < found.max() <= math.log(2) + 1e-6
