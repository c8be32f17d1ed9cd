"""Convolutions in the format of the training, compared with fp32: wrong ones are found, and chance is not moved."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from lassl.model.convolutions import Case, largest, smallest, wrong
from lassl.model.placement import Placement, multiplies_bf16
from lassl.plumbing.errors import LasslError

CPU = torch.device("cpu")
LAYOUTS = (torch.contiguous_format, torch.channels_last_3d)


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def found(cases, layout=torch.channels_last_3d, **convolution) -> list[str]:
    return list(wrong(cases, CPU, layout, autocast, **convolution))


def off_by(factor: float):
    return lambda *words, **options: F.conv3d(*words, **options) * factor


def wrong_at_the_end_of_z(*words, **options):
    output = F.conv3d(*words, **options).clone()
    output[..., -1] = 0
    return output


def wrong_backwards(image, weight, **options):
    """The right output, with a gradient of the weights that is half of what it should be."""
    return F.conv3d(image, weight / 2 + weight.detach() / 2, **options)


def test_the_convolutions_that_are_tried_are_those_around_the_last_halving_and_at_the_full_size():
    one, two, three = (1, 1, 1), (2, 2, 2), (3, 3, 3)
    assert smallest((64, 64, 16)) == [
        Case(64, 64, three, one, 1, (8, 8, 2)),
        Case(64, 128, two, two, 0, (8, 8, 2)),
        Case(128, 128, three, one, 1, (4, 4, 1)),
    ]
    size = (64, 64, 16)
    assert largest(size, 8) == [Case(8, 8, three, one, 1, size), Case(8, 16, two, two, 0, size)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("patch", [(48, 48, 48), (64, 64, 16), (48, 16, 16)])
def test_bf16_is_right_here_for_patches_that_are_not_refused(layout, patch):
    assert found(smallest(patch) + largest((48, 16, 16), 4), layout) == []


@pytest.mark.parametrize("factor", [0.9, 0.0, float("nan"), float("inf")])
def test_a_wrong_output_is_found(factor):
    told = found(smallest((48, 48, 48))[1:2], convolution=off_by(factor))
    assert len(told) == 3
    assert told[0].startswith("output of 2x2x2 with stride 2x2x2 on 64 channels of 6x6x6: off by ")


def test_what_is_wrong_in_a_part_or_backwards_alone_is_found():
    cases = smallest((48, 48, 48))[1:2]
    assert [text.split(" of ")[0] for text in found(cases, convolution=wrong_backwards)] == ["weights' gradient"]
    assert found(cases, convolution=wrong_at_the_end_of_z)[0].startswith("output of")


def test_right_ones_within_the_rounding_of_the_format_pass():
    assert found(smallest((48, 48, 48))[:2], convolution=off_by(1.01)) == []


@pytest.mark.skipif(not multiplies_bf16(), reason="the processor multiplies no bf16")
@pytest.mark.skipif(torch.__version__.split("+")[0] != "2.13.0", reason="known of torch 2.13 alone")
def test_the_gradient_that_torch_2_13_gets_wrong_is_found_without_being_looked_for():
    told = found(smallest((16, 48, 48)))
    assert told and all(text.startswith("weights' gradient of 3x3x3") for text in told)


def test_a_training_in_a_format_that_is_wrong_is_refused_and_fp32_is_not(monkeypatch):
    monkeypatch.setattr("lassl.model.placement.wrong", partial(wrong, convolution=off_by(3)))
    with pytest.raises(
        LasslError,
        match=r"precision bf16: torch .* wrong results on this cpu, compared with fp32: .*; use compute.prec",
    ):
        Placement(CPU, torch.bfloat16, True).check_patch((48, 48, 48), 4)
    Placement(CPU, torch.float32, True).check_patch((48, 48, 48), 4)


def test_no_chance_is_moved():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Placement(CPU, torch.bfloat16, True).check_patch((48, 48, 48), 4)
    assert torch.equal(torch.rand(4), expected)
