"""Patches."""

from collections import Counter

import h5py
import numpy as np
import pytest
import torch

from lassl.data import patches
from lassl.data.label_split import choose_cases
from lassl.data.patches import Batch, PatchSource, loader, pick, posed, random_patch
from lassl.data.pooling import pooled_image, pooled_label
from lassl.data.prepared import open_prepared
from lassl.seeds import stream
from lassl.settings.sections import BatchSize, Patches

NUMBERED = torch.arange(7.0 * 6 * 5).reshape(7, 6, 5)


def source(prepared, seed=0, label_split=0, labeled=2, unlabeled=2, pool=1, cases=(3, 3)):
    chosen = choose_cases(prepared.split.train, prepared.with_label, *cases, label_split)
    size = BatchSize(labeled=labeled, unlabeled=unlabeled)
    return PatchSource(prepared, chosen, Patches(pool=pool, size=(16, 16, 16)), size, seed)


def test_a_batch_tells_its_labeled_patches_from_the_others():
    image, label = torch.arange(3.0).view(3, 1, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    batch = Batch(image, label)
    assert batch.labeled == 2
    assert batch.labeled_image.flatten().tolist() == [0, 1] and batch.unlabeled_image.flatten().tolist() == [2]
    assert len(Batch(image[:2], label).unlabeled_image) == 0


def test_every_offset_is_drawn_and_the_last_one_too():
    corners = Counter()
    for n in range(400):
        (patch,) = random_patch([NUMBERED], (4, 4, 4), stream(0, n))
        corners[np.unravel_index(int(patch.min()), NUMBERED.shape)] += 1
    assert set(corners) == {(x, y, z) for x in range(4) for y in range(3) for z in range(2)}


def test_all_eight_poses_are_equally_likely():
    square = torch.arange(8.0).reshape(2, 2, 2)
    poses = Counter(random_patch([square], (2, 2, 2), stream(0, n))[0][:, :, 0].numpy().tobytes() for n in range(1600))
    assert len(poses) == 8
    assert min(poses.values()) > 150


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_a_pose_is_numpys_quarter_turns_and_a_flip(turns, flip):
    turned = np.rot90(NUMBERED.numpy(), turns, axes=(0, 1))
    assert np.array_equal(posed(NUMBERED, turns, flip), turned[::-1] if flip else turned)


def test_image_and_label_are_cut_and_turned_alike():
    image, label = random_patch([NUMBERED, NUMBERED % 2 == 0], (4, 4, 3), stream(1))
    assert torch.equal(image % 2 == 0, label)


def test_a_patch_that_is_not_square_keeps_its_sizes():
    shapes = {random_patch([NUMBERED], (6, 4, 3), stream(0, n))[0].shape for n in range(20)}
    assert shapes == {(6, 4, 3)}


def test_a_volume_smaller_than_the_patch_is_padded_with_zeros_on_both_sides():
    (patch,) = random_patch([torch.ones(3, 6, 2)], (6, 6, 5), stream(0))
    assert patch.sum() == 36
    assert patch[:, :, 0].sum() == 0 and patch[:, :, 4].sum() == 0


def test_each_pass_over_the_cases_sees_every_case_once_in_a_new_order():
    passes = [[pick(5 * e + i, 5, 0, "labeled") for i in range(5)] for e in range(6)]
    assert all(sorted(p) == [0, 1, 2, 3, 4] for p in passes)
    assert len({tuple(p) for p in passes}) > 1


def test_a_batch_depends_on_seed_and_step_alone(prepared):
    first, again = source(prepared), source(prepared)
    again[0]
    assert torch.equal(first[5].image, again[5].image)
    assert not torch.equal(first[5].image, first[6].image)
    assert not torch.equal(first[5].image, source(prepared, seed=1)[5].image)
    assert not torch.equal(first[5].image, source(prepared, label_split=1)[5].image)


def test_methods_with_one_seed_see_the_same_labeled_patches(prepared):
    pairs, fours = source(prepared), source(prepared, labeled=4, unlabeled=0)
    in_pairs = torch.cat([pairs[step].image[:2] for step in range(4)])
    in_fours = torch.cat([fours[step].image for step in range(2)])
    assert torch.equal(in_pairs, in_fours)


def test_a_batch_has_labels_for_the_labeled_patches_alone(prepared):
    batch = source(prepared, labeled=2, unlabeled=1)[0]
    assert batch.image.shape == (3, 1, 16, 16, 16)
    assert batch.label.shape == (2, 16, 16, 16)


def test_an_epoch_is_one_pass_over_the_labeled_cases(prepared):
    assert [source(prepared, labeled=2).epoch(step) for step in range(5)] == [0, 0, 1, 2, 2]  # 3 labeled cases


def test_the_label_of_an_unlabeled_case_is_never_read(tiny_data, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_data.prepared, copy)
    expected = source(open_prepared(copy))[3]
    chosen = choose_cases(open_prepared(copy).split.train, open_prepared(copy).with_label, 3, 3, 0)
    for case in chosen.unlabeled:
        with h5py.File(copy / f"{case}.h5", "r+") as file:
            del file["label"]
    found = source(open_prepared(copy))[3]
    assert torch.equal(found.image, expected.image)


def test_pooling_averages_the_image_and_takes_the_majority_of_the_label():
    image = np.zeros((4, 2, 3), np.float32)
    image[:2, :, :2] = np.arange(8).reshape(2, 2, 2)
    assert pooled_image(image, 2).shape == (2, 1, 2)
    assert pooled_image(image, 2)[0, 0, 0] == pytest.approx(3.5)
    label = np.zeros((4, 2, 3), np.uint8)
    label[:2, 0, :2] = 1  # half of the first pooled voxel
    label[2, 0, :2] = 1  # a quarter of the second
    assert pooled_label(label, 2)[:, 0, 0].tolist() == [1, 0]


def test_a_pooled_label_of_several_structures_is_the_class_with_the_largest_share():
    blocks = [  # of two by two voxels
        ([0, 0, 1, 3], 0),
        ([0, 1, 2, 2], 2),
        ([0, 0, 2, 2], 2),  # of equal shares a structure wins over the background
        ([3, 1, 3, 1], 1),  # and the first of two structures
        ([0, 1, 2, 3], 1),
        ([3, 3, 3, 0], 3),
    ]
    label = np.array([values for values, _ in blocks], np.uint8).reshape(-1, 2, 2)
    pooled = pooled_label(np.repeat(label, 2, axis=0), 2)
    assert pooled.dtype == np.uint8 and pooled.flatten().tolist() == [expected for _, expected in blocks]
    assert pooled_label(label, 1) is label


def test_a_case_with_one_of_several_structures_is_pooled_by_the_same_rule():
    label = np.array([0, 0, 1, 1, 0, 0, 0, 1], np.uint8).reshape(2, 2, 2)
    assert pooled_label(label, 2).item() == 0
    label[0, 0, 0] = 1
    assert pooled_label(label, 2).item() == 1
    label[:] = 2 * label
    assert pooled_label(label, 2).item() == 2


def test_an_axis_shorter_than_the_pool_becomes_one_voxel_that_averages_what_there_is():
    image = np.arange(8, dtype=np.float32).reshape(4, 1, 2)
    assert pooled_image(image, 2).tolist() == [[[1.5]], [[5.5]]]
    assert pooled_image(image, 3).tolist() == [[[2.5]], [[6.5]]]
    assert pooled_image(image[:1], 2).tolist() == [[[0.5]]]
    assert pooled_label((image > 1).astype(np.uint8), 2).tolist() == [[[1]], [[1]]]


def test_cases_move_to_a_gpu_that_has_room_for_them_twice(prepared, monkeypatch):
    cases = source(prepared)
    needed = sum(v.nbytes for v in (*cases.labeled, *cases.labels, *cases.unlabeled))
    moved = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: moved.append(device) or self)
    for free, expected in ((2 * needed - 1, []), (2 * needed, [torch.device("cuda")] * 9)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10 * free))
        cases.bring_to(torch.device("cuda"))
        assert moved == expected


def test_without_shared_memory_for_them_no_loading_processes_are_started(prepared, monkeypatch, capsys):
    made = source(prepared)
    batch = made[0]
    assert made.batch_bytes == batch.image.nbytes + batch.label.nbytes
    for free, workers in ((5 * made.batch_bytes, 2), (5 * made.batch_bytes - 1, 0)):
        monkeypatch.setattr(patches, "free_shared_memory", lambda free=free: free)
        assert loader(made, range(2), 2, torch.device("cpu")).num_workers == workers
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "of shared memory are free, but 2 loading processes need 0.4; training continues without them. Enlarge it"
        in line
    )
    assert "disk" not in line
