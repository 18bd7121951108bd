"""A loop over pieces of work on all cores: NumPy releases the interpreter lock inside its loops.

The pieces, and so the rounding of every result, do not depend on how many threads share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import local
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nnscratch.nn.compute.awake_threads import AwakeThreads
from nnscratch.nn.compute.buffers import Array, Buffers

Piece = TypeVar("Piece")
Result = TypeVar("Result")

PIECE = 1 << 18
"""Numbers in a piece of an element-wise pass: few enough for the last cache between the operations of a formula, and
so many that a thread rarely waits for the interpreter, which takes longer than most operations on a small piece."""

LARGE = 1 << 20
"""Fewer numbers than this are a matter of tenths of a millisecond, which is what waking a thread takes, too."""


class Workers:
    """A fixed number of threads, the calling one included."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = max(1, threads)
        self._others = AwakeThreads(self.threads - 1) if self.threads > 1 else None
        self._scratch = local()
        self._zeros: dict[npt.DTypeLike, Array] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> Workers:
        return self  # threads are shared by whoever copies what uses them

    def run(self, function: Callable[[Piece], object], pieces: Sequence[Piece], numbers: int = LARGE) -> None:
        """function(piece) for every piece, in no promised order; raises what a piece raised.

        Quick passes over few numbers in all stay in the calling thread.
        """
        waiting = iter(pieces)  # shared: a thread that the system holds up takes fewer
        if self._others is None or self.threads == 1 or len(pieces) < 2 or numbers < LARGE:
            _series(function, waiting)
        else:
            self._others.run(partial(_series, function, waiting))

    @contextmanager
    def none_but_this(self) -> Iterator[None]:
        """Inside, the calling thread does all of it: the other cores have work of their own."""
        threads, self.threads = self.threads, 1
        try:
            yield
        finally:
            self.threads = threads

    def elementwise(self, function: Callable[..., object], *arrays: Array) -> None:
        """function(*arrays) for a function that treats every number alone; large arrays (N, ...) go piece by piece."""
        first = arrays[0]
        if first.size <= PIECE or not all(array.flags.c_contiguous for array in arrays):
            function(*arrays)
            return
        flat = [array.reshape(-1) for array in arrays]
        self.run(lambda piece: function(*(array[piece] for array in flat)), cut(first.size), first.size)

    def enumerated(self, function: Callable[..., object], arrays: Sequence[Array], piece: int, before: int = 0) -> None:
        """function(number, start, *arrays) for every piece of that many numbers; all arrays (N, ...) are contiguous.

        The arrays are part of longer ones, with so many numbers before them, that are cut from their own beginning:
        a piece's part of them starts at number `start` of it.
        """
        flat = [array.reshape(-1) for array in arrays]
        first, stop = before // piece, before + arrays[0].size

        def run(number: int) -> None:
            start = max(number * piece, before)
            own = slice(start - before, min((number + 1) * piece, stop) - before)
            function(number, start - number * piece, *(array[own] for array in flat))

        self.run(run, range(first, -(-stop // piece)))

    def by_rows(
        self, function: Callable[..., Result], arrays: Sequence[Array], pieces: Sequence[slice] | None = None
    ) -> list[Result]:
        """function(*arrays) for every piece of the arrays' rows, in order; if none are given, the first is 2-D."""
        rows = arrays[0]
        pieces = cut(len(rows), rows.shape[1]) if pieces is None else pieces
        results: dict[int, Result] = {}

        def run(number: int) -> None:
            results[number] = function(*(array[pieces[number]] for array in arrays))

        self.run(run, range(len(pieces)), rows.size)
        return [results[number] for number in range(len(pieces))]

    def scratch(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Memory of the calling thread, for values that no piece needs from another: all layers share it."""
        buffers: Buffers | None = getattr(self._scratch, "buffers", None)
        if buffers is None:
            buffers = self._scratch.buffers = Buffers()
        return buffers.get(name, shape, dtype)

    def zeros_like(self, x: Array) -> Array:
        """Zeros that nobody writes to: NumPy compares two arrays three times as fast as an array and a number."""
        zeros = self._zeros.get(x.dtype)
        if zeros is None or zeros.size < x.size:
            zeros = self._zeros[x.dtype] = np.zeros(x.size, x.dtype)
            zeros.flags.writeable = False
        return zeros[: x.size].reshape(x.shape)


def cut(length: int, width: int = 1, piece: int = PIECE) -> list[slice]:
    """Slices of `length` rows of `width` numbers, each about `piece` numbers; they depend on the sizes alone."""
    rows = max(1, piece // width)
    return [slice(start, min(start + rows, length)) for start in range(0, length, rows)]


def _series(function: Callable[[Piece], object], waiting: Iterator[Piece]) -> None:
    # NumPy's error state is each thread's own; what overflows is found by explicit checks, and named.
    with np.errstate(all="ignore"):
        for piece in waiting:
            function(piece)
