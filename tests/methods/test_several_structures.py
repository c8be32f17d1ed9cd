"""What methods do with three structures, four classes: terms and labels against plain formulas."""

import math

import pytest
import torch
import torch.nn.functional as F

from lassl.data.patches import Batch
from lassl.learning.distance import signed_distance
from lassl.learning.mixing import half_box
from lassl.learning.regions import largest_components
from lassl.methods import admt, cct, dtc, entropy
from lassl.methods.bcp import BCP
from lassl.methods.cps import CPS
from lassl.methods.fixmatch import FixMatch
from lassl.methods.ict import ICT
from lassl.methods.mcnet import MCNet
from lassl.methods.unimatch import UniMatch
from lassl.methods.urpc import URPC
from lassl.model.vnet import VNet
from lassl.settings.sections import Network

CPU = torch.device("cpu")
SHAPE = (3, 4, 5, 4, 3)


def random_logits(seed, scale=2.0):
    return scale * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def of_four(batch):
    """The tiny batch with labels of three structures."""
    label = torch.bucketize(batch.image[:2, 0], torch.tensor([0.3, 0.8, 1.3])).to(torch.uint8)
    return Batch(batch.image, label)


@pytest.fixture
def make_vnet_of_four():
    torch.manual_seed(0)
    return lambda: VNet(Network(width=2, residual=False, dropout=0.5, classes=4))


def test_decoders_and_heads_have_a_channel_for_each_class_or_structure(make_vnet_of_four):
    weight = {"weight": 1.0, "ramp": 1.0}
    mcnet = MCNet(make_vnet_of_four, decoders=3, temperature=0.1, detach=False, **weight)
    urpc = URPC(make_vnet_of_four, scales=3, rectify=True, **weight)
    image = torch.zeros(2, 1, 16, 16, 16)
    assert [d(mcnet.network.encode(image)).shape[1] for d in mcnet.others] == [4, 4]
    assert [logits.shape[1] for logits in urpc.pyramid(image)] == [4, 4, 4]
    distances = dtc.DTC(make_vnet_of_four, distance=0.3, steepness=1500.0, **weight).distance_head
    assert distances.out_channels == 3


def test_entropy_is_a_share_of_that_of_even_classes():
    p = random_logits(0).softmax(1)
    expected = -(p * p.log()).sum(1).mean() / math.log(4)
    torch.testing.assert_close(entropy.mean_entropy(random_logits(0)), expected)


def test_differences_of_decoders_are_means_over_the_classes(make_vnet_of_four):
    a, b = random_logits(0), random_logits(1)
    torch.testing.assert_close(cct.difference(a, b), F.mse_loss(a.softmax(1), b.softmax(1)))
    mcnet = MCNet(make_vnet_of_four, decoders=2, weight=1.0, temperature=0.1, detach=False, ramp=1.0)
    pairs = F.mse_loss(a.softmax(1), (b / 0.1).softmax(1)) + F.mse_loss(b.softmax(1), (a / 0.1).softmax(1))
    torch.testing.assert_close(mcnet.mutual([a, b]), pairs)


