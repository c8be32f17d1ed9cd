"""Bidirectional copy-paste."""

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.learning.mixing import box_of
from lassl.learning.regions import largest_components
from lassl.methods.bcp import BCP

CPU = torch.device("cpu")
OPTIONS = {"weight": 0.5, "box": 0.667, "pretrain": 0.118, "largest_component": True, "decay": 0.99}


def make(make_network, **options):
    return BCP(make_network, **(OPTIONS | options))


@pytest.fixture
def eight():
    """Four labeled and four unlabeled patches of 6 x 5 x 4 voxels."""
    image = torch.randn(8, 1, 6, 5, 4, generator=torch.Generator().manual_seed(2))
    return Batch(image, (image[:4, 0] > 0.3).to(torch.uint8))


def box(progress):
    """The box of a step: two thirds of the sides, rounded down."""
    return box_of(torch.Size((6, 5, 4)), [4, 3, 2], progress.generator("copy_paste", CPU))


def terms(logits, label, voxels):
    """Half of cross-entropy and of Dice loss over some voxels, taken out of the volumes."""
    chosen, truth = logits.movedim(1, -1)[voxels], label[voxels].long()
    p = chosen.softmax(1)[:, 1]
    dice = (2 * (p * truth).sum() + 1e-5) / (p.square().sum() + truth.sum() + 1e-5)
    return torch.stack([F.cross_entropy(chosen, truth) / 2, (1 - dice) / 2])


def test_pre_training_puts_boxes_of_one_half_of_the_labeled_patches_into_the_other(make_network, eight, progress):
    algorithm = make(make_network).eval()
    step = algorithm.losses(eight, progress(step=4))
    inside = box(progress(step=4))
    image, label = eight.image[:2].clone(), eight.label[:2].clone()
    for i, partner in ((0, 3), (1, 2)):
        image[i, 0][inside] = eight.image[partner, 0][inside]
        label[i][inside] = eight.label[partner][inside]
    logits = algorithm.student(image)
    torch.testing.assert_close(step.terms["cross_entropy"], losses.cross_entropy(logits, label) / 2)
    torch.testing.assert_close(step.terms["dice_loss"], losses.dice_loss(logits, label) / 2)
    torch.testing.assert_close(step.logs["dice"], losses.hard_dice(logits, label))
    assert step.terms["copy_paste"] == step.logs["weight"] == 0


@pytest.mark.parametrize("largest", [True, False])
def test_self_training_mixes_both_ways_and_weighs_the_unlabeled_voxels(make_network, eight, progress, largest):
    algorithm = make(make_network, largest_component=largest).eval()
    step = algorithm.losses(eight, progress(step=20))
    pseudo = algorithm.teacher(eight.image[4:]).argmax(1).to(torch.uint8)
    assert not torch.equal(largest_components(pseudo), pseudo)
    if largest:
        pseudo = largest_components(pseudo)
    inside = box(progress(step=20)).expand(2, -1, -1, -1)
    into, out = eight.image[:2].clone(), eight.image[6:].clone()  # labeled around, unlabeled around
    label_into, label_out = eight.label[:2].clone(), pseudo[2:].clone()
    into[:, 0][inside], label_into[inside] = eight.image[4:6, 0][inside], pseudo[:2][inside]
    out[:, 0][inside], label_out[inside] = eight.image[2:4, 0][inside], eight.label[2:][inside]
    logits_into, logits_out = algorithm.student(into), algorithm.student(out)
    labeled = terms(logits_into, label_into, ~inside) + terms(logits_out, label_out, inside)
    unlabeled = terms(logits_into, label_into, inside) + terms(logits_out, label_out, ~inside)
    torch.testing.assert_close(torch.stack([step.terms["cross_entropy"], step.terms["dice_loss"]]), labeled)
    torch.testing.assert_close(step.terms["copy_paste"], 0.5 * unlabeled.sum())
    taught = torch.cat([logits_into.argmax(1)[inside], logits_out.argmax(1)[~inside]])
    given = torch.cat([label_into[inside], label_out[~inside]])
    assert float(step.logs["agreement"]) == pytest.approx(float(2 * (taught * given).sum() / (taught + given).sum()))


def test_pre_training_ends_at_its_fraction_of_training(make_network, eight, progress):
    algorithm = make(make_network)  # 0.118 x 40 = 4.72
    found = [bool(algorithm.losses(eight, progress(step)).terms["copy_paste"] > 0) for step in range(3, 8)]
    assert found == [False, False, True, True, True]
    assert make(make_network, pretrain=0.0).losses(eight, progress(step=0)).terms["copy_paste"] > 0


def test_the_teacher_is_a_copy_until_the_switch_then_a_running_average(make_network, progress):
    algorithm = make(make_network)
    weight, running = algorithm.student.layers[0].weight, algorithm.student.layers[1].running_mean
    taught, taught_running = algorithm.teacher.layers[0].weight, algorithm.teacher.layers[1].running_mean

    def after(step, value):
        with torch.no_grad():
            weight.fill_(value)
            running.fill_(value + 1)
        algorithm.after_step(progress(step=step))
        assert torch.allclose(taught + 1, taught_running.mean())
        return float(taught.mean())

    assert [after(3, 2.0), after(4, 4.0)] == [2.0, 4.0]  # the switch is before step 5
    assert after(5, 5.0) == 5.0  # self-training's first step: a mean of one
    assert after(6, 7.0) == pytest.approx(6.0)
    assert after(5000, 106.0) == pytest.approx(0.99 * 6 + 0.01 * 106)


def test_all_terms_teach_the_student_and_none_the_teacher(make_network, eight, progress):
    algorithm = make(make_network)
    for term in algorithm.losses(eight, progress()).terms.values():
        gradients = torch.autograd.grad(term, list(algorithm.student.parameters()), retain_graph=True)
        assert all(gradient.isfinite().all() for gradient in gradients) and gradients[0].any()
    assert not any(p.requires_grad for p in algorithm.teacher.parameters())


@pytest.mark.parametrize("labeled, unlabeled", [(1, 1), (4, 1), (1, 3), (3, 3), (1, 0), (3, 0)])
def test_any_number_of_patches_will_do(make_network, eight, progress, labeled, unlabeled):
    algorithm = make(make_network)
    image = torch.cat([eight.image[:labeled], eight.image[4 : 4 + unlabeled]])
    for step in (0, 20):
        found = algorithm.losses(Batch(image, eight.label[:labeled]), progress(step=step))
        assert all(value.isfinite() for value in found.terms.values())
        assert (found.terms["copy_paste"] > 0) == (step == 20 and unlabeled > 0)


def test_patches_without_foreground_give_finite_terms(make_network, eight, progress):
    algorithm = make(make_network)
    algorithm.teacher.layers[4].bias.data.copy_(torch.tensor([100.0, -100.0]))  # sees background everywhere
    found = algorithm.losses(Batch(eight.image, torch.zeros_like(eight.label)), progress())
    assert all(term.isfinite() for term in found.terms.values()) and found.logs["agreement"] == 0


def test_the_box_of_a_step_is_the_seeds(make_network, eight, progress):
    algorithm = make(make_network).eval()
    found = []
    for seed, step in ((1, 20), (2, 20), (2, 21), (2, 22)):
        torch.manual_seed(seed)
        found.append(algorithm.losses(eight, progress(step=step)).terms["cross_entropy"].item())
    assert found[0] == found[1] and len(set(found[1:])) > 1
