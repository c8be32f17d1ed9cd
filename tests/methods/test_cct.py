"""CCT: decoders of perturbed features."""

import math

import pytest
import torch

from lassl.data.patches import Batch
from lassl.learning.base import supervised_terms
from lassl.learning.perturbations import attention_drop, feature_dropout, feature_noise
from lassl.methods.cct import CCT

RAMP = math.exp(-5 * 0.25)  # half way


def make(make_vnet, **options):
    return CCT(make_vnet, **({"weight": 2.0, "ramp": 1.0} | options))


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def features():
    """Positive features of two patches, three channels."""
    return torch.rand(2, 3, 8, 7, 6, generator=chance(5)) + 0.1


def test_noise_multiplies_all_patches_by_the_same_numbers_between_0_7_and_1_3(features):
    factor = feature_noise(features, chance()) / features
    torch.testing.assert_close(factor[0], factor[1])
    assert 0.7 <= factor.min() < 0.72 and 1.28 < factor.max() <= 1.3001
    assert factor.mean() == pytest.approx(1, abs=0.02)


def test_dropout_leaves_out_three_tenths_of_the_values_and_keeps_their_mean(features):
    factor = feature_dropout(features, chance()) / features
    kept = factor > 0
    assert kept.float().mean() == pytest.approx(0.7, abs=0.03)
    torch.testing.assert_close(factor[kept], torch.full_like(factor[kept], 1 / 0.7))


def test_attention_drop_leaves_out_the_voxels_of_the_largest_means_in_every_channel(features):
    found = attention_drop(features, chance())
    dropped = (found == 0).all(1)
    assert torch.equal(found, features * ~dropped[:, None])
    share = 0.7 + 0.2 * torch.rand((), generator=chance())
    for patch, out in zip(features.mean(1), dropped, strict=True):
        assert out.any() and not out.all()
        assert patch[out].min() >= share * patch.max() > patch[~out].max()


@pytest.mark.parametrize("perturb", [feature_noise, feature_dropout, attention_drop])
def test_a_perturbation_keeps_number_format_and_memory_layout(features, perturb):
    last = features.bfloat16().contiguous(memory_format=torch.channels_last_3d)
    found = perturb(last, chance())
    assert found.dtype == torch.bfloat16 and found.is_contiguous(memory_format=torch.channels_last_3d)


def test_the_consistency_is_the_mean_squared_difference_of_three_perturbed_decoders_on_unlabeled_patches(
    make_vnet, cubes, progress
):
    algorithm = make(make_vnet, form="authors").eval()
    generator = progress().generator("perturbation", torch.device("cpu"))
    features = [scale[2:] for scale in algorithm.network.encode(cubes.image)]
    torch.manual_seed(7)
    noisy = algorithm.others[0]([feature_noise(scale, generator) for scale in features])
    thinned = algorithm.others[1]([feature_dropout(scale, generator) for scale in features])
    unseen = algorithm.others[2]([attention_drop(scale, generator) for scale in features])
    target = algorithm.network(cubes.image[2:]).softmax(1)
    expected = sum((each.softmax(1) - target).square().mean() for each in (noisy, thinned, unseen)) / 3
    torch.manual_seed(7)
    step = algorithm.losses(cubes, progress())
    torch.testing.assert_close(step.terms["cross_consistency"], 2.0 * RAMP * expected)
    dice = 0.0
    for each in (noisy, thinned, unseen):
        a, b = each.argmax(1).bool(), target.argmax(1).bool()
        dice += 2 * (a & b).sum() / (a.sum() + b.sum()) / 3
    torch.testing.assert_close(step.logs["agreement"], dice)


def test_in_the_authors_form_the_supervised_terms_are_the_baselines(make_vnet, cubes, progress):
    algorithm = make(make_vnet, form="authors").eval()
    expected = supervised_terms(algorithm.network(cubes.image[:2]), cubes.label)
    found = algorithm.losses(cubes, progress()).terms
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term)


