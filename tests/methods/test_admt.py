"""AD-MT: two teachers that follow a student by turns."""

import math
from itertools import groupby

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.learning.base import Progress
from lassl.learning.mixing import half_box
from lassl.learning.perturbations import change_intensity
from lassl.methods.admt import ADMT, together

CPU = torch.device("cpu")


def make(make_network, **options):
    plain = {"weight": 0.7, "threshold": 0.8, "period": 4, "decay": 0.99, "ramp": 0.4}
    algorithm = ADMT(make_network, **(plain | options)).eval()
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():  # all three differ
        for teacher in (algorithm.first, algorithm.second):
            for p in teacher.parameters():
                p += 0.4 * torch.randn(p.shape, generator=generator)
    return algorithm


def turns(algorithm, steps=400, seed=0):
    return [algorithm.first_turn(Progress(step, steps, 0, seed)) for step in range(steps)]


def of_turn(algorithm, progress, first):
    """Progress at the first step from the middle on that is a turn of the first teacher, or of the second."""
    return next(p for p in map(progress, range(20, 40)) if algorithm.first_turn(p) == first)


def test_turns_are_periods_of_every_length_up_to_the_longest_and_begin_with_the_first_teacher(make_network):
    found = turns(make(make_network))
    lengths = [len(list(group)) for _, group in groupby(found)]
    assert found[0] is True and set(lengths[:-1]) == {1, 2, 3, 4}
    assert sum(found) / len(found) == pytest.approx(0.5, abs=0.1)
    long = make(make_network, period=19)
    every = [len(list(group)) for seed in range(5) for _, group in groupby(turns(long, seed=seed))]
    assert max(every) == 19 and sum(every) / len(every) == pytest.approx(10, abs=1)


def test_turns_are_the_seeds_and_a_period_of_one_step_alternates(make_network):
    algorithm = make(make_network)
    assert turns(algorithm) == turns(make(make_network)) != turns(algorithm, seed=1)
    assert turns(make(make_network, period=1), 6) == [True, False] * 3


@pytest.mark.parametrize(
    ("step", "first", "kept"),  # the share of itself that a teacher keeps: 1 - 1 / (step // 2 + 1), at most the decay
    [(0, True, 0.0), (6, True, 0.75), (6, False, 0.75), (120, True, 0.9), (120, False, 0.9)],
)
def test_the_teacher_whose_turn_it_is_moves_alone(make_network, step, first, kept):
    algorithm = make(make_network, decay=0.9)
    seeds = (Progress(step, 400, 0, seed) for seed in range(99))
    now = next(p for p in seeds if algorithm.first_turn(p) == first)
    mover, other = (algorithm.first, algorithm.second) if first else (algorithm.second, algorithm.first)
    moved, rested = ({k: v.clone() for k, v in n.state_dict().items()} for n in (mover, other))
    algorithm.after_step(now)
    for name, value in algorithm.student.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(mover.state_dict()[name], kept * moved[name] + (1 - kept) * value)
    assert all(torch.equal(value, rested[name]) for name, value in other.state_dict().items())


def probabilities(*foreground):
    """Logits (1, 2, n, 1, 1) with these foreground probabilities."""
    p = torch.tensor(foreground).view(1, -1, 1, 1)
    return torch.stack([(1 - p).log() + 3, p.log() + 3], 1)


def bits(p):
    return -(p * math.log2(p) + (1 - p) * math.log2(1 - p))


def joined(t, u):
    a, b = math.exp(-bits(t)), math.exp(-bits(u))
    return (a * t + b * u) / (a + b)


def test_the_surer_teacher_has_more_to_say_and_the_student_where_they_disagree_and_it_is_surer():
    cases = [  # of both teachers and the student
        (0.9, 0.6, 0.01, joined(0.9, 0.6)),  # both agree, whatever the student says
        (0.9, 0.2, 0.05, 0.05),  # a dispute: the student says otherwise and is surer than both together
        (0.9, 0.2, 0.45, joined(0.9, 0.2)),  # says otherwise, but is less sure
        (0.9, 0.2, 0.99, joined(0.9, 0.2)),  # says the same
        (0.3, 0.6, 0.8, 0.8),
        (0.1, 0.1, 0.5, 0.1),
    ]
    first, second, student, expected = zip(*cases, strict=True)
    assert joined(0.9, 0.2) > 0.5 > joined(0.3, 0.6)
    found = together(*(probabilities(*each) for each in (first, second, student)))
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def expected_term(algorithm, batch, progress, first):
    """The term by its definition, from passes in evaluation mode, and the share of the voxels that it counts."""
    weak = batch.image[2:]
    with torch.no_grad():
        p = together(algorithm.first(weak), algorithm.second(weak), algorithm.student(weak)).squeeze(1)
    if first:
        strong = change_intensity(weak, progress.generator("intensity", CPU))
    else:
        inside = half_box(weak.shape[2:], progress.generator("cutmix", CPU))
        strong, mixed = weak.clone(), p.clone()
        for n in (0, 1):
            strong[n, :, inside], mixed[n, inside] = weak[1 - n, :, inside], p[1 - n, inside]
        p = mixed
    label, kept = (p > 0.5).long(), torch.maximum(p, 1 - p) >= 0.8
    entropies = F.cross_entropy(algorithm.student(strong), label, reduction="none")
    return 0.7 * entropies[kept].mean(), kept, label


