"""A step of each method with more networks, decoders or heads against its authors' formula, and our differences."""

import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import nn

from helpers.formulas import CPU, assert_same, climbed, cross_entropy, lively, lovasz_softmax, supervised
from lassl.learning.losses import hard_dice
from lassl.learning.mixing import half_box
from lassl.learning.perturbations import attention_drop, feature_dropout, feature_noise
from lassl.methods.cct import CCT
from lassl.methods.cps import CPS
from lassl.methods.dtc import DTC
from lassl.methods.mcnet import MCNet
from lassl.methods.urpc import URPC

HALF = 0.5  # of training is done in every test


@pytest.mark.parametrize(
    "options", [{}, {"adaptive": True}, {"mix": "cutmix"}, {"adaptive": True, "lovasz": 1.0}],
    ids=["cps", "alw", "cutmix", "lovasz"],
)  # fmt: skip
def test_cps_is_chens_with_a_mean_of_each_kind_of_patches(make_network, batch, progress, options):
    """Chen et al.: CE of the labels, and CE with the other's arg-max over all patches as one mean.

    Ours: the mean over labeled patches and that over unlabeled ones are summed, so that a weight counts twice; a ramp.
    The adaptive weight is Equation 4 of Gupta and Guo, of the epoch before. CutMix is French et al.'s box.
    """
    algorithm = CPS(make_network, **({"weight": 0.1, "adaptive": False} | options)).eval()
    w, weights = 0.1 * climbed(HALF), [0.1 * climbed(HALF)] * 2
    if algorithm.adaptive:
        algorithm.losses(batch, progress(step=1, epoch=0))
        dice = [hard_dice(network(batch.image[:2]), batch.label) for network in (algorithm.first, algorithm.second)]
        weights[1] = w * float(sum(dice)) / 2
    unlabeled, teach = batch.image[2:], [n(batch.image[2:]).argmax(1) for n in (algorithm.first, algorithm.second)]
    if algorithm.mix == "cutmix":
        box = half_box(unlabeled.shape[2:], progress().generator("cutmix", CPU))
        unlabeled, *teach = (torch.where(box, v.flip(0), v) for v in (unlabeled, *teach))
    a, b = (network(batch.image[:2]) for network in (algorithm.first, algorithm.second))
    expected = cross_entropy(a, batch.label) + cross_entropy(b, batch.label)
    expected = expected + weights[0] * (cross_entropy(a, b.argmax(1)) + cross_entropy(b, a.argmax(1)))
    if algorithm.lovasz:
        expected = expected + lovasz_softmax(a, batch.label) + lovasz_softmax(b, batch.label)
    a, b = (network(unlabeled) for network in (algorithm.first, algorithm.second))
    expected = expected + weights[1] * (cross_entropy(a, teach[1]) + cross_entropy(b, teach[0]))
    assert_same(algorithm, algorithm.losses(batch, progress(epoch=1)), expected)


def signed_distance(label):
    """Distance to the voxels of the surface by its largest, outside and inside (theirs inside: to the background)."""
    inside = label.numpy().astype(bool)
    touching = [distance_transform_edt(patch) == 1 for patch in inside]  # foreground beside background, along an axis
    maps = []
    for patch, surface in zip(inside, touching, strict=True):
        d = distance_transform_edt(~surface)
        maps.append(torch.from_numpy(d * ~patch / (d * ~patch).max() - d * patch / max((d * patch).max(), 1)))
    return torch.stack(maps).float()


def test_dtc_is_its_authors(make_vnet, cubes, progress):
    """Ours: cross-entropy beside Dice; two logits; the head for the distance before the dropout; distances inside."""
    algorithm = lively(DTC(make_vnet, weight=1.0, distance=0.3, steepness=1500, ramp=1.0), cubes, progress())
    nn.init.normal_(algorithm.distance_head.weight, std=1e-3, generator=torch.Generator().manual_seed(3))
    nn.init.zeros_(algorithm.distance_head.bias)
    network = algorithm.network
    features = network.decode(network.encode(cubes.image))
    logits, z = network.head(features), algorithm.distance_head(features).tanh().squeeze(1)
    consistency = ((torch.sigmoid(-1500 * z) - logits.softmax(1)[:, 1]) ** 2).mean()
    distance = ((z[:2] - signed_distance(cubes.label)) ** 2).mean()
    expected = supervised(logits[:2], cubes.label) + 0.3 * distance + 1.0 * climbed(HALF) * consistency
    assert_same(algorithm, algorithm.losses(cubes, progress()), expected, rtol=1e-3)


