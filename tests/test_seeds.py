"""Named random streams."""

import numpy as np

from lassl.seeds import stream, stream_seed


def test_the_same_seed_and_purpose_give_the_same_numbers():
    first, again = stream(3, "patch", 17), stream(3, "patch", 17)
    np.testing.assert_array_equal(first.random(5), again.random(5))


def test_another_purpose_or_seed_gives_other_numbers():
    asked = [(0, "patch", 17), (0, "patch", 18), (0, "noise", 17), (1, "patch", 17), (0, "patch"), (0,)]
    assert len({stream(*a).integers(2**62) for a in asked}) == len(asked)


def test_the_parts_of_a_purpose_do_not_run_together():
    assert stream_seed(0, "a", 1) != stream_seed(0, "a1")
    assert stream_seed(0, "a", 11) != stream_seed(0, "a", 1, 1)
    assert stream_seed(1, 2) != stream_seed(12)


def test_using_one_stream_moves_no_other():
    expected = stream(0, "dropout").random(3)
    stream(0, "patch").random(100)
    np.testing.assert_array_equal(stream(0, "dropout").random(3), expected)


def test_a_seed_fits_torch_and_numpy():
    seeds = [stream_seed(0, "any", i) for i in range(200)]
    assert 0 <= min(seeds) and 2**61 < max(seeds) < 2**63


def test_the_numbers_never_change_silently():
    assert stream_seed(0, "patch", 17) == 1330795488559593738  # sha256("0/patch/17"), 8 bytes, top bit dropped
    np.testing.assert_allclose(stream(0, "patch", 17).random(2), [0.30473015, 0.92866013], atol=1e-8)
