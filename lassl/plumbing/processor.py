"""The processor, by its name and its bf16 instructions, and the memory. Needs only the standard library."""

import os
import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def name(cpuinfo: Path = CPUINFO) -> str:
    """Name of the processor, as far as the system reports it."""
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def bf16_units(cpuinfo: Path = CPUINFO) -> list[str]:
    """Instruction sets for bf16 that the system lists: avx512_bf16, amx_bf16 (x86), bf16 (Arm); empty if unknown."""
    text = cpuinfo.read_text("utf-8") if cpuinfo.is_file() else ""
    lines = [line for line in text.splitlines() if re.match(r"flags\s*:|Features\s*:", line)]
    return sorted({word for line in lines for word in line.split() if word.endswith("bf16")})


def memory_bytes() -> int:
    """The memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
