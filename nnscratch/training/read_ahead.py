"""Rows of a mapped file asked for before they are needed: shuffled, each would else wait for the disk by itself."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

from nnscratch.nn.compute.buffers import Array

BATCHES = 4
"""How far ahead: enough that a disk has many reads to do at once."""


class ReadAhead:
    """Asks the operating system for rows of an array, as long as that makes it read; of no effect for one in memory.

    Whether it still reads is told by the count of blocks that this process has caused to be read: where all of the
    file is in memory already, asking would only cost time.
    """

    def __init__(self, array: Array) -> None:
        self._map = _mapped(array)
        self._row = array.strides[0] if array.ndim else 0
        self._start = 0
        self._blocks, self._is_reading = 0, False
        if self._map is not None:
            self._start = array.ctypes.data - np.frombuffer(self._map, np.uint8).ctypes.data
            self._blocks = _blocks_read()

    def ask(self, rows: Array) -> None:
        """Lets these rows be read while others are worked on, if such rows had to be read lately."""
        if self._map is None:
            return
        if self._is_reading:
            for row in rows.tolist():
                first = self._start + row * self._row
                page = first - first % mmap.PAGESIZE
                self._map.madvise(mmap.MADV_WILLNEED, page, first + self._row - page)
        blocks = _blocks_read()
        is_reading, self._blocks = blocks != self._blocks, blocks
        if is_reading and not self._is_reading:
            # Else every fault reads the 128 kB around it too, and pushes out of a full memory what is needed next.
            self._map.madvise(mmap.MADV_RANDOM)
        self._is_reading = is_reading


def _mapped(array: Array) -> mmap.mmap | None:
    """The mapped file that the array is a view of, where a system can be asked for parts of it."""
    base: object = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_WILLNEED") else None


def _blocks_read() -> int:
    with suppress(ImportError):
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_inblock
    return 0
