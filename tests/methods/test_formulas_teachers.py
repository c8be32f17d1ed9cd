"""A step of each method with a teacher, against the formula of its authors' code and the differences that we chose."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from helpers.formulas import (
    CPU,
    LN2,
    apart,
    assert_same,
    climbed,
    cross_entropy,
    dice_loss,
    entropy,
    lovasz_softmax,
    supervised,
)
from lassl.data.patches import Batch
from lassl.learning.base import Step
from lassl.learning.mixing import box_of, half_box
from lassl.learning.perturbations import change_intensity
from lassl.methods.admt import ADMT, together
from lassl.methods.bcp import BCP
from lassl.methods.fixmatch import FixMatch
from lassl.methods.ict import ICT
from lassl.methods.mean_teacher import MeanTeacher

HALF = 0.5  # of training is done in every test; the 40 stairs of the mean teachers are at 20 then
MT = {"weight": 0.1, "passes": 0, "consistency": "mse", "lovasz": 0.0, "mask": "all"}


def teaching(make_network, **options):
    """A mean teacher in evaluation mode, so that passes differ by their noise alone, with weights of its own."""
    algorithm = MeanTeacher(make_network, **(MT | options)).eval()
    apart(algorithm.teacher)
    return algorithm


def noisy(image, progress, passes=1):
    """Passes of a teacher's input: noise of deviation 0.1 between -0.2 and 0.2. Ours are one batch, pass by pass."""
    shape = (passes * len(image), *image.shape[1:])
    noise = torch.randn(shape, generator=progress.generator("noise", CPU))
    return [image + part.mul(0.1).clamp(-0.2, 0.2) for part in noise.chunk(passes)]


def squared(logits, target):
    """Squared difference of both classes' probabilities, (N, 2, X, Y, Z)."""
    return (logits.softmax(1) - target.softmax(1)) ** 2


@pytest.mark.parametrize("lovasz", [0.0, 1.0])
def test_ua_mt_is_its_authors_and_lovasz_softmax_is_bermans(make_network, batch, progress, lovasz):
    """Ours: the nine passes are one batch (theirs: five batches, which batch norm sees apart in training)."""
    algorithm = teaching(make_network, passes=8, mask="certain", lovasz=lovasz)
    logits = algorithm.student(batch.image)
    with torch.no_grad():
        target, *others = [algorithm.teacher(x) for x in noisy(batch.image[2:], progress(), 9)]
    mean = torch.stack([each.softmax(1) for each in others]).mean(0)
    mask = (entropy(mean) < (0.75 + 0.25 * climbed(HALF)) * LN2).float().unsqueeze(1)
    assert 0 < mask.mean() < 1
    theirs = (mask * squared(logits[2:], target)).sum() / (2 * mask.sum() + 1e-16)
    expected = supervised(logits[:2], batch.label) + 0.1 * climbed(HALF) * theirs
    if lovasz:  # the weight is ours; the paper that has it prints none, and the formulas of the Lovasz hinge
        expected = expected + lovasz * lovasz_softmax(logits[:2], batch.label)
    assert_same(algorithm, algorithm.losses(batch, progress()), expected)


def test_the_mean_teacher_is_ssl4mis(make_network, batch, progress):
    algorithm = teaching(make_network)
    logits = algorithm.student(batch.image)
    (noise,) = noisy(batch.image[2:], progress())
    theirs = squared(logits[2:], algorithm.teacher(noise).detach()).mean()
    expected = supervised(logits[:2], batch.label) + 0.1 * climbed(HALF) * theirs
    assert_same(algorithm, algorithm.losses(batch, progress()), expected)


@pytest.mark.parametrize("end", [0.75, 1.0])
def test_ac_mt_is_its_authors_whose_threshold_climbs_over_all_of_training(make_network, batch, progress, end):
    """Theirs: the weight is full at 6000 of 8000 steps (0.75, as at profile paper), the threshold climbs to the end."""
    algorithm = teaching(make_network, mask="ambiguous", ramp=end)
    logits = algorithm.student(batch.image)
    (noise,) = noisy(batch.image[2:], progress())
    uncertainty = entropy(logits[2:].detach().softmax(1))
    mask = (uncertainty >= (0.75 + 0.2 * climbed(HALF)) * LN2).float().unsqueeze(1)
    assert 0 < mask.mean() < 1
    theirs = (mask * squared(logits[2:], algorithm.teacher(noise).detach())).sum() / (2 * mask.sum() + 1e-16)
    expected = supervised(logits[:2], batch.label) + 0.1 * climbed(HALF, end) * theirs
    assert_same(algorithm, algorithm.losses(batch, progress()), expected)


