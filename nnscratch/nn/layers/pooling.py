"""Pooling: a window of pixels becomes one. Nothing is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import cut
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Parameters

BLOCK = 1 << 18
"""Numbers of the images that a thread takes at a time."""


@dataclass(eq=False)
class Pool(Layer):
    """Windows of size x size pixels every `stride` pixels; what does not fill a window at the edge is left out."""

    short: ClassVar[str | None] = "size"

    # le: a byte per pixel remembers which of them max_pool took.
    size: int = setting(2, "height and width of the window", ge=1, le=256)
    stride: int | None = setting(None, "pixels from one window to the next; left out: size", ge=1)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        if len(input_shape) != 3:
            raise ShapeError(f"{self.name} takes images (H, W, C), but is given {input_shape}")
        H, W, C = input_shape
        if min(H, W) < self.size:
            raise ShapeError(f"a window of {self.size} does not fit into {H} x {W} pixels")
        self.step = self.stride or self.size
        self.y_shape = (H - self.size) // self.step + 1, (W - self.size) // self.step + 1, C
        return self.y_shape

    def places(self, outputs: int) -> list[slice]:
        """For each place in a window, along an axis with that many outputs: the pixels there, one per window."""
        return [slice(offset, offset + (outputs - 1) * self.step + 1, self.step) for offset in range(self.size)]


@dataclass(eq=False)
class MaxPool(Pool):
    """y = the largest x in each window; dx = dy there and 0 elsewhere (Weng et al. 1992). Of equals one is chosen.

    A maximum over rows, then over columns; each remembers which of the `size` places won.

    Derivation: y is one of its x: slope 1 there, 0 for the others. An x in several windows adds up what each sends.
    """

    name: ClassVar[str] = "max_pool"

    def forward(self, x: Array, training: bool) -> Array:
        N, H, W, C = x.shape
        rows, columns, _ = self.y_shape
        self.x_shape = x.shape
        y = self.buffer("y", (N, *self.y_shape))
        self.winning_row = self.buffer("winning row", (N, rows, W, C), np.uint8)
        self.winning_column = self.buffer("winning column", y.shape, np.uint8)

        def run(images: slice) -> None:
            best = self.workers.scratch("best", (images.stop - images.start, rows, W, C), x.dtype)
            self._maximum([x[images, place] for place in self.places(rows)], best, self.winning_row[images], training)
            by_column = [best[:, :, place] for place in self.places(columns)]
            self._maximum(by_column, y[images], self.winning_column[images], training)

        self.workers.run(run, cut(N, H * W * C, BLOCK))
        return y

    def backward(self, dy: Array) -> Array | None:
        if not self.needs_dx:
            return None
        N, H, W, C = self.x_shape
        rows, columns, _ = self.y_shape
        dx = self.buffer("dx", self.x_shape)

        def run(images: slice) -> None:
            dbest = self.workers.scratch("best", (images.stop - images.start, rows, W, C), dy.dtype)
            self._send(dy[images], self.winning_column[images], dbest, 2, self.places(columns))
            self._send(dbest, self.winning_row[images], dx[images], 1, self.places(rows))

        self.workers.run(run, cut(N, H * W * C, BLOCK))
        return dx

    def kinks(self) -> Array | None:
        return np.concatenate([self.winning_row.ravel(), self.winning_column.ravel()])

    def _maximum(self, candidates: list[Array], best: Array, winner: Array, remember: bool) -> None:
        """best = the largest candidate, winner = its number, the first of equals."""
        first, *others = candidates
        if not others:
            best[...], winner[...] = first, 0
        for number, candidate in enumerate(others, 1):
            present = first if number == 1 else best
            if remember and number == 1:
                np.greater(candidate, present, out=winner.view(np.bool_))
            elif remember:
                larger = self.workers.scratch("larger", winner.shape, np.bool_)
                np.greater(candidate, present, out=larger)
                places = larger.view(np.uint8)
                places *= number
                np.maximum(winner, places, out=winner)
            np.maximum(candidate, present, out=best)

    def _send(self, dy: Array, winner: Array, target: Array, axis: int, places: list[slice]) -> None:
        """dy to the place along the axis that won and 0 to the others, in `target`; windows that overlap add up."""
        before = (slice(None),) * axis
        overlap = self.step < self.size
        if overlap:
            target[...] = 0
        else:  # of every `step` pixels the first `size`; then what no window reached
            covered = places[-1].stop
            for skipped in range(self.size, self.step):
                target[(*before, slice(skipped, covered, self.step))] = 0
            target[(*before, slice(covered, None))] = 0
        won = self.workers.scratch("won", winner.shape, np.bool_)
        for number, place in enumerate(places):
            np.equal(winner, number, out=won)
            part = target[(*before, place)]
            if overlap:
                part += np.multiply(dy, won, out=self.workers.scratch("part", dy.shape, dy.dtype))
            else:
                np.multiply(dy, won, out=part)


@dataclass(eq=False)
class AveragePool(Pool):
    """y = the mean of x in each window; dx = the sum of dy / size^2 over the windows of a pixel (LeCun et al. 1989).

    Derivation: y = sum x / size^2, so each x of a window has the slope 1 / size^2.
    """

    name: ClassVar[str] = "average_pool"

    def forward(self, x: Array, training: bool) -> Array:
        self.x_shape = x.shape
        rows, columns, _ = self.y_shape
        y = self.buffer("y", (len(x), *self.y_shape))

        def run(images: slice) -> None:
            total = y[images]
            total[...] = 0
            for down in self.places(rows):
                for across in self.places(columns):
                    total += x[images, down, across]
            total *= 1 / self.size**2

        self.workers.run(run, cut(len(x), math.prod(x.shape[1:]), BLOCK))
        return y

    def backward(self, dy: Array) -> Array | None:
        if not self.needs_dx:
            return None
        rows, columns, _ = self.y_shape
        dx = self.buffer("dx", self.x_shape)

        def run(images: slice) -> None:
            share = np.multiply(dy[images], 1 / self.size**2)
            target = dx[images]
            target[...] = 0
            for down in self.places(rows):
                for across in self.places(columns):
                    target[:, down, across] += share

        self.workers.run(run, cut(len(dx), math.prod(dx.shape[1:]), BLOCK))
        return dx


@dataclass(eq=False)
class GlobalAveragePool(Layer):
    """y_c = the mean of x over all H W pixels; dx = dy / (H W)    x (N, H, W, C), y (N, C)    (Lin et al. 2014)

    Derivation: y = sum x / (H W), so each x has the slope 1 / (H W).
    """

    name: ClassVar[str] = "global_average_pool"

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        if len(input_shape) != 3:
            raise ShapeError(f"global_average_pool takes images (H, W, C), but is given {input_shape}")
        return (input_shape[2],)

    def forward(self, x: Array, training: bool) -> Array:
        self.x_shape = x.shape
        return np.mean(x, axis=(1, 2), out=self.buffer("y", (x.shape[0], x.shape[3])))

    def backward(self, dy: Array) -> Array | None:
        if not self.needs_dx:
            return None
        _, H, W, _ = self.x_shape
        dx = self.buffer("dx", self.x_shape)
        dx[...] = (dy / (H * W))[:, None, None, :]
        return dx