@pytest.mark.parametrize("scales", [3, 4])
def test_urpc_is_ssl4mis(make_vnet, cubes, progress, scales):
    """Ours: the Dice of the foreground at each scale (theirs: of both classes); a V-Net; 3 scales (theirs: 4)."""
    algorithm = lively(URPC(make_vnet, weight=0.1, scales=scales, rectify=True, ramp=1.0), cubes, progress())
    logits = algorithm.pyramid(cubes.image)
    soft = [each[2:].softmax(1) for each in logits]
    mean = sum(soft) / scales
    terms = []
    for p in soft:
        variance = nn.functional.kl_div(p.log(), mean, reduction="none").sum(1, keepdim=True)
        certainty = torch.exp(-variance)
        per_patch = ((mean - p) ** 2 * certainty).mean((1, 2, 3, 4)) / (certainty.mean((1, 2, 3, 4)) + 1e-8)
        terms.append((per_patch + variance.mean((1, 2, 3, 4))).mean())
    labels = sum(supervised(each[:2], cubes.label) for each in logits) / scales
    expected = labels + 0.1 * climbed(HALF) * sum(terms) / scales
    assert_same(algorithm, algorithm.losses(cubes, progress()), expected, rtol=1e-3)


@pytest.mark.parametrize("decoders", [2, 3])
def test_mc_net_and_mc_net_plus_are_their_authors(make_vnet, cubes, progress, decoders):
    """Ours: 0.5 (CE + Dice) for each decoder, squares in the Dice (theirs: Dice alone, linear)."""
    algorithm = MCNet(make_vnet, decoders=decoders, weight=1.0, temperature=0.5, detach=False, ramp=0.4)
    lively(algorithm, cubes, progress())
    network = algorithm.network
    features = network.encode(cubes.image)
    logits = [network.head(network.decode(features)), *(decoder(features) for decoder in algorithm.others)]
    soft = [each.softmax(1) for each in logits]
    sharp = [p ** (1 / 0.5) / (p ** (1 / 0.5) + (1 - p) ** (1 / 0.5)) for p in soft]
    consistency = 0.0
    for i in range(decoders):
        for j in range(decoders):
            if i != j:
                consistency = consistency + ((soft[i] - sharp[j]) ** 2).mean()
    labels = 0.5 * sum(supervised(each[:2], cubes.label) for each in logits)
    assert_same(algorithm, algorithm.losses(cubes, progress()), labels + climbed(HALF, 0.4) * consistency)


@pytest.mark.parametrize("form", ["ssl4mis", "authors"])
def test_cct_is_ssl4mis_or_its_authors(make_vnet, cubes, progress, form):
    """SSL4MIS: the labels teach all four decoders, gradients reach the V-Net's prediction, too; its authors: neither.

    Ours: three dimensions; the Dice of the foreground; in the authors' form three of seven perturbations, all scales.
    """
    algorithm = lively(CCT(make_vnet, weight=0.1, ramp=1.0, form=form), cubes, progress())
    network, first = algorithm.network, 0 if form == "ssl4mis" else 2
    generator = progress().generator("perturbation", CPU)
    torch.manual_seed(5)
    features = network.encode(cubes.image)
    main = network.head(network.decode(features))
    others = []
    for decoder, perturb in zip(algorithm.others, (feature_noise, feature_dropout, attention_drop), strict=True):
        others.append(decoder([perturb(scale[first:], generator) for scale in features]))
    p = main[2:].softmax(1)
    if form == "authors":
        p = p.detach()
        labels = supervised(main[:2], cubes.label)
    else:
        labels = (supervised(main[:2], cubes.label) + sum(supervised(o[:2], cubes.label) for o in others)) / 4
        others = [each[2:] for each in others]
    consistency = sum(((p - each.softmax(1)) ** 2).mean() for each in others) / 3
    torch.manual_seed(5)
    assert_same(algorithm, algorithm.losses(cubes, progress()), labels + 0.1 * climbed(HALF) * consistency, rtol=1e-3)
