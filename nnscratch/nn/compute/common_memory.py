"""Memory that a process shares with those that it forks later: each sees what the others write."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from nnscratch.nn.compute.buffers import Array

LINE = 8
"""64-bit words in a cache line: of two words that different processes write, each has one of its own."""
LOOKS = 256
"""How often a word is looked at before anything else is."""


def common(size: int, dtype: npt.DTypeLike) -> Array:
    """A vector of zeros that this process shares with those that it forks later."""
    memory = mmap.mmap(-1, max(1, size) * np.dtype(dtype).itemsize)
    with suppress(OSError, AttributeError):
        memory.madvise(mmap.MADV_HUGEPAGE)  # as NumPy has of its own arrays
    return np.frombuffer(memory, dtype, size)


def common_numbers(count: int) -> memoryview[float]:
    """So many numbers, likewise: of few, Python reads and writes each ten times as fast as NumPy."""
    return memoryview(mmap.mmap(-1, 8 * count)).cast("d")
