"""A loop over pieces of work on all cores: NumPy releases the interpreter lock inside its loops.

The pieces, and so the rounding of every result, do not depend on how many threads share them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Piece = TypeVar("Piece")


class Workers:
    """A fixed number of threads, the calling one included."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self.threads - 1, "nnscratch") if self.threads > 1 else None

    def run(self, function: Callable[[Piece], None], pieces: Sequence[Piece]) -> None:
        """function(piece) for every piece, in no promised order; raises what a piece raised."""
        if self._pool is None or len(pieces) < 2:
            _series(function, pieces)
            return
        others = [
            self._pool.submit(_series, function, pieces[start :: self.threads]) for start in range(1, self.threads)
        ]
        _series(function, pieces[:: self.threads])
        for other in others:
            other.result()


def _series(function: Callable[[Piece], None], pieces: Sequence[Piece]) -> None:
    # The calling thread's error state does not reach other threads; what overflows is found by explicit checks.
    with np.errstate(all="ignore"):
        for piece in pieces:
            function(piece)
