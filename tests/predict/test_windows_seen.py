"""How far a scan is: every window that a network sees is counted, and the count to expect is right."""

import pytest
import torch
from torch import nn

from helpers.trainings import predicting
from lassl.images.geometry import Geometry, Volume
from lassl.model.placement import Placement
from lassl.predict.segment import segment
from lassl.predict.settings import Crop
from lassl.predict.slabs import needed_bytes
from lassl.predict.task import Progress, Task

CPU = Placement(torch.device("cpu"), torch.float32, False)
SCAN = Volume(torch.randn(70, 40, 20, generator=torch.Generator().manual_seed(0)).numpy(), Geometry((0.625,) * 3))
CROP = Crop(least_mm=(10.0, 8.0, 8.0), margins_mm=(1.0, 1.0, 1.0), along_z=False)


class Middle(nn.Module):
    """Foreground is the middle of each window."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = torch.full_like(image, -9)
        found[:, :, 8:-8, 4:-4, 4:-4] = 9
        return torch.cat([torch.zeros_like(image), found], 1)


def seen(**changes: object) -> tuple[list[tuple[int, int]], list[float]]:
    """Segment the scan; gives each step of its progress, and the seconds that an uncertainty was told to take."""
    steps: list[tuple[int, int]] = []
    seconds: list[float] = []
    networks = changes.pop("networks", {"n": Middle()})
    task = {key: changes.pop(key) for key in ("passes", "memory_gib") if key in changes}
    progress = Progress(lambda done, total: steps.append((done, total)), seconds.append)
    scan = changes.pop("scan", SCAN)
    segment(scan, Task(networks, predicting(**changes), CPU, progress=progress, **task))
    return steps, seconds


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pool": 2},
        {"networks": {"a": Middle(), "b": Middle()}},
        {"passes": 3},
        {"spacing_mm": (1.0, 0.7, 0.5)},
        {"scan": Volume(SCAN.array, Geometry((1.0, 0.7, 0.5), direction=(0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)))},
    ],
    ids=["one network", "pooled", "two networks", "uncertainty", "resampled", "oblique"],
)
def test_the_number_of_windows_is_known_from_the_first_one_on(changes):
    steps, _ = seen(**changes)
    assert len(steps) > 1 and {total for _, total in steps} == {steps[-1][0]}
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_windows_of_all_slabs_are_counted():
    task = Task({"n": Middle()}, predicting(), CPU)
    assert needed_bytes(SCAN, 0, 48, task) < needed_bytes(SCAN, 0, 70, task)
    steps, _ = seen(memory_gib=needed_bytes(SCAN, 0, 48, task) / 2**30)
    whole, _ = seen()
    assert steps[-1][0] > whole[-1][0] and {total for _, total in steps} == {steps[-1][0]}  # slabs overlap


def test_with_two_passes_the_second_is_estimated_until_the_structure_is_found():
    steps, _ = seen(crop=CROP)
    first = next(total for _, total in steps)
    assert first > steps[0][0] and steps[-1][0] == steps[-1][1]


def test_how_long_an_uncertainty_takes_is_told_once_before_its_passes():
    told_at: list[int] = []
    progress = Progress(slow=lambda seconds: told_at.append(progress.done) if seconds > 0 else None)
    segment(SCAN, Task({"n": Middle()}, predicting(), CPU, passes=3, progress=progress))
    assert told_at == [progress.total // 4]
    assert seen()[1] == []


def test_networks_are_as_before_when_a_scan_is_done():
    network = Middle()
    segment(SCAN, Task({"n": network}, predicting(), CPU))
    assert not network._forward_hooks
