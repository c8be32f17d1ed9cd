"""Signed distance maps, against distances between all pairs of voxels."""

import pytest
import torch

from lassl.learning.distance import distance_to, signed_distance


def random_labels(share: float, size=(3, 7, 6, 5)) -> torch.Tensor:
    return (torch.rand(size, generator=torch.Generator().manual_seed(0)) < share).to(torch.uint8)


def naive_distance(seeds: torch.Tensor) -> torch.Tensor:
    """Distance of each voxel of one patch to the nearest seed, from all pairs."""
    voxels = torch.ones_like(seeds).nonzero().double()
    return torch.cdist(voxels, seeds.nonzero().double()).amin(1).view(seeds.shape)


def naive_signed(label: torch.Tensor) -> torch.Tensor:
    """The definition, voxel by voxel."""
    inside = label.bool()
    surface = torch.zeros_like(inside)
    for voxel in inside.nonzero().tolist():
        for axis in range(3):
            for step in (-1, 1):
                neighbor = list(voxel)
                neighbor[axis] += step
                if 0 <= neighbor[axis] < label.shape[axis] and not inside[tuple(neighbor)]:
                    surface[tuple(voxel)] = True
    distance = naive_distance(surface)
    out, within = distance * ~inside, distance * inside
    return out / out.max() - within / max(within.max(), 1)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.6])
def test_the_distance_is_that_to_the_nearest_seed(share):
    seeds = random_labels(share).bool()
    seeds[:, 2, 3, 1] = True
    expected = torch.stack([naive_distance(patch) for patch in seeds])
    torch.testing.assert_close(distance_to(seeds).double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.98])
def test_the_map_is_the_signed_distance_to_the_surface_normalized_on_each_side_of_each_patch(share):
    label = random_labels(share)
    expected = torch.stack([naive_signed(patch) for patch in label])
    torch.testing.assert_close(signed_distance(label).double(), expected, rtol=1e-6, atol=0)


def test_a_ball_at_the_patchs_edge_has_its_figures():
    label = torch.zeros(1, 9, 1, 1, dtype=torch.uint8)
    label[0, :5] = 1  # the patch's own edge is no surface
    expected = torch.tensor([-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1.0])
    assert torch.equal(signed_distance(label)[0, :, 0, 0], expected)


def test_a_patch_without_foreground_is_outside_and_one_full_of_it_inside():
    label = torch.stack([torch.zeros(4, 5, 6), torch.ones(4, 5, 6)]).to(torch.uint8)
    found = signed_distance(label)
    assert found.dtype == torch.float32
    assert (found[0] == 1).all() and (found[1] == -1).all()


def test_foreground_that_is_all_surface_is_zero_there():
    label = torch.zeros(1, 5, 5, 5, dtype=torch.uint8)
    label[0, 2, 2, 2] = 1
    found = signed_distance(label)[0]
    assert found[2, 2, 2] == 0 and (found.flatten().sort().values[1:] > 0).all() and found.max() == 1
