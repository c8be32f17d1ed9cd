"""Surfaces of masks: closed, in their place, and how far they are from each other."""

import numpy as np
import pytest

from lassl.report.surface import Mesh, block_means, distances_mm, small, surface


def ball(size: tuple[int, int, int], center: tuple[float, float, float], radius: float) -> np.ndarray:
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    return np.square(grid - np.array(center)).sum(-1) < radius**2


def volume(mesh: Mesh) -> float:
    """Enclosed volume, positive if the triangles are counterclockwise from outside."""
    a, b, c = (mesh.vertices[mesh.triangles[:, n]] for n in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_the_surface_of_a_single_voxel_is_a_closed_box_around_it():
    mask = np.zeros((4, 3, 5))
    mask[2, 1, 3] = 1
    found = surface(mask)
    assert (len(found.vertices), len(found.triangles)) == (8, 12)
    expected = {(2 + i, 1 + j, 3 + k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)}
    shifted = {tuple(np.round((v - (2, 1, 3)) * 6 + (2, 1, 3), 6)) for v in found.vertices}
    assert shifted == expected  # the mean of three crossings, each half a voxel along one axis: a sixth along each


def test_the_surface_of_a_ball_is_closed_and_encloses_its_volume():
    mask = ball((20, 18, 17), (9.3, 9, 8.2), 6)
    found = surface(mask)
    sides = np.concatenate([found.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    edges, times = np.unique(np.sort(sides, 1), axis=0, return_counts=True)
    assert set(times) == {2}
    assert len(found.vertices) - len(edges) + len(found.triangles) == 2
    assert volume(found) == pytest.approx(mask.sum(), rel=0.05)


def test_a_surface_at_the_border_of_the_volume_is_closed_too():
    assert volume(surface(np.ones((12, 10, 11)))) == pytest.approx(1320, rel=0.03)


def test_a_field_is_crossed_where_it_has_the_level():
    field = np.zeros((6, 5, 5))
    field[2:4, :, :] = 0.8
    along_x = surface(field, level=0.2).vertices
    inner = along_x[(abs(along_x[:, 1] - 2) < 1) & (abs(along_x[:, 2] - 2) < 1), 0]
    assert set(np.round(inner, 6)) == {1.25, 3.75}


def test_a_mesh_is_made_coarser_until_it_has_few_vertices_and_stays_in_place():
    mask = ball((40, 37, 35), (20, 17, 18.5), 13)
    found = small(mask, vertices=700)
    assert len(surface(mask).vertices) > 700 >= len(found.vertices) > 100
    np.testing.assert_allclose(found.vertices.mean(0), (20, 17, 18.5), atol=0.3)
    assert volume(found) == pytest.approx(mask.sum(), rel=0.1)  # corners are cut


def test_blocks_at_the_end_count_what_is_missing_as_outside():
    mask = np.zeros((3, 2, 2))
    mask[2] = 1
    mask[0, 0, 0] = 1
    np.testing.assert_allclose(block_means(mask, 2), [[[0.125]], [[0.5]]] / np.float64(0.5))
    mask[1] = 1
    np.testing.assert_allclose(block_means(mask, 2), [[[0.625]], [[0.5]]])


def test_equal_masks_have_distance_zero_everywhere():
    mask = ball((14, 15, 16), (7, 7, 8), 4)
    assert np.abs(distances_mm(surface(mask), mask, (0.5, 1.0, 2.0))).max() == 0


def test_the_distance_is_in_millimetres_and_negative_inside_the_reference():
    reference = np.zeros((16, 14, 12), bool)
    reference[4:12, 3:11, 3:9] = True
    narrower, wider = reference.copy(), reference.copy()
    narrower[9:] = False
    wider[12:14, 3:11, 3:9] = True
    spacing = (0.5, 1.0, 2.0)
    for mask, expected in ((narrower, -1.5), (wider, 1.0)):  # three and two voxels of half a millimetre
        mesh = surface(mask)
        flat = (abs(mesh.vertices[:, 1] - 6.5) < 2) & (abs(mesh.vertices[:, 2] - 5.5) < 2) & (mesh.vertices[:, 0] > 8)
        assert flat.any()
        np.testing.assert_allclose(distances_mm(mesh, reference, spacing)[flat], expected, atol=0.01)