def test_in_ssl4mis_form_labels_and_consistency_teach_all_decoders(make_vnet, cubes, progress):
    algorithm = make(make_vnet)
    terms = algorithm.losses(cubes, progress()).terms
    for term in (terms.pop("cross_consistency"), sum(terms.values())):
        gradients = torch.autograd.grad(term, list(algorithm.parameters()), retain_graph=True)
        assert all(each.isfinite().all() for each in gradients)
        names = [name for (name, _), each in zip(algorithm.named_parameters(), gradients, strict=True) if each.any()]
        for module in ("network.encoder", "network.decoder", "network.head", "others.0", "others.1", "others.2"):
            assert any(name.startswith(module) for name in names), module


def test_in_ssl4mis_form_the_supervised_terms_are_the_mean_over_four_decoders(make_vnet, cubes, progress):
    algorithm = make(make_vnet).eval()
    torch.manual_seed(7)
    features = algorithm.network.encode(cubes.image)
    logits = [algorithm.network(cubes.image), *algorithm.perturbed(features, progress())]
    each = [supervised_terms(one[:2], cubes.label) for one in logits]
    torch.manual_seed(7)
    found = algorithm.losses(cubes, progress()).terms
    for name in ("cross_entropy", "dice_loss"):
        torch.testing.assert_close(found[name], sum(terms[name] for terms in each) / 4)


def test_in_the_authors_form_the_consistency_teaches_the_perturbed_decoders_and_the_labels_all_but_these(
    make_vnet, cubes, progress
):
    algorithm = make(make_vnet, form="authors")
    terms = algorithm.losses(cubes, progress()).terms
    own = [*algorithm.network.decoder.parameters(), *algorithm.network.head.parameters()]
    terms.pop("cross_consistency").backward(retain_graph=True)
    assert all(p.grad is not None for p in algorithm.others.parameters())
    assert all(p.grad.any() for p in algorithm.network.encoder.parameters() if p.dim() > 1)
    assert all(p.grad is None for p in own)
    algorithm.zero_grad()
    sum(terms.values()).backward()
    assert all(p.grad is None for p in algorithm.others.parameters())
    assert all(p.grad is not None for p in algorithm.network.parameters())


def test_the_perturbations_of_a_step_are_the_seeds(make_vnet, cubes, progress):
    algorithm = make(make_vnet).eval()
    features = [scale[2:] for scale in algorithm.network.encode(cubes.image)]
    first, again, other = (algorithm.perturbed(features, progress(step)) for step in (3, 3, 4))
    for k in (0, 2):  # dropout is torch's own, which the training loop seeds
        assert torch.equal(first[k], again[k]) and not torch.equal(first[k], other[k])


def test_the_decoders_start_with_weights_of_their_own_and_only_the_v_net_is_evaluated(make_vnet):
    algorithm = make(make_vnet)
    assert algorithm.networks == {"network": algorithm.network}
    first, *rest = (decoder.head[1].weight for decoder in algorithm.others)
    assert all(not torch.equal(first, weight) for weight in (*rest, algorithm.network.head[1].weight))


def test_bf16_gives_finite_gradients(make_vnet, bars, progress):
    algorithm = make(make_vnet)
    with torch.autocast("cpu", torch.bfloat16):
        terms = algorithm.losses(bars, progress()).terms
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in algorithm.parameters())


def test_one_unlabeled_patch_will_do_and_none_leaves_the_supervised_terms(make_vnet, cubes, progress):
    algorithm, empty = make(make_vnet), torch.zeros_like(cubes.label)
    one = algorithm.losses(Batch(cubes.image[:3], empty), progress()).terms
    none = algorithm.losses(Batch(cubes.image[:2], empty), progress()).terms
    assert set(one) - set(none) == {"cross_consistency"}
    assert all(term.isfinite() for term in (*one.values(), *none.values()))
