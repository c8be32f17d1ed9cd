"""The device, number format and memory layout in which networks run."""

import math
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from lassl.images.geometry import Triple
from lassl.model.convolutions import largest, sizes, smallest, wrong
from lassl.plumbing import processor
from lassl.plumbing.errors import LasslError, note
from lassl.settings.sections import Compute
from lassl.settings.values import HALVINGS, Halvings

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
WRONG_BF16 = 2  # voxels along x inside the network, see check_patch
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Placement:
    """A device, the format of convolutions under autocast and the reason for it, and the memory layout."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    reason: str = "asked for"
    compiled: bool = False  # networks are compiled for training

    @property
    def name(self) -> str:
        """The name of the format in params.yaml."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    @property
    def slow(self) -> str:
        """The reason why this format will be slow here; empty if it will not."""
        if self.device.type == "cpu" and self.dtype == torch.bfloat16 and not multiplies_bf16():
            return (
                "this CPU has no bf16 instructions, so a step may take up to 46 times as long as in fp32 (seen with "
                "AVX2 kernels); use compute.precision=auto"
            )
        return ""

    @property
    def layout(self) -> torch.memory_format:
        """The memory format of 5-D tensors."""
        return torch.channels_last_3d if self.channels_last else torch.contiguous_format

    def tensor(self, x: Tensor) -> Tensor:
        """Move a tensor (N, C, X, Y, Z) or (N, X, Y, Z) to the device, the former in the layout."""
        layout = self.layout if x.ndim == 5 else torch.contiguous_format
        return x.to(self.device, memory_format=layout, non_blocking=True)

    def module(self, module: Module) -> Module:
        """Move a network to the device and layout; its weights stay fp32."""
        return module.to(device=self.device, memory_format=self.layout)  # type: ignore[call-overload,no-any-return]

    def compile(self, networks: Iterable[nn.Module]) -> None:
        """If compilation is on, compile the forward and backward passes of networks at their first use.

        Each shape of a batch has its own compiled pass. Only forward() is compiled.
        """
        for network in networks if self.compiled else ():
            network.compile(dynamic=False)

    def check_patch(self, size: Triple, width: int, halve: Halvings = HALVINGS) -> None:
        """Raise LasslError if this format gives wrong results for training patches (X, Y, Z) of a V-Net.

        The V-Net has this width and these halvings. oneDNN's bf16 gradient of a 3x3x3 kernel is garbage if the input is
        2 voxels long along x (seen with torch 2.13 on x86), which happens inside the V-Net for patches of 16 and 32 if
        it halves x four times. Other cases are found by a trial computation.
        """
        if self.device.type == "cpu" and self.dtype == torch.bfloat16 and has_wrong_bf16(size, halve):
            wrong_sizes = [n * math.prod(factors[0] for factors in halve) for n in (1, WRONG_BF16)]
            raise LasslError(
                f"params.yaml: patches.size {list(size)}: bf16 gradients are wrong on the CPU for {wrong_sizes[0]} or "
                f"{wrong_sizes[1]} voxels along x; use at least {sum(wrong_sizes)}, or compute.precision auto or fp32"
            )
        if self.dtype == torch.float32:
            return
        tried = smallest(size, halve) + (largest(size, width, halve) if self.device.type == "cuda" else [])
        for finding in wrong(tried, self.device, self.layout, self.autocast):
            raise LasslError(
                f"compute.precision {self.name}: torch {torch.__version__} gives wrong results on this "
                f"{self.device.type}, compared with fp32: {finding}; use compute.precision=fp32, or another torch"
            )

    def autocast(self) -> AbstractContextManager[None]:
        """Run convolutions in `dtype` inside this context."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)


def place(compute: Compute, patch: Triple | None = None, halve: Halvings = HALVINGS) -> Placement:
    """Turn the configuration into a Placement; `patch` (X, Y, Z) is the size that networks will see, if known.

    `halve` are the halvings of a V-Net. For the whole process it sets torch's threads and, on a GPU, disables TF32 and
    chooses whether algorithms are deterministic. Notes if the format will be slow here. Raises LasslError if the
    machine lacks the device or format.
    """
    available = "cuda" if torch.cuda.is_available() else "cpu"
    name = available if compute.device == "auto" else compute.device
    if name == "cuda" and available == "cpu":
        raise LasslError(
            "params.yaml: compute.device: cuda was requested but no CUDA device was found; use auto or cpu"
        )
    if name == "cpu" and compute.precision == "fp16":
        raise LasslError("params.yaml: compute.precision: fp16 works only on CUDA; use auto, bf16 or fp32 on the CPU")
    torch.set_num_threads(compute.threads)
    if name == "cuda":
        make_deterministic(compute.deterministic)
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    precision, reason = str(compute.precision), "asked for"
    if precision == "auto":
        precision, reason = automatic_cuda() if name == "cuda" else automatic_cpu(patch, halve)
    placement = Placement(
        torch.device(name), DTYPES[precision], compute.channels_last, reason, compute.compile and name == "cuda"
    )
    if placement.slow:
        note(f"note: compute.precision={precision}: {placement.slow}")
    return placement


def automatic_cuda() -> tuple[str, str]:
    """The format for this GPU, and the reason."""
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) >= (8, 0):
        return "bf16", f"auto: compute capability {major}.{minor} has bf16"
    return "fp16", f"auto: compute capability {major}.{minor} has no bf16; the loss is scaled"


def has_wrong_bf16(patch: Triple, halve: Halvings) -> bool:
    """Whether features of a patch (X, Y, Z) are as long along x as torch computes wrongly in bf16 on a CPU."""
    return any(size[0] == WRONG_BF16 for size in sizes(patch, halve))


def automatic_cpu(patch: Triple | None, halve: Halvings = HALVINGS) -> tuple[str, str]:
    """The format for this processor, patches (X, Y, Z) and halvings, and the reason."""
    if not multiplies_bf16():
        return "fp32", "auto: the processor multiplies no bf16"
    if patch and has_wrong_bf16(patch, halve):
        return "fp32", f"auto: bf16 gradients are wrong for patches of {patch[0]} voxels along x"
    return "bf16", f"auto: the processor multiplies bf16 ({', '.join(processor.bf16_units())})"


@cache
def multiplies_bf16() -> bool:
    """Whether the processor has bf16 instructions and torch uses them; otherwise bf16 is emulated."""
    return bool(processor.bf16_units()) and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def make_deterministic(on: bool) -> None:
    """Restrict CUDA to algorithms that always give the same bits, or let it try which are fastest."""
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS; read when CUDA starts
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.benchmark = not on