@pytest.mark.parametrize("first", [True, False])
def test_the_student_learns_confident_labels_on_changed_patches(make_network, batch, progress, first):
    algorithm = make(make_network)
    now = of_turn(algorithm, progress, first)
    expected, kept, label = expected_term(algorithm, batch, now, first)
    assert 0 < kept.float().mean() < 1 and 0 < label.float().mean() < 1
    step = algorithm.losses(batch, now)
    torch.testing.assert_close(step.terms["strong"], expected)
    torch.testing.assert_close(step.logs["kept"], kept.float().mean())
    torch.testing.assert_close(step.logs["kept_foreground"], kept[label == 1].float().mean())
    t, u = algorithm.first(batch.image[2:]), algorithm.second(batch.image[2:])
    torch.testing.assert_close(step.logs["agreement"], losses.hard_dice(t, u.argmax(1)))
    weights = list(algorithm.student.parameters())
    found = torch.autograd.grad(step.terms["strong"], weights)
    for f, e in zip(found, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(f, e)


def test_no_term_sends_a_gradient_to_a_teacher(make_network, batch, progress):
    algorithm = make(make_network)
    sum(algorithm.losses(batch, progress()).terms.values()).backward()
    assert all(p.grad is None for n in (algorithm.first, algorithm.second) for p in n.parameters())
    assert all(p.grad is not None for p in algorithm.student.parameters())


def test_the_supervised_terms_are_the_baselines(make_network, batch, progress):
    algorithm = make(make_network)
    logits = algorithm.student(batch.image[:2])
    step = algorithm.losses(batch, progress())
    torch.testing.assert_close(step.terms["cross_entropy"], 0.5 * losses.cross_entropy(logits, batch.label))
    torch.testing.assert_close(step.terms["dice_loss"], 0.5 * losses.dice_loss(logits, batch.label))
    torch.testing.assert_close(step.logs["dice"], losses.hard_dice(logits, batch.label))


def test_the_teachers_begin_as_copies_whose_passes_leave_their_statistics_alone(make_network, batch, progress):
    algorithm = ADMT(make_network, weight=1.0, threshold=0.8, period=4, decay=0.99, ramp=0.4).train()
    student = {name: value.clone() for name, value in algorithm.student.state_dict().items()}
    algorithm.losses(batch, progress())
    for teacher in (algorithm.first, algorithm.second):
        found = teacher.state_dict()
        assert all(torch.equal(found[name], value) for name, value in student.items() if "tracked" not in name)


def test_its_chance_is_that_of_the_seed_and_the_step(make_network, batch, progress):
    algorithm = make(make_network, ramp=1e-6)
    for first in (True, False):
        now = of_turn(algorithm, progress, first)
        terms = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            terms.append(algorithm.losses(batch, now).terms["strong"])
        assert torch.equal(*terms)


def test_where_nothing_is_certain_nothing_is_learned_of_the_changed_patches(make_network, batch, progress):
    algorithm = make(make_network)
    for network in (algorithm.student, algorithm.first, algorithm.second):
        with torch.no_grad():
            network.layers[4].weight.zero_()
            network.layers[4].bias.zero_()
    step = algorithm.losses(batch, progress())
    assert step.terms["strong"] == step.logs["kept"] == step.logs["kept_foreground"] == 0


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("patches", "terms"), [(2, 2), (3, 3)])
def test_one_unlabeled_patch_or_none_is_enough(make_network, batch, progress, patches, terms, first):
    algorithm = make(make_network).train()
    step = algorithm.losses(Batch(batch.image[:patches], batch.label), of_turn(algorithm, progress, first))
    assert len(step.terms) == terms and all(term.isfinite() for term in step.terms.values())
