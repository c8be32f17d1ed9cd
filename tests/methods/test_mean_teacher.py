"""Mean teacher with the uncertainty mask, and Lovasz-Softmax beside it."""

import math

import pytest
import torch

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.methods.mean_teacher import MeanTeacher

RAMP = math.exp(-5 * 0.25)  # half way


def make(make_network, **options):
    return MeanTeacher(make_network, **({"weight": 0.1, "passes": 3, "consistency": "mse", "lovasz": 0.0} | options))


def test_the_teacher_starts_as_a_copy_of_the_student_with_its_buffers(make_network):
    algorithm = make(make_network)
    student, teacher = algorithm.student.state_dict(), algorithm.teacher.state_dict()
    assert student.keys() == teacher.keys()
    assert all(torch.equal(student[name], teacher[name]) for name in student)


def test_no_term_sends_a_gradient_to_the_teacher(make_network, batch, progress):
    algorithm = make(make_network, lovasz=1.0)
    sum(algorithm.losses(batch, progress()).terms.values()).backward()
    assert all(p.grad is None for p in algorithm.teacher.parameters())
    assert all(p.grad is not None for p in algorithm.student.parameters())


def test_the_consistency_term_does_not_see_the_labeled_patches(make_network, batch, progress):
    algorithm = make(make_network).eval()
    changed = batch.image.clone()
    changed[:2] += 5
    before = algorithm.losses(batch, progress()).terms["consistency"]
    after = algorithm.losses(Batch(changed, batch.label), progress()).terms["consistency"]
    torch.testing.assert_close(after, before)


def test_the_consistency_term_compares_the_student_with_one_noisy_pass_where_the_others_are_certain(
    make_network, batch, progress
):
    algorithm = make(make_network).eval()
    target, uncertainty = algorithm.teach(batch.image[2:], progress())
    threshold = (0.75 + 0.25 * RAMP) * math.log(2)
    mask = uncertainty < threshold
    assert 0 < mask.float().mean() < 1
    squared = (algorithm.student(batch.image[2:]).softmax(1) - target.softmax(1)).square().sum(1)
    expected = 0.1 * RAMP * squared[mask].sum() / (2 * mask.sum())
    step = algorithm.losses(batch, progress())
    torch.testing.assert_close(step.terms["consistency"], expected)
    torch.testing.assert_close(step.logs["mask_share"], mask.float().mean())


def test_the_uncertainty_is_the_entropy_of_the_mean_of_the_passes(make_network, batch, progress):
    algorithm = make(make_network, passes=4).eval()
    calls = []
    algorithm.teacher.register_forward_hook(lambda module, inputs, output: calls.append((inputs[0], output)))
    target, uncertainty = algorithm.teach(batch.image[2:], progress())
    (seen, logits), = calls  # fmt: skip
    assert torch.equal(target, logits[:2])
    mean = torch.stack([logits[2 * t : 2 * t + 2].softmax(1) for t in range(1, 5)]).mean(0)
    torch.testing.assert_close(uncertainty, -(mean * mean.log()).sum(1))
    noise = seen - batch.image[2:].repeat(5, 1, 1, 1, 1)
    assert noise.abs().max() == pytest.approx(0.2, abs=1e-6)
    assert noise.std() == pytest.approx(0.088, abs=0.01)  # of a normal 0.1 clipped at 2 deviations


def test_the_teachers_passes_have_dropout_on_and_leave_its_statistics_alone(make_network, batch, progress):
    algorithm = make(make_network).train()
    before = {name: value.clone() for name, value in algorithm.teacher.state_dict().items() if "running" in name}
    torch.manual_seed(1)
    first, _ = algorithm.teach(batch.image[2:], progress())
    torch.manual_seed(2)
    second, _ = algorithm.teach(batch.image[2:], progress())
    assert not torch.equal(first, second)
    assert all(torch.equal(algorithm.teacher.state_dict()[name], value) for name, value in before.items())


def test_the_noise_of_a_step_is_its_own_stream(make_network, batch, progress):
    algorithm = make(make_network).eval()
    torch.manual_seed(1)
    first, _ = algorithm.teach(batch.image[2:], progress(step=3))
    torch.manual_seed(2)
    again, _ = algorithm.teach(batch.image[2:], progress(step=3))
    other, _ = algorithm.teach(batch.image[2:], progress(step=4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_teacher_is_the_students_running_average(make_network, progress):
    algorithm = make(make_network)
    weight, running = algorithm.student.layers[0].weight, algorithm.student.layers[1].running_mean
    with torch.no_grad():
        weight.fill_(3.0)
        running.fill_(2.0)
    algorithm.after_step(progress(step=0))
    assert torch.equal(algorithm.teacher.layers[0].weight, weight)  # a = 0 at the first step
    with torch.no_grad():
        weight.fill_(5.0)
        running.fill_(4.0)
    algorithm.after_step(progress(step=1))  # a = 1/2
    torch.testing.assert_close(algorithm.teacher.layers[0].weight, torch.full_like(weight, 4.0))
    torch.testing.assert_close(algorithm.teacher.layers[1].running_mean, torch.full_like(running, 3.0))
    with torch.no_grad():
        weight.fill_(104.0)
    algorithm.after_step(progress(step=5000))  # a = 0.99
    torch.testing.assert_close(algorithm.teacher.layers[0].weight, torch.full_like(weight, 5.0))


def test_lovasz_is_added_to_the_supervised_loss_with_its_weight(make_network, batch, progress):
    plain, with_it = make(make_network).eval(), make(make_network, lovasz=0.7).eval()
    with_it.load_state_dict(plain.state_dict())
    terms = with_it.losses(batch, progress()).terms
    expected = 0.7 * losses.lovasz_softmax(plain.student(batch.image[:2]), batch.label)
    torch.testing.assert_close(terms["lovasz"], expected)
    assert "lovasz" not in plain.losses(batch, progress()).terms


def test_kl_is_a_switch(make_network, batch, progress):
    mse, kl = make(make_network).eval(), make(make_network, consistency="kl").eval()
    kl.load_state_dict(mse.state_dict())
    terms = [a.losses(batch, progress()).terms["consistency"] for a in (mse, kl)]
    assert not torch.allclose(*terms)


def test_its_state_dict_carries_the_teacher(make_network, batch, progress):
    algorithm, again = make(make_network), make(make_network)
    with torch.no_grad():
        algorithm.student.layers[0].weight.mul_(2)
    algorithm.after_step(progress(step=3))
    again.load_state_dict(algorithm.state_dict())
    torch.manual_seed(7)
    expected = algorithm.losses(batch, progress())
    torch.manual_seed(7)
    found = again.losses(batch, progress())
    assert all(torch.equal(found.terms[name], term) for name, term in expected.terms.items())


def test_channels_last_gives_the_same_as_contiguous(make_network, batch, progress):
    algorithm = make(make_network).eval()
    contiguous = algorithm.losses(batch, progress())
    image = batch.image.contiguous(memory_format=torch.channels_last_3d)
    last = algorithm.to(memory_format=torch.channels_last_3d).losses(Batch(image, batch.label), progress())
    for name, term in contiguous.terms.items():
        torch.testing.assert_close(last.terms[name], term)
