"""Gradients of weights that processes of one machine work out together: each a part of dW, over the rows of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import Communicator
from nnscratch.nn.compute.products import SMALL, product
from nnscratch.nn.compute.workers import Workers

WORTH = 1
"""How many times as many numbers dW must have as x and dy of all rows."""


class RowSums(Protocol):
    """Who works out products of a layer, over the rows of all processes, before or after it is the layer's turn."""

    def product(self, a: Array, b: Array, out: Array, workers: Workers) -> Array:
        """a b for the rows at hand, in out or where it is there already; the layer may write over it."""

    def take(self, x: Array, dy: Array, dW: Array | None, db: Array | None, workers: Workers) -> bool:
        """Whether dW = x^T dy and db = sum_n dy, as far as wanted, are seen to; else that is left to the layer."""


class RowProducts:
    """dW = x^T dy, where each process has some rows of x and dy, and is to have some rows of the sum over all of them.

    Of a small batch and a large W, dW is larger than x and dy. So not the processes' summands of dW are exchanged, but
    x and dy, in memory that all of them read; then each works out the rows of dW that it owns (the sufficient factors
    of Xie et al. 2016). `take` leaves a product to `reduce_scatter`, which does them all: were each done at once, the
    others would wait for whoever owns the most of it.
    """

    def __init__(self, communicator: Communicator) -> None:
        self.communicator = communicator
        self.start = self.count = self.total = 0
        self._shares = communicator.size > 1
        self._memory: list[Array] = []
        """Of the first product that was taken in a step, of the second, and so on: for the most rows so far."""
        self._taken: list[tuple[Array, Array, Array, Workers]] = []

    def expect(self, start: int, count: int, total: int) -> None:
        """Says which rows of the batch are this process's: from `start` on, so many of all; it may be none."""
        self.start, self.count, self.total = start, count, total

    def product(self, a: Array, b: Array, out: Array, workers: Workers) -> Array:
        """a b, written into out: every process has all of W, and some rows of x and dy."""
        return product(a, b, out, workers)

    def take(self, x: Array, dy: Array, dW: Array | None, db: Array | None, workers: Workers) -> bool:
        """Whether dW (D, K) is worked out later from these rows of x and dy; all processes ask, and get one answer."""
        if dW is None:
            return False
        D, K = dW.shape
        size = self.total * (D + K)
        if dW.size < WORTH * size or self.total * dW.size < SMALL or not self._has_memory(size, dW):
            return False
        memory, size = self._memory[len(self._taken)], self.total * D
        all_x, all_dy = memory[:size].reshape(-1, D), memory[size : size + self.total * K].reshape(-1, K)
        own = slice(self.start, self.start + self.count)
        all_x[own], all_dy[own] = x[: self.count], dy[: self.count]
        self._taken.append((all_x, all_dy, dW, workers))
        if db is not None:
            np.add.reduce(dy, axis=0, out=db)
        return True

    def _has_memory(self, size: int, like: Array) -> bool:
        number = len(self._taken)
        if self._shares and (number == len(self._memory) or self._memory[number].size < size):
            memory = self.communicator.common(size, like.dtype)
            self._shares = memory is not None
            if memory is not None:
                self._memory[number : number + 1] = [memory]
        return self._shares

    def reduce_scatter(self, gradient: Array, borders: Sequence[int]) -> None:
        """gradient[own] = the sum over the processes, in place: what was taken is worked out, all else exchanged."""
        taken, self._taken = self._taken, []
        own = slice(*borders[self.communicator.rank : self.communicator.rank + 2])
        if taken:
            self.communicator.wait()
        done = [0]
        for x, dy, dW, workers in sorted(taken, key=lambda each: each[2].ctypes.data):
            start = (dW.ctypes.data - gradient.ctypes.data) // gradient.itemsize
            rows = _rows(dW, start, own) if start < gradient.size else slice(None)  # frozen weights belong to nobody
            product(x.T[rows], dy, dW[rows], workers)
            done += [min(start, gradient.size), min(start + dW.size, gradient.size)]
        done.append(gradient.size)
        for start, stop in zip(done[::2], done[1::2], strict=True):
            if start < stop:
                of_piece = [min(max(border, start), stop) - start for border in borders]
                self.communicator.reduce_scatter(gradient[start:stop], of_piece)
        if taken:
            self.communicator.wait()


def _rows(dW: Array, start: int, own: slice) -> slice:
    """The rows that the own part of the vector has something of, when dW starts there in it."""
    K = dW.shape[1]
    first, last = max(own.start - start, 0), min(own.stop - start, dW.size)
    return slice(first // K, -(-last // K)) if first < last else slice(0, 0)
