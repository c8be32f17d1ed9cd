"""Whether this machine has what a run takes: Python, packages, disk, processor, GPU, memory.

As in lassl/cli/check_project.py, only the standard library is imported at the top.
"""

import math
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lassl.plumbing import processor
from lassl.plumbing.errors import LasslError

if TYPE_CHECKING:
    from lassl.config import Config

TESTED, OLDEST = (3, 11), (3, 11)  # Python
GPU_BYTES = 11e9  # what the paper profile is meant for
MEMORY_GIB = (2, 8)  # of a training on the CPU: at least; with PAPER_VOXELS, in proportion to which others take it
PAPER_VOXELS = 16 * 112 * 112 * 80  # of the first stage: channels times the patch of the paper profile
DISK_GIB = (1, 5)  # less than the first: too little for any profile; than the second: little
Mark = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """What was found; missing: `dvc repro` cannot do without; and what to do about it."""

    mark: Mark
    found: str
    todo: str = ""

    def __str__(self) -> str:
        """One line."""
        return f"{self.mark:9}" + "; ".join(filter(None, (self.found, self.todo)))


def python(found: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    """The version of Python."""
    told, tested = (".".join(map(str, version)) for version in (found, TESTED))
    if found < OLDEST:
        yield Finding("missing", f"Python {told}", f"install Python {tested}")
    elif found != TESTED:
        yield Finding("warning", f"Python {told}; tested with {tested}")
    else:
        yield Finding("ok", f"Python {told}")


def packages(constraints: Path, needed: Iterable[str] | None = None) -> Iterator[Finding]:
    """The installed packages against the exact versions behind the committed results."""
    required = requirements() if needed is None else needed
    direct = [re.split(r"[^\w.-]", text)[0] for text in required if "extra ==" not in text]
    absent = [name for name in direct if installed(name) is None]
    yield from (Finding("missing", f"{name}: not installed", "`make install`") for name in absent)
    if not constraints.is_file():
        yield Finding("warning", f"{constraints}: not found, so versions are not compared")
        return
    pins = [line.split("==") for line in constraints.read_text("utf-8").splitlines() if re.match(r"[^#\s]+==", line)]
    versions = {name: (pin.strip(), installed(name)) for name, pin in pins}
    for name, (pin, version) in versions.items():
        if version and version.split("+")[0] != pin:
            yield Finding("warning", f"{name} {version}, not {pin}: figures may differ", "`make install`")
    others = [name for name, (_, version) in versions.items() if version is None and name not in absent]
    if others:
        some = ", ".join(others[:5]) + ", ..." * (len(others) > 5)
        yield Finding("warning", f"{len(others)} of {constraints.name} not installed: {some}", "`make install`")
    same = sum(version is not None and version.split("+")[0] == pin for pin, version in versions.values())
    yield Finding("ok" if same else "warning", f"{same} of {len(versions)} packages are as in {constraints.name}")


def requirements() -> list[str]:
    """What the project requires, as it was installed; itself if it was not."""
    try:
        return metadata.requires("lassl") or []
    except metadata.PackageNotFoundError:
        return ["lassl"]


def installed(name: str) -> str | None:
    """Version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def disk(root: Path, free: float | None = None) -> Iterator[Finding]:
    """Free bytes on the disk of a folder."""
    gib = (shutil.disk_usage(root).free if free is None else free) / 2**30
    mark: Mark = "missing" if gib < DISK_GIB[0] else "warning"
    if gib >= DISK_GIB[1]:
        yield Finding("ok", f"disk: {gib:.1f} GiB free")
    else:
        yield Finding(mark, f"disk: {gib:.1f} GiB free", f"make room: {DISK_GIB[1]} GiB are on the safe side")


def cpu(cpuinfo: Path = processor.CPUINFO) -> Iterator[Finding]:
    """The processor: name, cores, and what it computes in bf16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("ok", f"CPU: {platform.machine()}, {cores} of {os.cpu_count()} cores for this process")
    if not cpuinfo.is_file():
        yield Finding("warning", f"CPU: no {cpuinfo}, so whether it has bf16 is not known; fp32 is taken")
    elif units := processor.bf16_units(cpuinfo):
        yield Finding("ok", f"CPU: bf16 ({', '.join(units)})")
    else:
        yield Finding("ok", "CPU: no bf16 of its own, so networks run in fp32")


def device(config: "Config") -> Iterator[Finding]:
    """What torch would compute on, and in which format."""
    import torch

    from lassl.model.placement import place

    for i in range(torch.cuda.device_count()):
        yield gpu(torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory)
    if not torch.cuda.device_count():
        mark: Mark = "warning" if config.profile == "paper" else "ok"
        yield Finding(mark, "GPU: none that torch can use; the paper profile is meant for one of 11 GB")
    try:
        where = place(config.compute, config.patches.size)
        where.check_patch(config.patches.size)
    except LasslError as error:
        yield Finding("missing", str(error))
        return
    capability = torch.backends.cpu.get_cpu_capability()
    told = f"torch {torch.__version__}: {where.device.type} in {where.name} ({where.reason}); CPU {capability}"
    if slow := where.slow:
        yield Finding("warning", f"{told}; {slow}")
    else:
        yield Finding("ok", told)


def gpu(name: str, memory: float) -> Finding:
    """A GPU and its bytes, against what the paper profile is meant for."""
    told = f"GPU: {name}, {memory / 2**30:.1f} GiB"
    if memory >= GPU_BYTES:
        return Finding("ok", f"{told}, enough for the paper profile")
    return Finding("warning", f"{told}; the paper profile is meant for 11 GB", "`-S profile=compact` takes less")


def memory(config: "Config", total: float | None = None) -> Iterator[Finding]:
    """Bytes of memory, against what width and patch of the networks take on a CPU."""
    gib = (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if total is None else total) / 2**30
    least = max(MEMORY_GIB[0], MEMORY_GIB[1] * config.network.width * math.prod(config.patches.size) / PAPER_VOXELS)
    if gib < least:
        told = f"memory: {gib:.1f} GiB; {config.name} may take {least:.0f} on a CPU"
        yield Finding("warning", told, "use a GPU, smaller patches or `quick`")
    else:
        yield Finding("ok", f"memory: {gib:.1f} GiB")
