"""A step of each method with one network against the formula of its authors' code, and the differences we chose."""

import pytest
import torch
import torch.nn.functional as F

from helpers.formulas import CPU, LN2, assert_same, climbed, entropy, lively, supervised
from lassl.learning.mixing import half_box
from lassl.learning.perturbations import change_intensity
from lassl.methods.entropy import EntropyMinimization
from lassl.methods.rdrop import RDrop
from lassl.methods.supervised import Supervised
from lassl.methods.unimatch import UniMatch
from lassl.methods.vat import VAT

HALF = 0.5  # of training is done in every test


def test_the_baseline_is_ua_mts_loss_on_labels(make_network, batch, progress):
    algorithm = Supervised(make_network).eval()
    expected = supervised(algorithm.network(batch.image[:2]), batch.label)
    assert_same(algorithm, algorithm.losses(batch, progress()), expected)


@pytest.mark.parametrize(("patches", "first"), [("all", 0), ("unlabeled", 2)])
def test_entropy_is_ssl4mis_and_advents(make_network, batch, progress, patches, first):
    """SSL4MIS: all patches, 0.1 at the end of a ramp; ADVENT: those without labels. Ours: no 1e-6 in the logarithm."""
    algorithm = EntropyMinimization(make_network, weight=0.1, patches=patches, ramp=1.0).eval()
    logits = algorithm.network(batch.image)
    theirs = (entropy(logits[first:].softmax(1)) / LN2).mean()
    expected = supervised(logits[:2], batch.label) + 0.1 * climbed(HALF) * theirs
    assert_same(algorithm, algorithm.losses(batch, progress()), expected, rtol=1e-3)


def test_vat_is_miyatos_with_the_constants_of_ss_net(make_network, batch, progress):
    """One power iteration, xi = epsilon = 10. Ours: KL as Miyato et al., not the Dice of SS-Net; a normal start."""
    algorithm = VAT(make_network, weight=1.0, ramp=0.4).eval()
    x, network = batch.image, algorithm.network

    def divergence(moved):
        p = network(x).softmax(1).detach()
        return (p * (p.log() - moved.log_softmax(1))).sum(1)

    def unit(d):
        return d / d.flatten(1).norm(dim=1).view(-1, 1, 1, 1, 1)

    r = unit(torch.randn(x.shape, generator=progress().generator("adversary", CPU))).requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(network(x + 10 * r)).sum(), r)
    adversarial = divergence(network(x + 10 * unit(gradient))).mean()
    expected = supervised(network(x[:2]), batch.label) + 1.0 * climbed(HALF, 0.4) * adversarial
    assert_same(algorithm, algorithm.losses(batch, progress()), expected)


@pytest.mark.parametrize(("patches", "first"), [("all", 0), ("unlabeled", 2)])
def test_r_drop_is_the_papers_halved(make_network, batch, progress, patches, first):
    """Paper: S(a) + S(b) + weight / 2 [KL + KL]; the authors' code has the divergence twice; SSL4MIS along an axis."""
    algorithm = RDrop(make_network, weight=4.0, patches=patches).train()
    torch.manual_seed(8)
    a, b = algorithm.network(torch.cat([batch.image, batch.image])).chunk(2)  # one batch, as fairseq's
    both, labels = torch.cat([a[:2], b[:2]]), torch.cat([batch.label, batch.label])
    a, b = a[first:], b[first:]
    kl = [F.kl_div(p.log_softmax(1), q.softmax(1), reduction="none").sum(1).mean() for p, q in ((a, b), (b, a))]
    paper = 2 * supervised(both, labels) + 4.0 * climbed(HALF) / 2 * (kl[0] + kl[1])
    torch.manual_seed(8)
    assert_same(algorithm, algorithm.losses(batch, progress()), paper / 2)


def test_unimatch_is_its_authors_doubled(make_vnet, cubes, progress):
    """Theirs: (S + D(view 1) / 4 + D(view 2) / 4 + D(features) / 2) / 2.

    Ours: twice that; D of the foreground (theirs: the mean of both classes); boxes of half the volume at every step,
    from the reversed batch; labels of a box from the same pass; intensity in the place of color and blur; no labeled
    features are dropped.
    """
    at = progress()
    algorithm = lively(UniMatch(make_vnet, weight=1.0, threshold=0.9, feature_dropout=0.5, ramp=0.0), cubes, at)
    network = algorithm.network

    def masked_dice(logits, label, counts):
        p, y = logits.softmax(1)[:, 1][counts], label[counts].float()
        return 1 - (2 * (p * y).sum() + 1e-5) / ((p * p).sum() + (y * y).sum() + 1e-5)

    torch.manual_seed(5)
    features = network.encode(cubes.image)
    logits = network.head(network.decode(features))
    dropped = network.head(network.decode([F.dropout3d(scale[2:], 0.5) for scale in features]))
    confidence, label = logits[2:].detach().softmax(1).max(1)
    assert 0.05 < (confidence >= 0.9).float().mean() < 0.95
    terms = [masked_dice(dropped, label, confidence >= 0.9) / 2]
    for view in ("first", "second"):
        strong = change_intensity(cubes.image[2:], at.generator(f"intensity, {view} view", CPU))
        box = half_box(strong.shape[2:], at.generator(f"cutmix, {view} view", CPU))
        mixed = torch.where(box, strong.flip(0), strong)
        y, certain = (torch.where(box, v.flip(0), v) for v in (label, confidence >= 0.9))
        terms.append(masked_dice(network(mixed), y, certain) / 4)
    theirs = (supervised(logits[:2], cubes.label) + sum(terms)) / 2
    torch.manual_seed(5)
    assert_same(algorithm, algorithm.losses(cubes, at), 2 * theirs)
