"""Whole-volume inference against a single pass and against naive loops."""

import itertools

import numpy as np
import pytest
import torch

from lassl.data.pooling import pool_image
from lassl.evaluation import inference
from lassl.evaluation.inference import Windows, upsample, window_starts
from lassl.images.components import largest_component
from lassl.model.placement import Placement
from lassl.plumbing.errors import LasslError


def random_image(*size):
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


def sliding_window(network, image, window, stride, batch):
    """The windows' mean of the only structure in fp32 on the CPU."""
    placement = Placement(torch.device("cpu"), torch.float32, channels_last=False)
    (foreground,) = inference.sliding_window(network, image, Windows(1, window, stride, batch), placement)
    return foreground


def pointwise(windows):
    """Logits (B, 2, *window) that depend on each voxel's intensity alone."""
    return torch.cat([0.5 * windows, 2 * windows - 0.3], dim=1)


def in_place(windows):
    """Logits that depend on the intensity and on the place within the window."""
    place = torch.linspace(-2, 2, windows[0].numel()).reshape(windows.shape[1:])
    return torch.cat([torch.zeros_like(windows), windows + place], dim=1)


def naive_sliding_window(image, window, starts):
    """Mean softmax over the windows at all the given starts, voxel by voxel."""
    found = {voxel: [] for voxel in itertools.product(*map(range, image.shape))}
    for corner in itertools.product(*starts):
        patch = image[tuple(slice(a, a + w) for a, w in zip(corner, window, strict=True))]
        foreground = in_place(patch[None, None]).softmax(1)[0, 1]
        for place in itertools.product(*map(range, window)):
            found[tuple(a + p for a, p in zip(corner, place, strict=True))].append(foreground[place].item())
    return torch.tensor([np.mean(values) for values in found.values()]).reshape(image.shape).float()


@pytest.mark.parametrize("size", [(11, 9, 7), (5, 4, 3), (11, 4, 8)])
@pytest.mark.parametrize("stride", [(2, 3, 1), (5, 4, 3), (1, 1, 2)])
def test_a_pointwise_network_gives_what_a_single_pass_gives(size, stride):
    image = random_image(*size)
    result = sliding_window(pointwise, image, window=(5, 4, 3), stride=stride, batch=4)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, pointwise(image[None, None]).softmax(1)[0, 1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [(4, 9, 7), (11, 3, 2), (2, 1, 1)])
def test_a_volume_smaller_than_the_window_comes_back_in_its_own_size(size):
    image = random_image(*size)
    result = sliding_window(pointwise, image, window=(5, 4, 3), stride=(2, 2, 2), batch=2)
    torch.testing.assert_close(result, pointwise(image[None, None]).softmax(1)[0, 1], rtol=1e-6, atol=1e-6)


def test_a_small_volume_lies_in_the_middle_of_zeros():
    seen = []

    def watch(windows):
        seen.append(windows)
        return pointwise(windows)

    sliding_window(watch, torch.ones(2, 3, 1), window=(5, 3, 4), stride=(1, 1, 1), batch=1)
    expected = torch.zeros(5, 3, 4)
    expected[1:3, :, 1:2] = 1  # 3 missing along x: 1 before, 2 after; the same along z
    assert torch.equal(seen[0][0, 0], expected)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_network_that_knows_its_place_equals_the_naive_loop_whatever_the_batch(batch):
    image = random_image(7, 6, 5)
    starts = [[0, 2, 4], [0, 1, 2], [0, 2, 3]]  # for lengths 7, 6, 5; windows 3, 4, 2; strides 2, 1, 2
    result = sliding_window(in_place, image, window=(3, 4, 2), stride=(2, 1, 2), batch=batch)
    torch.testing.assert_close(result, naive_sliding_window(image, (3, 4, 2), starts))


def test_windows_go_in_batches_and_the_last_may_be_smaller():
    sizes = []

    def count(windows):
        sizes.append(tuple(windows.shape))
        return pointwise(windows)

    sliding_window(count, random_image(7, 4, 2), window=(3, 4, 2), stride=(1, 1, 1), batch=3)
    assert sizes == [(3, 1, 3, 4, 2), (2, 1, 3, 4, 2)]


def test_inference_keeps_no_graph_and_adds_up_half_precision_in_float32():
    weight = torch.ones((), requires_grad=True)
    image = random_image(7, 6, 5)
    result = sliding_window(lambda w: (weight * pointwise(w)).bfloat16(), image, (3, 4, 2), (1, 1, 1), batch=8)
    assert not result.requires_grad
    half = pointwise(image[None, None]).bfloat16().float()
    torch.testing.assert_close(result, half.softmax(1)[0, 1], rtol=1e-5, atol=1e-6)


