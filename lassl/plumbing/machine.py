"""Describes the machine (device, threads and versions), and controls and measures its memory."""

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lassl.plumbing import processor

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # names and numbers of glibc's malloc.h


def machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine for a record: device, threads, cores, versions of Python, torch and numpy.

    The name of a CPU is followed by its instruction sets, because one name, such as AMD EPYC, covers many processors.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor.name()
    if device.type == "cpu":
        name += f" ({', '.join([torch.backends.cpu.get_cpu_capability(), *processor.bf16_units()])})"
    return {
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def keep_memory(on: bool = True) -> None:
    """Let glibc keep freed memory for the next step, instead of returning it to the system.

    Every step frees and allocates the same gigabytes, so this adds little to the peak. Works only on Linux with glibc,
    and does nothing elsewhere. `on=False` sets the limits that glibc reaches by itself in such a process.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
    mallopt(M_MMAP_MAX, 0 if on else 65536)  # big blocks come from the heap, not from fresh pages
    mallopt(M_TRIM_THRESHOLD, -1 if on else 64 * 2**20)


def peak_memory_mib(device: torch.device) -> int:
    """Peak memory of this process so far in MiB: allocated on the GPU, or resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage also counts memory of the parent process
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts in bytes
