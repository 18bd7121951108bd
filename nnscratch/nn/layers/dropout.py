"""Dropout: numbers are left out at random while training, so that none can be relied upon (Srivastava et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import cut
from nnscratch.nn.layer import Layer

LEVELS = 1 << 16
"""Random numbers are drawn as 16-bit integers: the rate is kept to within 1 / 65536."""

DRAWN = 1 << 18
"""Numbers that share a random stream; its cost is spread over them."""


@dataclass(eq=False)
class Dropout(Layer):
    """y = k x / (1 - rate) with k = 0 at probability `rate`, else 1; dx = k dy / (1 - rate). Not training: y = x.

    The division keeps the expected value, so that nothing changes afterwards. k comes from the stream of this layer
    and step, a stream per piece of the batch: it does not depend on the threads, nor on other layers.

    Derivation: k is a constant of the step: the slope of y is k / (1 - rate).
    """

    name: ClassVar[str] = "dropout"
    short: ClassVar[str | None] = "rate"

    rate: float = setting(0.5, "share of the numbers left out", ge=0, lt=1)

    def forward(self, x: Array, training: bool) -> Array:
        y = self.y_like(x)
        if not training or not self.rate:
            if y is not x:
                np.copyto(y, x)
            return y
        dropped = round(self.rate * LEVELS)
        self.factor = LEVELS / max(LEVELS - dropped, 1)
        self.kept = self.buffer("kept", x.shape, np.bool_)
        kept, flat_x, flat_y = self.kept.reshape(-1), x.reshape(-1), y.reshape(-1)
        pieces = cut(x.size, piece=DRAWN)

        def run(index: int) -> None:
            piece = pieces[index]
            rng = self.moment.streams.stream("dropout " + self.path, self.moment.step, index)
            drawn = rng.integers(0, LEVELS, piece.stop - piece.start, np.uint16)
            np.greater_equal(drawn, dropped, out=kept[piece])
            self._apply(flat_x[piece], kept[piece], flat_y[piece])

        self.workers.run(run, range(len(pieces)))
        return y

    def backward(self, dy: Array) -> Array | None:
        dx = self.dx_like(dy)
        if not self.rate:
            if dx is not dy:
                np.copyto(dx, dy)
            return dx
        self.workers.elementwise(self._apply, dy, self.kept, dx)
        return dx

    def _apply(self, numbers: Array, kept: Array, out: Array) -> None:
        np.multiply(numbers, kept, out=out)
        out *= self.factor
