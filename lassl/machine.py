"""What computed a result: device, threads, versions."""

import os
import platform
from pathlib import Path

import numpy as np
import torch


def machine(device: torch.device) -> dict[str, str | int]:
    """What computed: device, threads, versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
