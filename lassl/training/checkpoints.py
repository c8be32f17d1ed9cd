"""Checkpoints of a training: complete, verified, and bound to everything that shaped them; keeps the two newest."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import held, write_bytes

KEPT = 2  # if the newest is damaged, the one before it is used


class Checkpoints:
    """The checkpoints of one run in their own folder; `shaped_by` names and describes everything the training uses.

    A file has the sha256 of the rest, a line feed, and the output of torch.save for tensors and plain values.
    """

    def __init__(self, folder: Path, shaped_by: dict[str, str]):
        self.folder = folder
        self.shaped_by = shaped_by
        self.good: list[Path] = []  # written or read here, newest first

    @contextmanager
    def held(self) -> Iterator[None]:
        """Prevent other processes from training the same run. Raises LasslError if one does already."""
        self.folder.mkdir(parents=True, exist_ok=True)

        def told(process: str) -> str:
            todo = "wait for it, or stop it with `kill` and that number, and try again"
            return f"{self.folder}: process {process} is training this run; {todo}"

        with held(self.folder / "lock", told):
            for half_written in self.folder.glob(".*-*.pt"):
                half_written.unlink()
            yield

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` steps, keeping only the one before. Raises LasslError on a full disk."""
        path = self.folder / f"step-{step:08d}.pt"
        self._write(path, state)
        self.good = [path, *(p for p in self.good if p != path)][:KEPT]
        for old in set(self.folder.glob("step-*.pt")) - set(self.good):
            old.unlink()

    def load(self) -> dict[str, Any] | None:
        """The newest valid state of this training, or None; notes which files are skipped and why."""
        for path in sorted(self.folder.glob("step-*.pt"), reverse=True):
            try:
                content = read(path)
            except LasslError as error:
                note(f"note: {error}; trying an earlier checkpoint")
                continue
            if differs := [k for k, v in self.shaped_by.items() if content["shaped_by"].get(k) != v]:
                note(f"note: {path}: ignored, because it belongs to another training (different {', '.join(differs)})")
                continue
            self.good = [path]
            state: dict[str, Any] = content["state"]
            return state
        return None

    def keep(self, name: str, state: dict[str, Any]) -> Path:
        """Save a state for inspection with `read`; no training resumes from it."""
        path = self.folder / f"{name}.pt"
        self._write(path, state)
        return path

    def remove(self) -> None:
        """Remove all checkpoints once the training is done; other files in the folder stay."""
        for path in (*self.folder.glob("step-*.pt"), *self.folder.glob("not-finite-*.pt"), self.folder / "lock"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            self.folder.rmdir()

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save({"shaped_by": self.shaped_by, "state": state}, buffer)
        packed = buffer.getvalue()
        write_bytes(path, _digest(packed) + b"\n" + packed)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without running code from it. Raises LasslError if it is damaged."""
    digest, _, packed = path.read_bytes().partition(b"\n")
    if digest != _digest(packed):
        raise LasslError(f"{path}: damaged checkpoint (its {path.stat().st_size} bytes do not match their checksum)")
    content: dict[str, Any] = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    return content


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