def test_uncl_is_its_authors_halved_on_all_patches_and_full_from_the_first_step(make_network, batch, progress):
    """Theirs: CE + Dice + w mse + 0.5 (FeCL + UnCL). Ours: half of it, without mse and FeCL."""
    algorithm = teaching(make_network, weight=0.25, weighting="uncertainty", patches="all", ramp=0.0)
    for step in (0, 20):
        beta = 5 * math.exp(math.log(0.5 / 5) * step / 40)
        logits = algorithm.student(batch.image)
        (noise,) = noisy(batch.image, progress(step))
        p, q = logits.softmax(1), algorithm.teacher(noise).detach().softmax(1)
        h, k = entropy(p).unsqueeze(1), entropy(q).unsqueeze(1)
        weighted = (p - q) ** 2 / ((beta * h).exp() + (beta * k).exp())
        uncl = weighted.sum(1).mean() + beta * (h + k).mean()
        theirs = cross_entropy(logits[:2], batch.label) + dice_loss(logits[:2], batch.label) + 0.5 * uncl
        assert_same(algorithm, algorithm.losses(batch, progress(step)), theirs / 2, rtol=1e-3)


def test_ict_is_ssl4mis_with_a_blend_of_every_patch(make_network, batch, progress):
    """SSL4MIS blends the two unlabeled patches into one; its authors blend logits, not probabilities."""
    algorithm = ICT(make_network, weight=0.1, alpha=0.2, decay=0.99, ramp=1.0).eval()
    apart(algorithm.teacher)
    seed = progress().generator("interpolation", CPU).initial_seed()
    u, shares = batch.image[2:], np.random.default_rng(seed).beta(0.2, 0.2, 2).tolist()
    with torch.no_grad():
        q = algorithm.teacher(u).softmax(1)
    theirs = 0.0
    for i, share in enumerate(shares):
        blend, target = (share * v[i] + (1 - share) * v[1 - i] for v in (u, q))
        theirs = theirs + ((algorithm.student(blend.unsqueeze(0)).softmax(1)[0] - target) ** 2).mean() / 2
    expected = supervised(algorithm.student(batch.image[:2]), batch.label) + 0.1 * climbed(HALF) * theirs
    assert_same(algorithm, algorithm.losses(batch, progress()), expected)


@pytest.mark.parametrize("mix", ["none", "cutmix"])
def test_fixmatch_is_its_authors_and_cutmix_mt_has_its_loss(make_network, batch, progress, mix):
    """FixMatch: CE over the kept voxels by all of them, weight 1 from the first step.

    French et al., whose CutMix-MT is the other row: the squared difference to the teacher's softmax, times the share of
    voxels over 0.97. Ours: FixMatch's loss, the box of half the volume one for all patches.
    """
    algorithm = FixMatch(
        make_network, weight=1.0, threshold=0.8, mix=mix, intensity=mix == "none",
        teacher="student" if mix == "none" else "ema", decay=0.99, ramp=0.0,
    ).eval()  # fmt: skip
    if mix == "cutmix":
        apart(algorithm.average)
    weak = batch.image[2:]
    with torch.no_grad():
        confidence, label = (algorithm.average or algorithm.student)(weak).softmax(1).max(1)
    kept = (confidence >= 0.8).float()
    assert 0 < kept.mean() < 1
    if mix == "none":
        strong = change_intensity(weak, progress().generator("intensity", CPU))
    else:
        box = half_box(weak.shape[2:], progress().generator("cutmix", CPU))
        strong, label, kept = (torch.where(box, v.flip(0), v) for v in (weak, label, kept))
    theirs = (F.cross_entropy(algorithm.student(strong), label, reduction="none") * kept).mean()
    expected = supervised(algorithm.student(batch.image[:2]), batch.label) + theirs
    assert_same(algorithm, algorithm.losses(batch, progress()), expected)


def masked_supervised(logits, label, mask):
    """CE as a mean over a mask, and the Dice of its voxels, halved: `mix_loss` of BCP with our Dice."""
    weight = mask.expand(label.shape).float()
    ce = (F.cross_entropy(logits, label.long(), reduction="none") * weight).sum() / weight.sum()
    p, y = logits.softmax(1)[:, 1] * weight, label * weight
    return 0.5 * (ce + 1 - (2 * (p * y).sum() + 1e-5) / ((p * p).sum() + (y * y).sum() + 1e-5))


