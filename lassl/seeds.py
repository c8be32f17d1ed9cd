"""Named random streams: the same (seed, purpose) always gives the same numbers."""

import hashlib

import numpy as np


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed from a run's seed and a purpose such as ("patch", 17), whose words contain no slash."""
    if any("/" in str(word) for word in purpose):
        raise ValueError(f"the purpose {purpose} contains a slash, which separates words; remove it")
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A separate random generator for one purpose, so that a new use of chance does not change any other."""
    return np.random.default_rng(stream_seed(seed, *purpose))
