"""What several tests share: a tiny network, tiny batches, a tiny prepared cohort; and how they run side by side."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: networks are tiny, and tests run side by side
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes import the same code: it is compiled once
sys.dont_write_bytecode = False

from lassl.plumbing import threads

threads.set_defaults()

import locale  # isort: skip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from helpers.channels import two_channels
from helpers.scans import write_case
from lassl.data.patches import Batch
from lassl.data.prepare import prepare
from lassl.data.prepared import Prepared, open_prepared
from lassl.learning.base import Progress
from lassl.runs.workers import cores
from lassl.settings.sections import Data

TOGETHER = ("test_pipeline.py", "test_cluster.py", "test_own_data.py")  # each makes a project that takes a minute
APART = ("test_survival.py", "test_every_algorithm.py")  # many tests that take long and share nothing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that workers end together."""
    items.sort(key=lambda item: (not item.path.name.endswith(TOGETHER), item.get_closest_marker("slow") is None))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker for each core, and one more where the slow tests run, some of which wait."""
    return cores() + (config.option.markexpr != "not slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share tests out among the workers by file, so that what a file shares is made once; where they take long, alone.

    Sharing thousands out one by one would take the process that does it as long as a worker takes to run them.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            alone = file.endswith(APART) or ("/whole/" in file and not file.endswith(TOGETHER))
            return nodeid if alone else file

    config.option.loadscopereorder = False  # the order is that of pytest_collection_modifyitems
    return Scheduler(config, log)


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_disks() -> Iterator[None]:
    """What a test writes need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def same_process() -> Iterator[None]:
    """The locale is as before after a test that writes DICOM, which leaves it at C, and so are the threads of torch."""
    locale_before, threads_before = locale.setlocale(locale.LC_ALL), torch.get_num_threads()
    yield
    locale.setlocale(locale.LC_ALL, locale_before)
    torch.set_num_threads(threads_before)


class TinyNetwork(nn.Module):
    """Two convolutions, batch norm and dropout: all that an algorithm can trip over, in 100 weights."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU(), nn.Dropout3d(0.5), nn.Conv3d(3, classes, 1)
        )
        nn.init.normal_(self.layers[4].weight, std=2)  # some voxels certain, some not

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(image)
        return result


@pytest.fixture
def make_network() -> Callable[[], nn.Module]:
    torch.manual_seed(0)
    return TinyNetwork


@pytest.fixture
def make_network_of_four() -> Callable[[], nn.Module]:
    """The same with four classes, three of which the first network predicts with confidence."""
    torch.manual_seed(10)
    return lambda: TinyNetwork(classes=4)


@pytest.fixture
def batch() -> Batch:
    """Two labeled and two unlabeled patches of 6 x 5 x 4 voxels."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(4, 1, 6, 5, 4, generator=generator)
    return Batch(image, (image[:2, 0] > 0.3).to(torch.uint8))


@pytest.fixture
def progress() -> Callable[..., Progress]:
    """Progress at a step of 40, epoch 0 unless told."""
    return lambda step=20, epoch=0: Progress(step, 40, epoch, seed=0)


def tiny_cohort(root: Path, structures: int) -> Data:
    """A raw cohort of six training and two test cases, prepared; paths are absolute."""
    cases = [f"C{i}" for i in range(8)]
    for case in cases:
        write_case(root / "raw", case, structures=structures)
    lines = [f"{case},{'train' if i < 6 else 'test'}" for i, case in enumerate(cases)]
    (root / "split.csv").write_text("\n".join(["case,split", *lines]) + "\n")
    data = Data(
        cohort=str(root / "prepared"), folder=root / "raw", split=root / "split.csv",
        crop="none", crop_z=False, margin=(0, 1), margins="seeded", min_size=(16, 16, 16), seed=0,
        structures={f"part_{n}": (n,) for n in range(1, structures + 1)} if structures > 1 else None,
    )  # fmt: skip
    prepare(data)
    return data


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """A prepared cohort of tiny scans with one structure."""
    return tiny_cohort(tmp_path_factory.mktemp("cohort"), structures=1)


@pytest.fixture(scope="session")
def tiny_data_of_three(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The same with three structures, four classes."""
    return tiny_cohort(tmp_path_factory.mktemp("cohort_of_three"), structures=3)


@pytest.fixture(scope="session")
def tiny_data_of_two_channels(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """A prepared cohort of tiny scans with two channels."""
    return two_channels(tmp_path_factory.mktemp("cohort_of_two_channels"))


@pytest.fixture
def prepared(tiny_data: Data) -> Prepared:
    return open_prepared(tiny_data.prepared)