@pytest.mark.parametrize("step", [2, 20])
def test_bcp_is_its_authors_before_and_after_the_switch(make_network, progress, step):
    """Ours: the Dice of the foreground with squares, over both patches of a mixture (theirs: the mean of both classes,
    linear, patch by patch); both mixtures are one batch.
    """
    image = torch.randn(8, 1, 6, 5, 4, generator=torch.Generator().manual_seed(1))
    batch = Batch(image, (image[:4, 0] > 0.3).to(torch.uint8))
    options = {"weight": 0.5, "box": 0.667, "pretrain": 0.118, "largest_component": True, "decay": 0.99}
    algorithm = BCP(make_network, **options).eval()
    apart(algorithm.teacher)
    at = progress(step)
    box = box_of(image.shape[2:], [4, 3, 2], at.generator("copy_paste", CPU))
    outside = (~box).float()  # M: 0 in the box
    x, y, u = image[:4], batch.label.float(), image[4:]
    if step < 0.118 * 40:
        mixed = [v[:2] * outside + v[2:].flip(0) * (1 - outside) for v in (x, y)]
        expected = supervised(algorithm.student(mixed[0]), mixed[1])
    else:
        found = algorithm.teacher(u).argmax(1).numpy()
        q = torch.zeros(found.shape)
        for i, mask in enumerate(found):
            parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
            q[i] = torch.from_numpy(parts == 1 + np.argmax(ndimage.sum(mask, parts, range(1, count + 1))))
        first = algorithm.student(x[:2] * outside + u[:2] * (1 - outside))
        second = algorithm.student(u[2:] * outside + x[2:] * (1 - outside))
        expected = (
            masked_supervised(first, y[:2], outside)
            + 0.5 * masked_supervised(first, q[:2], 1 - outside)
            + 0.5 * masked_supervised(second, q[2:], outside)
            + masked_supervised(second, y[2:], 1 - outside)
        )
    terms = algorithm.losses(batch, at).terms
    if step == 2:
        assert terms.pop("copy_paste") == 0
    assert_same(algorithm, Step(terms, {}), expected)


@pytest.mark.parametrize("first_turn", [True, False])
def test_ad_mt_is_its_authors_in_the_turns_of_both_teachers(make_network, batch, progress, first_turn):
    """Ours: a box of half the volume for all patches (theirs: 22 % on average, each its own); the student's own labels
    move with the patches; brightness from the mean before contrast.
    """
    algorithm = ADMT(make_network, weight=2.0, threshold=0.8, period=4, decay=0.99, ramp=0.4).eval()
    apart(algorithm.first)
    apart(algorithm.second, 0.5)
    at = next(p for p in map(progress, range(20, 40)) if algorithm.first_turn(p) == first_turn)
    weak = batch.image[2:]
    logits = algorithm.student(batch.image)
    with torch.no_grad():
        t, u, s = (network(weak).softmax(1) for network in (algorithm.first, algorithm.second, algorithm.student))
    e, f = (torch.exp(entropy(p) / -LN2).unsqueeze(1) for p in (t, u))  # entropies in bits
    confidence, label = ((e * t + f * u) / (e + f)).max(1)
    own_confidence, own = s.max(1)
    disputed = (t.argmax(1) != u.argmax(1)) & (own != label) & (own_confidence > confidence)
    assert disputed.any()
    label, confidence = torch.where(disputed, own, label), torch.where(disputed, own_confidence, confidence)
    found = together(algorithm.first(weak), algorithm.second(weak), algorithm.student(weak)).squeeze(1)
    torch.testing.assert_close(torch.where(found > 0.5, found, 1 - found), confidence, rtol=1e-4, atol=1e-5)
    if first_turn:
        strong = change_intensity(weak, at.generator("intensity", CPU))
    else:
        box = half_box(weak.shape[2:], at.generator("cutmix", CPU))
        strong, label, confidence = (torch.where(box, v.flip(0), v) for v in (weak, label, confidence))
    kept = (confidence >= 0.8).float()
    assert 0 < kept.mean() < 1
    theirs = (F.cross_entropy(algorithm.student(strong), label, reduction="none") * kept).sum() / kept.sum()
    expected = supervised(logits[:2], batch.label) + 2.0 * climbed(at.fraction, 0.4) * theirs
    assert_same(algorithm, algorithm.losses(batch, at), expected)
