"""Checks of what a run needs from this machine: Python, packages, disk, processor, GPU, memory.

As in lassl/cli/check_project.py, the top of the file imports only the standard library.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lassl.plumbing import processor
from lassl.plumbing.errors import LasslError
from lassl.runs.workers import cores, memory_gib, training_gib

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from lassl.settings.config import Config

OLDEST, NEWEST = (3, 11), (3, 13)  # versions of Python that run the tests; the committed results come from the first
GPU_BYTES = 11e9  # memory of the GPU that the paper profile is meant for
DISK_GIB = (1, 5)  # below the first, no profile fits; below the second, space may run out
Mark = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it; `missing` marks what `dvc repro` needs."""

    mark: Mark
    found: str
    todo: str = ""

    def __str__(self) -> str:
        """One line."""
        return f"{self.mark:9}" + "; ".join(filter(None, (self.found, self.todo)))


def python(running: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    """Check the version of Python, by default that of this process."""
    version, oldest, newest = (".".join(map(str, numbers)) for numbers in (running, OLDEST, NEWEST))
    if OLDEST <= running <= NEWEST:
        yield Finding("ok", f"Python {version}")
    else:
        yield Finding("missing", f"Python {version}; expected {oldest} to {newest}", f"install Python {oldest}")


def environment(root: Path) -> Iterator[Finding]:
    """Check that `python` in PATH, which runs DVC's stages, is this Python, and that .venv was not moved."""
    todo = "run `source .venv/bin/activate` first, or use `make repro`"
    activate = root / ".venv/bin/activate"
    if activate.is_file() and f"{root.resolve()}/.venv" not in activate.read_text("utf-8"):
        yield Finding("missing", f"{root / '.venv'}: was created for another folder and moved", "run `make install`")
    if not (first := shutil.which("python")):
        yield Finding("missing", "no `python` in PATH, which DVC needs to run each stage", todo)
        return
    tell = (
        "import sys; from importlib.util import find_spec; print(sys.prefix, find_spec('dvc') is not None, sep='\\n')"
    )
    answer = subprocess.run([first, "-c", tell], capture_output=True, text=True, cwd="/").stdout.splitlines()
    if answer != [sys.prefix, "True"]:
        mark: Mark = "warning" if answer[1:] == ["True"] else "missing"
        yield Finding(mark, f"{first}: DVC runs each stage with it, but this Python is {sys.executable}", todo)


def packages(constraints: Path, needed: Iterable[str] | None = None) -> Iterator[Finding]:
    """Compare the installed packages with those `needed` and with the exact versions behind the committed results.

    `constraints` is a file with lines such as numpy==2.0.0. `needed` defaults to the project's own requirements.
    """
    if installed("packaging") is None:  # which reads both
        yield Finding("missing", "packaging: not installed", "run `make install`")
        return
    absent = [r.name for r in wanted(requirements() if needed is None else needed) if installed(r.name) is None]
    yield from (Finding("missing", f"{name}: not installed", "run `make install`") for name in absent)
    if not constraints.is_file():
        yield Finding("warning", f"{constraints}: not found, so versions cannot be compared")
        return
    lines = constraints.read_text("utf-8").splitlines()
    pins = wanted(line for line in lines if line.strip() and not line.startswith("#"))
    versions = [(pin, installed(pin.name)) for pin in pins]
    others = [(pin, version) for pin, version in versions if version and not pin.specifier.contains(version)]
    for pin, version in others:
        text = f"{pin.name} {version}, expected {str(pin.specifier).removeprefix('==')}: figures may differ"
        yield Finding("warning", text, "run `make install`")
    none = [pin.name for pin, version in versions if version is None]
    if missing := [name for name in none if name not in absent]:
        some = ", ".join(missing[:5]) + ", ..." * (len(missing) > 5)
        yield Finding(
            "warning", f"not installed from {constraints.name} ({len(missing)}): {some}", "run `make install`"
        )
    same = len(versions) - len(others) - len(none)
    yield Finding(
        "ok" if same else "warning", f"{same} of {len(versions)} packages have the version in {constraints.name}"
    )


def wanted(lines: Iterable[str]) -> "list[Requirement]":
    """Requirements such as numpy>=2.0, as pip writes them: those that are for this Python, and for no extra."""
    from packaging.requirements import Requirement

    found = map(Requirement, lines)
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def requirements() -> list[str]:
    """The requirements of the installed project, such as numpy>=2.0; the project itself if it is not installed."""
    try:
        return metadata.requires("lassl") or []
    except metadata.PackageNotFoundError:
        return ["lassl"]


def installed(name: str) -> str | None:
    """Version of a package, or None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def disk(root: Path, free: float | None = None) -> Iterator[Finding]:
    """Check the free space in bytes on the disk of a folder; measured if not given."""
    gib = (shutil.disk_usage(root).free if free is None else free) / 2**30
    mark: Mark = "missing" if gib < DISK_GIB[0] else "warning"
    if gib >= DISK_GIB[1]:
        yield Finding("ok", f"disk: {gib:.1f} GiB free")
    else:
        yield Finding(mark, f"disk: {gib:.1f} GiB free", f"free some space: {DISK_GIB[1]} GiB are enough")


def cpu(cpuinfo: Path = processor.CPUINFO) -> Iterator[Finding]:
    """Describe the processor: kind, cores, and whether it computes in bf16."""
    yield Finding("ok", f"CPU: {platform.machine()}, {cores()} of {os.cpu_count()} cores for this process")
    if not cpuinfo.is_file():
        yield Finding("warning", f"CPU: {cpuinfo} not found, so bf16 support is unknown; networks run in fp32")
    elif units := processor.bf16_units(cpuinfo):
        yield Finding("ok", f"CPU: bf16 ({', '.join(units)})")
    else:
        yield Finding("ok", "CPU: no bf16 instructions, so networks run in fp32")


def device(config: "Config") -> Iterator[Finding]:
    """Check the device that torch would use, and the number format of the networks."""
    import torch

    from lassl.model.placement import place

    for i in range(torch.cuda.device_count()):
        yield gpu(torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory)
    if not torch.cuda.device_count():
        mark: Mark = "warning" if config.profile == "paper" else "ok"
        yield Finding(mark, "GPU: torch finds none; the paper profile is meant for a GPU with 11 GB")
    try:
        placement = place(config.compute, config.patches.size, config.network.halvings)
        placement.check_patch(config.patches.size, config.network.width, config.network.halvings)
    except LasslError as error:
        yield Finding("missing", str(error))
        return
    choice = f"{placement.device.type} in {placement.name} ({placement.reason})"
    text = f"torch {torch.__version__}: {choice}; CPU {torch.backends.cpu.get_cpu_capability()}"
    if slow := placement.slow:
        yield Finding("warning", f"{text}; {slow}")
    else:
        yield Finding("ok", text)


def gpu(name: str, memory: float) -> Finding:
    """Compare a GPU's memory in bytes with the GPU that the paper profile is meant for."""
    text = f"GPU: {name}, {memory / 2**30:.1f} GiB"
    if memory >= GPU_BYTES:
        return Finding("ok", f"{text}, enough for the paper profile")
    return Finding("warning", f"{text}; the paper profile is meant for 11 GB", "`-S profile=compact` needs less")


def memory(config: "Config", total: float | None = None) -> Iterator[Finding]:
    """Compare the memory in bytes (measured if not given) with the need of a training of this size on a CPU."""
    gib = memory_gib() if total is None else total / 2**30
    needed = training_gib(config)
    if gib < needed:
        text = f"memory: {gib:.1f} GiB; {config.name} may need {needed:.0f} on a CPU"
        yield Finding("warning", text, "use a GPU, smaller patches or the profile `quick`")
    else:
        yield Finding("ok", f"memory: {gib:.1f} GiB")
