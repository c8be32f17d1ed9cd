"""The supervised loss within a region, and the largest component."""

import pytest
import torch
import torch.nn.functional as F

from lassl.learning.base import supervised_terms
from lassl.learning.regions import kept_shares, largest_components, terms_within, within


@pytest.fixture
def case():
    """Logits, labels and a region of four patches of 3 x 4 x 5 voxels."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(4, 2, 3, 4, 5, generator=generator)
    label, region = (torch.rand(4, 3, 4, 5, generator=generator) < share for share in (0.4, 0.6))
    return logits, label.to(torch.uint8), region


def naive(logits, label, region):
    """Half the mean cross-entropy and half of 1 - soft Dice of the voxels in the region, taken out of the volumes."""
    chosen, truth = logits.movedim(1, -1)[region], label[region].long()
    p = chosen.softmax(1)[:, 1]
    dice = (2 * (p * truth).sum() + 1e-5) / (p.square().sum() + truth.sum() + 1e-5)
    return F.cross_entropy(chosen, truth) / 2, (1 - dice) / 2


def test_the_terms_are_those_of_the_voxels_in_the_region(case):
    found = terms_within(*case, patches=4)
    torch.testing.assert_close(tuple(found.values()), naive(*case))


def test_parts_of_the_batch_are_taken_by_themselves_and_summed(case):
    found = terms_within(*case, patches=3)
    parts = [naive(*(x[part] for x in case)) for part in (slice(0, 3), slice(3, 4))]
    torch.testing.assert_close(found["cross_entropy"], parts[0][0] + parts[1][0])
    torch.testing.assert_close(found["dice_loss"], parts[0][1] + parts[1][1])


def test_a_region_of_all_voxels_gives_the_supervised_terms(case):
    logits, label, region = case
    found = terms_within(logits, label, torch.ones_like(region), patches=4)
    torch.testing.assert_close(found, supervised_terms(logits, label))


def test_an_empty_region_has_terms_of_zero(case):
    logits, label, region = case
    found = terms_within(logits, label, torch.zeros_like(region), patches=4)
    assert found == {"cross_entropy": 0, "dice_loss": 0}


def test_voxels_outside_the_region_get_no_gradient(case):
    logits, label, region = case
    logits.requires_grad_()
    sum(terms_within(logits, label, region, patches=2).values()).backward()
    moved = (logits.grad != 0).any(1)
    assert torch.equal(moved, region)


def test_outside_the_region_all_is_background(case):
    logits, label, region = case
    found, truth = within(logits.bfloat16(), label, region)
    assert found.dtype == torch.float32 and truth.dtype == label.dtype
    assert torch.equal(truth, torch.where(region, label, 0))
    assert torch.equal(found.argmax(1), torch.where(region, logits.bfloat16().argmax(1), 0))


def test_the_largest_component_of_each_mask_is_kept():
    masks = torch.zeros(3, 5, 5, 5, dtype=torch.uint8)
    masks[0, 0, 0, :2] = 1
    expected = masks.clone()  # the third stays empty
    masks[0, 4, 4, 4] = 1
    for i in range(3):
        masks[1, i, i, i] = expected[1, i, i, i] = 1  # joined over corners
    masks[1, 4, 0, :2] = 1
    before = masks.clone()
    assert torch.equal(largest_components(masks), expected)
    assert torch.equal(masks, before)


def test_outside_a_region_several_classes_are_certain_background_without_a_gradient():
    generator = torch.Generator().manual_seed(4)
    logits = 3 * torch.randn(2, 4, 3, 4, 5, generator=generator).requires_grad_()
    label = torch.randint(4, (2, 3, 4, 5), generator=generator).to(torch.uint8)
    region = torch.rand(2, 3, 4, 5, generator=generator) < 0.6
    found = terms_within(logits, label, region, patches=2)
    chosen, truth = logits.movedim(1, -1)[region], label[region].long()
    p, y = chosen.softmax(1)[:, 1:], F.one_hot(truth, 4)[:, 1:]
    dices = (2 * (p * y).sum(0) + 1e-5) / (p.square().sum(0) + y.sum(0) + 1e-5)
    torch.testing.assert_close(tuple(found.values()), (F.cross_entropy(chosen, truth) / 2, (1 - dices.mean()) / 2))
    (gradient,) = torch.autograd.grad(sum(found.values()), logits)
    assert torch.equal((gradient != 0).any(1), region)


def test_the_largest_component_of_each_structure_is_kept():
    label = torch.zeros(1, 6, 6, 6, dtype=torch.uint8)
    label[0, 0, 0, :3] = 1
    label[0, 0, 1, :2] = 3  # touches the first structure, and is a component of its own
    expected = label.clone()
    label[0, 5, 5, 5] = 1
    label[0, 5, 0, 0] = 3
    assert torch.equal(largest_components(label), expected)


def test_the_shares_that_are_kept_count_all_voxels_and_those_of_any_structure():
    label = torch.tensor([0, 0, 1, 2, 3, 0, 0, 0])
    kept = torch.tensor([1, 1, 0, 1, 1, 0, 0, 0]).bool()
    found = kept_shares(label, kept)
    assert found["kept"] == 0.5 and found["kept_foreground"].item() == pytest.approx(2 / 3)
    assert kept_shares(torch.zeros(8), kept)["kept_foreground"] == 0
