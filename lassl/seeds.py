"""Named random streams: the same (seed, purpose) gives the same numbers wherever and whenever it is asked."""

import hashlib

import numpy as np


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed derived from a run's seed and a purpose such as ("patch", 17); its words have no slash."""
    if any("/" in str(word) for word in purpose):
        raise ValueError(f"the purpose {purpose} has a slash, by which words are told apart")
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A random generator of its own for one purpose, so that a new use of chance moves no other."""
    return np.random.default_rng(stream_seed(seed, *purpose))