def test_dtc_has_a_distance_for_each_structure_whose_least_is_the_label(make_vnet_of_four):
    label = torch.randint(4, (2, 5, 4, 3), generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    maps = dtc.distances(label, 3)
    for structure in (1, 2, 3):
        assert torch.equal(maps[:, structure - 1], signed_distance((label == structure).to(torch.uint8)))
    z = torch.tensor([[0.1, -0.2, -0.1], [0.3, 0.2, 0.1], [-0.9, -0.2, 0.0]]).T.reshape(1, 3, 3, 1, 1)
    assert dtc.labels(z).flatten().tolist() == [2, 0, 1]
    algorithm = dtc.DTC(make_vnet_of_four, weight=1.0, distance=0.3, steepness=5.0, ramp=1.0)
    z, logits = random_logits(1)[:, 1:].tanh(), random_logits(0)
    expected = ((-5 * z).sigmoid() - logits.softmax(1)[:, 1:]).square().mean()
    torch.testing.assert_close(algorithm.disagreement(z, logits), expected)


def test_the_teachers_of_ad_mt_label_by_the_greatest_of_four():
    t, u, s = (random_logits(seed, 1.0).softmax(1) for seed in (0, 1, 2))
    a, b = (torch.exp((p * p.log2()).sum(1, keepdim=True)) for p in (t, u))
    p = (a * t + b * u) / (a + b)
    most, greatest = (torch.stack([each.argmax(1) for each in (t, u, s, p)]), torch.stack([s.amax(1), p.amax(1)]))
    overruled = (most[0] != most[1]) & (most[2] != most[3]) & (greatest[0] > greatest[1])
    assert 0 < overruled.float().mean() < 1
    found = admt.together(*(random_logits(seed, 1.0) for seed in (0, 1, 2)))
    torch.testing.assert_close(found, torch.where(overruled.unsqueeze(1), s, p))
    torch.testing.assert_close(admt.above_half(found), found.amax(1) - 0.5)


def test_cps_teaches_the_class_of_the_other_network(make_network_of_four, of_four, progress):
    algorithm = CPS(make_network_of_four, weight=0.5, adaptive=False, ramp=0.0).eval()
    a, b = algorithm.first(of_four.image[2:]), algorithm.second(of_four.image[2:])
    cross = F.cross_entropy(a, b.argmax(1)) + F.cross_entropy(b, a.argmax(1))
    torch.testing.assert_close(algorithm.losses(of_four, progress()).terms["cross_unlabeled"], 0.5 * cross)


def test_fixmatch_keeps_voxels_by_the_greatest_of_four(make_network_of_four, of_four, progress):
    algorithm = FixMatch(
        make_network_of_four,
        weight=0.5, threshold=0.6, mix="cutmix", intensity=False, teacher="student", decay=0.99, ramp=0.0,
    ).eval()  # fmt: skip
    box = half_box(torch.Size((6, 5, 4)), progress().generator("cutmix", CPU))
    confidence, label = algorithm.student(of_four.image[2:]).detach().softmax(1).max(1)
    image, confidence, label = (torch.where(box, v.flip(0), v) for v in (of_four.image[2:], confidence, label))
    kept = confidence >= 0.6
    assert 0.1 < kept.float().mean() < 0.9 and len(label[kept].unique()) == 3
    entropies = F.cross_entropy(algorithm.student(image), label, reduction="none")
    step = algorithm.losses(of_four, progress())
    torch.testing.assert_close(step.terms["strong"], 0.5 * (entropies * kept).mean())
    torch.testing.assert_close(step.logs["kept_foreground"], kept[label > 0].float().mean())


def test_unimatch_counts_voxels_by_the_greatest_of_four(make_vnet_of_four, progress):
    algorithm = UniMatch(make_vnet_of_four, weight=1.0, threshold=0.5, feature_dropout=0.5, ramp=0.0).eval()
    image = torch.randn(4, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    cubes = Batch(image, (image[:2, 0] > 0.3).to(torch.uint8))
    with torch.no_grad():
        algorithm.network.head[1].weight *= 200
    confidence, label = algorithm.network(image[2:]).softmax(1).max(1)
    counts = confidence >= 0.5
    assert 0.05 < counts.float().mean() < 0.95 and len(label[counts].unique()) > 1
    torch.manual_seed(5)
    features = [F.dropout3d(scale[2:], 0.5) for scale in algorithm.network.encode(image)]
    p = algorithm.network.head(algorithm.network.decode(features)).softmax(1)
    dices = []
    for structure in (1, 2, 3):
        q, y = p[:, structure][counts], (label[counts] == structure).float()
        dices.append((2 * (q * y).sum() + 1e-5) / (q.square().sum() + y.sum() + 1e-5))
    torch.manual_seed(5)
    step = algorithm.losses(cubes, progress())
    torch.testing.assert_close(step.terms["features"], (1 - sum(dices) / 3) / 2)
    torch.testing.assert_close(step.logs["kept_foreground"], counts[label > 0].float().mean())


def test_ict_blends_the_softmax_of_all_classes(make_network_of_four, of_four, progress):
    algorithm = ICT(make_network_of_four, weight=0.5, alpha=0.2, decay=0.99, ramp=0.0).eval()
    blended, target = algorithm.blends(of_four.image[2:], progress())
    first, second = algorithm.teacher(of_four.image[2:]).softmax(1)
    u, v = of_four.image[2:]
    share = ((blended[0] - v) / (u - v)).median()
    assert 0 < share < 1
    torch.testing.assert_close(target[0], share * first + (1 - share) * second, rtol=1e-3, atol=1e-3)
    expected = 0.5 * F.mse_loss(algorithm.student(blended).softmax(1), target)
    torch.testing.assert_close(algorithm.losses(of_four, progress()).terms["consistency"], expected)


def test_bcp_keeps_the_largest_component_of_each_structure(make_network_of_four, of_four):
    options = {"weight": 0.5, "box": 0.667, "pretrain": 0.0, "decay": 0.99}
    algorithm = BCP(make_network_of_four, largest_component=True, **options).eval()
    found, label = algorithm.pseudo_label(of_four.image[2:]), algorithm.teacher(of_four.image[2:]).argmax(1)
    assert torch.equal(found.long(), largest_components(label)) and not torch.equal(found.long(), label)
    assert set(found.unique().tolist()) == set(label.unique().tolist())


@pytest.mark.parametrize("rectify", [True, False])
def test_the_pyramid_compares_four_classes(make_vnet_of_four, rectify):
    heads = [random_logits(seed) for seed in (0, 1, 2)]
    p = [each.softmax(1) for each in heads]
    q, expected = sum(p) / 3, []
    for each in p:
        squared, divergence = (q - each).square().sum(1) / 4, (q * (q / each).log()).sum(1)
        u = (-divergence).exp() if rectify else torch.ones_like(divergence)
        rectified = (squared * u).mean() / u.mean()
        expected.append(rectified + divergence.mean() if rectify else rectified)
    algorithm = URPC(make_vnet_of_four, weight=1.0, scales=3, rectify=rectify, ramp=1.0)
    torch.testing.assert_close(algorithm.consistency(heads)[0], sum(expected) / 3)
