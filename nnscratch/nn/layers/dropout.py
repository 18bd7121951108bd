"""Dropout: numbers are left out at random while training, so that none can be relied upon (Srivastava et al. 2014)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.layer import Layer

LEVELS = 1 << 16
"""Random numbers are drawn as 16-bit integers: the rate is kept to within 1 / 65536."""

DRAWN = 1 << 18
"""Numbers that share a random stream; its cost is spread over them."""


DRAWN_AT_ONCE = 4
"""16-bit integers that the generator (PCG64) makes of one draw of 64 bits."""


@dataclass(eq=False)
class Dropout(Layer):
    """y = k x / (1 - rate) with k = 0 at probability `rate`, else 1; dx = k dy / (1 - rate). Not training: y = x.

    The division keeps the expected value, so that nothing changes afterwards. k comes from the stream of this layer
    and step, a stream per piece of the batch: it does not depend on the threads, on other layers, or on how many
    processes share the batch. It is drawn from 16 bits: the rate, in the division too, is the nearest multiple of
    1 / 65536 below 1.

    Derivation: k is a constant of the step: the slope of y is k / (1 - rate).
    """

    name: ClassVar[str] = "dropout"
    also_called: ClassVar[tuple[str, ...]] = ("dropout2d",)
    short: ClassVar[str | None] = "rate"
    backward_needs_input: ClassVar[bool] = False
    works_in_place: ClassVar[bool] = True

    rate: float = setting(0.5, "share of the numbers left out, to the nearest 1 / 65536", ge=0, lt=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.dropped = min(round(self.rate * LEVELS), LEVELS - 1)  # something is always kept
        self.factor = LEVELS / (LEVELS - self.dropped)

    def forward(self, x: Array, training: bool) -> Array:
        if not (training and self.rate):
            return x if self.may_overwrite_x else self.forward_by(np.positive, x)
        self.kept = self.buffer("kept", x.shape, np.bool_)
        y = self.y_like(x)
        before = self.moment.first_row * (x.size // len(x))
        self.workers.enumerated(self._drop, (x, self.kept, y), DRAWN, before)
        return y

    def backward(self, dy: Array) -> Array | None:
        if not self.rate:
            return dy if self.may_overwrite_dy else self.backward_by(np.positive, dy)
        return self.backward_by(self._apply, dy, self.kept)

    def _drop(self, piece: int, start: int, x: Array, kept: Array, y: Array) -> None:
        """Of a piece, the numbers from `start` on."""
        rng = self.moment.streams.stream("dropout " + self.path, self.moment.step, piece)
        skipped, surplus = divmod(start, DRAWN_AT_ONCE)
        if skipped:
            rng.bit_generator.advance(skipped)  # type: ignore[attr-defined]  # the type of all generators; the PCG64 of ours can
        levels = rng.integers(0, LEVELS, surplus + x.size, np.uint16)
        np.greater_equal(levels[surplus:], self.dropped, out=kept)
        self._apply(x, kept, y)

    def _apply(self, numbers: Array, kept: Array, out: Array) -> None:
        np.multiply(numbers, kept, out=out)
        out *= self.factor

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        yield self._worked("y", "x", x, y, n)

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if dx is not None:
            yield self._worked("dx", "dy", dy, dx, n)

    def _worked(self, name: str, of: str, given: Array, made: Array, n: int) -> Equation:
        at = (n, *largest(made[n]))
        rate = 1 - 1 / self.factor if self.rate else 0.0
        values = {"k": self.kept[at] if self.rate else 1, "rate": rate, of: given[at]}
        note = f"k is 1 for what is kept; a rate of {self.rate:g} in steps of 1 / {LEVELS}" if self.rate else ""
        return Equation.of(entry(name, *at), f"k * {of} / (1 - rate)", values, made[at], note)
