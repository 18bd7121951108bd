"""The rows of a batch that one of two processes goes forward and back with, in memory that both have: half, or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.products import product
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layers.dense import Dense
from nnscratch.training.batches import Part
from nnscratch.training.gradient_blocks import Rows

LOSS, CORRECT, FIRST_NORM = range(3)
"""Of what a half tells: its loss, how many were right, and then |x|^2 and |dy|^2 of every layer."""


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
        input_shape: Shape,
        kept: Mapping[int, tuple[int, Rows]],
        first: Dense | None,
        products: Array,
        told: memoryview[float],
        halves: Sequence[Part] = (),
    ) -> None:
        """`kept`, by the identity of its dW, has a layer's number and rows; `products` are x W of the first layer.

        Of all rows at once, `halves` are the two parts.
        """
        self.part, self.told, self.halves = part, told, [half for half in halves if half.count]
        self.x: Array | None = None
        """Where the input goes, when the first layer is given it as it is."""
        self._W, self._xW = None if first is None else first.W, products[part.rows]
        self._places = {}
        for key, (number, rows) in kept.items():
            x, dy = rows.x[part.rows], rows.dy[part.rows]
            is_filled = number == 0 and first is not None
            if is_filled:
                self.x = x.reshape(len(x), *input_shape)
            self._places[key] = _Place(x, dy, x.reshape(-1), dy.reshape(-1), FIRST_NORM + 2 * number, is_filled)

    def product(self, a: Array, b: Array, out: Array, workers: Workers) -> Array:
        """a b, of all rows half by half: how BLAS rounds may depend on their number."""
        if b is self._W:
            return self._xW
        if not self.halves:
            return product(a, b, out, workers)
        for half in self.halves:
            product(a[half.rows], b, out[half.rows], workers)
        return out

    def take(self, x: Array, dy: Array, dW: Array | None, db: Array | None, workers: Workers) -> bool:
        """Keeps x and dy, whose sums over all rows come later."""
        place, told = self._places[id(dW)], self.told
        if not place.is_filled:
            np.copyto(place.x, x)
        np.copyto(place.dy, dy)
        told[place.told] = np.dot(place.x_vector, place.x_vector)
        told[place.told + 1] = np.dot(place.dy_vector, place.dy_vector)
        return True

    def has_none(self) -> None:
        """Tells that there are no such rows."""
        for place in range(len(self.told)):
            self.told[place] = 0.0
