"""Where networks run, in which number format and memory layout."""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from lassl.model.convolutions import largest, smallest, wrong
from lassl.plumbing import processor
from lassl.plumbing.errors import LasslError, note
from lassl.settings.sections import Compute

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
WRONG_BF16 = (16, 32)  # voxels along x, see check_patch
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Placement:
    """A device, the format of convolutions under autocast and why it was taken, and the memory layout."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    reason: str = "asked for"
    compiled: bool = False  # networks are, for training

    @property
    def name(self) -> str:
        """The format by its name in params.yaml."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    @property
    def slow(self) -> str:
        """Why this format will be slow here, nothing if it will not."""
        if self.device.type == "cpu" and self.dtype == torch.bfloat16 and not multiplies_bf16():
            return (
                "this processor multiplies no bf16, and a step may take 46 times as long as in fp32 (seen with "
                "AVX2 kernels); compute.precision=auto avoids that"
            )
        return ""

    @property
    def layout(self) -> torch.memory_format:
        """The memory format of 5-D tensors."""
        return torch.channels_last_3d if self.channels_last else torch.contiguous_format

    def tensor(self, x: Tensor) -> Tensor:
        """Bring a tensor (N, C, X, Y, Z) or (N, X, Y, Z) to the device, the former in the layout."""
        layout = self.layout if x.ndim == 5 else torch.contiguous_format
        return x.to(self.device, memory_format=layout, non_blocking=True)

    def module(self, module: Module) -> Module:
        """Bring a network to the device and layout; its weights stay fp32."""
        return module.to(device=self.device, memory_format=self.layout)  # type: ignore[call-overload,no-any-return]

    def compile(self, networks: Iterable[nn.Module]) -> None:
        """Have the forward and backward passes of networks compiled when they are first made, where that is asked for.

        Each shape of a batch has a compiled pass of its own. What is called beside forward() stays as it is.
        """
        for network in networks if self.compiled else ():
            network.compile(dynamic=False)

    def check_patch(self, size: tuple[int, int, int], width: int) -> None:
        """Raise LasslError for training patches (X, Y, Z) that this format gets wrong in a network of this width.

        oneDNN's bf16 gradient of a 3x3x3 kernel is garbage where the input is 2 voxels long along x (seen with torch
        2.13 on x86), which happens inside the V-Net for patches of 16 and 32. What no list knows is tried.
        """
        if self.device.type == "cpu" and self.dtype == torch.bfloat16 and size[0] in WRONG_BF16:
            raise LasslError(
                f"params.yaml: patches.size {list(size)}: bf16 gradients are wrong on the CPU for 16 or 32 voxels "
                "along x; use at least 48, or compute.precision auto or fp32"
            )
        if self.dtype == torch.float32:
            return
        tried = smallest(size) + (largest(size, width) if self.device.type == "cuda" else [])
        for finding in wrong(tried, self.device, self.layout, self.autocast):
            raise LasslError(
                f"compute.precision {self.name}: torch {torch.__version__} computes it wrong on this "
                f"{self.device.type}, seen beside fp32: {finding}; use compute.precision=fp32, or another torch"
            )

    def autocast(self) -> AbstractContextManager[None]:
        """Run convolutions in `dtype` inside this context."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)


def place(compute: Compute, patch: tuple[int, int, int] | None = None) -> Placement:
    """Turn the configuration into a Placement; `patch` (X, Y, Z) is what networks will see, where that is known.

    Sets for the whole process the threads of torch and, on a GPU, that fp32 is not TF32 and whether algorithms are
    deterministic; notes a format that will be slow here. Raises LasslError for a device or format
    that the machine lacks.
    """
    available = "cuda" if torch.cuda.is_available() else "cpu"
    name = available if compute.device == "auto" else compute.device
    if name == "cuda" and available == "cpu":
        raise LasslError("params.yaml: compute.device: found no CUDA device, asked for cuda; use auto or cpu")
    if name == "cpu" and compute.precision == "fp16":
        raise LasslError("params.yaml: compute.precision: fp16 is for CUDA; use auto, bf16 or fp32 on the CPU")
    torch.set_num_threads(compute.threads)
    if name == "cuda":
        make_deterministic(compute.deterministic)
        torch.backends.cudnn.allow_tf32 = False  # fp32 is to be what it is called
    precision, reason = str(compute.precision), "asked for"
    if precision == "auto":
        precision, reason = automatic_cuda() if name == "cuda" else automatic_cpu(patch)
    placement = Placement(
        torch.device(name), DTYPES[precision], compute.channels_last, reason, compute.compile and name == "cuda"
    )
    if placement.slow:
        note(f"note: compute.precision={precision}: {placement.slow}")
    return placement


def automatic_cuda() -> tuple[str, str]:
    """The format for the present GPU, and why."""
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) >= (8, 0):
        return "bf16", f"auto: compute capability {major}.{minor} has bf16"
    return "fp16", f"auto: compute capability {major}.{minor} has no bf16; the loss is scaled"


def automatic_cpu(patch: tuple[int, int, int] | None) -> tuple[str, str]:
    """The format for this processor and patches (X, Y, Z), and why."""
    if not multiplies_bf16():
        return "fp32", "auto: the processor multiplies no bf16"
    if patch and patch[0] in WRONG_BF16:
        return "fp32", f"auto: bf16 gradients are wrong for patches of {patch[0]} voxels along x"
    return "bf16", f"auto: the processor multiplies bf16 ({', '.join(processor.bf16_units())})"


@cache
def multiplies_bf16() -> bool:
    """Whether the processor multiplies bf16 itself, and torch makes use of it; without, bf16 is emulated."""
    return bool(processor.bf16_units()) and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def make_deterministic(on: bool) -> None:
    """Let CUDA use only algorithms that give the same bits each time, or try out which are the fastest."""
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it; read when CUDA starts
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.benchmark = not on
