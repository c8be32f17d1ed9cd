"""The baseline."""

import torch

from lassl.data.patches import Batch
from lassl.learning import losses
from lassl.methods.supervised import Supervised


def test_the_loss_is_half_of_cross_entropy_plus_dice(make_network, batch, progress):
    algorithm = Supervised(make_network).eval()
    logits = algorithm.network(batch.image[:2])
    step = algorithm.losses(Batch(batch.image[:2], batch.label), progress())
    expected = 0.5 * (losses.cross_entropy(logits, batch.label) + losses.dice_loss(logits, batch.label))
    torch.testing.assert_close(sum(step.terms.values()), expected)


def test_unlabeled_patches_teach_it_nothing(make_network, batch, progress):
    algorithm = Supervised(make_network).eval()
    without = algorithm.losses(Batch(batch.image[:2], batch.label), progress())
    with_them = algorithm.losses(batch, progress())
    assert without.terms.keys() == with_them.terms.keys()
    for name, term in without.terms.items():
        torch.testing.assert_close(with_them.terms[name], term)


def test_it_is_evaluated_with_its_one_network(make_network):
    algorithm = Supervised(make_network)
    assert list(algorithm.networks.values()) == [algorithm.network]
