"""The rows of a batch that one of two processes goes forward and back with, in memory that both have: half, or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.products import product
from nnscratch.nn.compute.workers import Workers
from nnscratch.training.batches import Part
from nnscratch.training.gradient_blocks import Rows

LOSS, CORRECT, FIRST_NORM = range(3)
"""Of what a half tells: its loss, how many were right, and then |x|^2 and |dy|^2 of every layer that learns."""


class First(NamedTuple):
    """The layer that is given the batch as it is: x and x W of all rows, and the shape of an example."""

    x: Array
    W: Array
    xW: Array
    shape: Shape


class _Place(NamedTuple):
    """Where x and dy of a layer go, as rows and as vectors, and where their squares are told."""

    x: Array
    dy: Array
    x_vector: Array
    dy_vector: Array
    told: int
    is_filled: bool
    """x is there already."""


class HalfBatch:
    """What layers ask about these rows, and give away of them. `told` is read by the other process, too."""

    def __init__(
        self,
        part: Part,
        kept: Mapping[int, Rows],
        first: First | None,
        told: memoryview[float],
        halves: Sequence[Part] = (),
    ) -> None:
        """`kept` has the rows of every layer that learns, by the identity of its dW.

        Of all rows at once, `halves` are the parts that have any.
        """
        self.part, self.told, self.halves, self._first = part, told, halves, first
        self.x: Array | None = None
        """Where the input goes, when the first layer is given it as it is."""
        self._xW = None
        if first is not None:
            self.x, self._xW = first.x[part.rows].reshape(-1, *first.shape), first.xW[part.rows]
        self._places = {}
        for number, (key, rows) in enumerate(kept.items()):
            x, dy = rows.x[part.rows], rows.dy[part.rows]
            is_filled = first is not None and rows.x is first.x
            self._places[key] = _Place(x, dy, x.reshape(-1), dy.reshape(-1), FIRST_NORM + 2 * number, is_filled)

    def product(self, a: Array, b: Array, out: Array, workers: Workers) -> Array:
        """a b, of all rows half by half: how BLAS rounds may depend on their number."""
        if self._xW is not None and self._first is not None and b is self._first.W:
            return self._xW
        if not self.halves:
            return product(a, b, out, workers)
        for half in self.halves:
            product(a[half.rows], b, out[half.rows], workers)
        return out

    def take(self, x: Array, dy: Array, dW: Array | None, db: Array | None, workers: Workers) -> bool:
        """Keeps x and dy, whose sums over all rows come later, of layers that learn."""
        place, told = self._places.get(id(dW)), self.told
        if place is not None:
            if not place.is_filled:
                np.copyto(place.x, x)
            np.copyto(place.dy, dy)
            told[place.told] = np.dot(place.x_vector, place.x_vector)
            told[place.told + 1] = np.dot(place.dy_vector, place.dy_vector)
        return True
