"""Strong changes of intensity."""

import torch

from lassl.learning.perturbations import change_intensity


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_each_patch_is_changed_by_what_was_drawn_for_it():
    patches = 3 * torch.randn(60, 1, 4, 3, 5, generator=generator(1)) - 2
    found = change_intensity(patches, generator())
    chance = generator()
    contrast, brightness, deviation, changed, noisy = torch.rand(5, 60, generator=chance).tolist()[0:5]
    noise = torch.randn(patches.shape, generator=chance)
    seen = set()
    for i, patch in enumerate(patches):
        expected, low, high = patch, patch.min(), patch.max()
        if changed[i] < 0.8:
            unit = (patch - low) / (high - low)
            unit = (unit * (0.5 + contrast[i]) + unit.mean() * (brightness[i] - 0.5)).clip(0, 1)
            expected = unit * (high - low) + low
        if noisy[i] < 0.2:
            expected = expected + (0.1 + 0.9 * deviation[i]) * noise[i].clip(-2, 2)
        torch.testing.assert_close(found[i], expected)
        seen.add((changed[i] < 0.8, noisy[i] < 0.2))
    assert len(seen) == 4


def test_a_patch_of_one_value_stays_finite():
    assert change_intensity(torch.full((40, 1, 2, 2, 2), 3.0), generator()).isfinite().all()


def test_the_change_is_the_generators():
    patches = torch.randn(2, 1, 4, 3, 5, generator=generator(1))
    first, again, other = (change_intensity(patches, generator(seed)) for seed in (2, 2, 3))
    assert torch.equal(first, again) and not torch.equal(first, other)