def test_a_stride_that_would_skip_voxels_is_refused():
    with pytest.raises(LasslError, match=r"evaluate\.stride is \(2, 5, 2\)"):
        sliding_window(pointwise, random_image(7, 9, 5), window=(3, 4, 2), stride=(2, 5, 2), batch=1)


def test_the_last_window_is_moved_back_to_end_at_the_border():
    assert window_starts(200, 112, 18) == [0, 18, 36, 54, 72, 88]
    assert window_starts(88, 80, 4) == [0, 4, 8]
    assert window_starts(83, 80, 4) == [0, 3]
    assert window_starts(80, 80, 4) == [0]


def test_pooling_averages_what_is_there_at_the_far_border():
    image = torch.arange(15.0).reshape(5, 3, 1).expand(5, 3, 2)  # voxel (x, y, z) is 3 x + y
    pooled = pool_image(image, 2)
    assert pooled.shape == (3, 2, 1)
    assert torch.equal(pooled[..., 0], torch.tensor([[2.0, 3.5], [8.0, 9.5], [12.5, 14.0]]))


def test_pooling_by_one_changes_nothing():
    image = random_image(5, 3, 2)
    assert torch.equal(pool_image(image, 1), image)
    assert torch.equal(upsample(image[None], 1, (5, 3, 2))[0], image)


def test_upsampling_puts_pooled_centers_where_their_voxels_are():
    size = (8, 6, 4)
    ramp = torch.arange(8.0).reshape(8, 1, 1).expand(size)
    (native,) = upsample(pool_image(ramp, 2)[None], 2, size)
    assert native.shape == size
    # linear between the pooled centers, flat before the first and after the last: (0 + 1) / 2 and (6 + 7) / 2
    torch.testing.assert_close(native[:, 0, 0], torch.tensor([0.5, 1, 2, 3, 4, 5, 6, 6.5]))


def test_upsampling_is_cut_to_the_native_size():
    size = (7, 5, 3)
    image = random_image(*size)
    pooled = pool_image(image, 2)[None]
    whole = upsample(pooled, 2, (8, 6, 4))
    assert torch.equal(upsample(pooled, 2, size), whole[:, :7, :5, :3])


def test_a_map_that_does_not_belong_to_the_size_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 3, 2\).*\(9, 5, 3\)"):
        upsample(torch.zeros(1, 4, 3, 2), 2, (9, 5, 3))


def test_only_the_largest_part_is_kept_and_corners_join():
    mask = np.zeros((6, 5, 4), dtype=bool)
    mask[0, 0, :3] = True  # 3 voxels, alone
    mask[2, 2, 2] = mask[3, 3, 3] = True  # joined by a corner ...
    mask[4:6, 4, 3] = True  # ... and by another: 4 voxels
    expected = mask.copy()
    expected[0] = False
    result = largest_component(mask)
    assert result.dtype == bool
    assert np.array_equal(result, expected)


def test_an_empty_mask_stays_empty():
    assert not largest_component(np.zeros((4, 3, 2), dtype=bool)).any()


def four_classes(windows):
    """Logits (B, 4, *window) that depend on each voxel's intensity alone."""
    return torch.cat([0.3 + 0 * windows, windows, 0.5 - 2 * windows, 2 * windows.square() - 2], dim=1)


def test_several_structures_have_a_map_each_and_a_voxel_its_most_probable_class():
    image = random_image(11, 9, 7)
    where = Placement(torch.device("cpu"), torch.float32, channels_last=False)
    maps = inference.sliding_window(four_classes, image, Windows(1, (5, 4, 3), (2, 3, 1), 4), where)
    expected = four_classes(image[None, None]).softmax(1)[0]
    torch.testing.assert_close(maps, expected[1:], rtol=1e-6, atol=1e-6)
    found = inference.decided(maps.numpy())
    assert found.dtype == np.uint8 and set(np.unique(found)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(found, expected.argmax(0))


def test_maps_of_several_structures_are_interpolated_one_by_one():
    maps = torch.rand(3, 4, 3, 2)
    found = inference.upsample(maps, 2, (7, 6, 4))
    assert found.shape == (3, 7, 6, 4)
    for structure, alone in zip(found, maps, strict=True):
        assert torch.equal(structure[None], inference.upsample(alone[None], 2, (7, 6, 4)))


def test_of_one_structure_a_voxel_belongs_to_it_above_one_half():
    assert inference.decided(np.array([[[[0.4, 0.5, 0.51]]]], np.float32)).tolist() == [[[0, 0, 1]]]
