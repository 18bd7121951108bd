"""Pooling: a window of pixels becomes one. Nothing is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import cut
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Parameters

BLOCK = 1 << 18
"""Numbers of the images that a thread takes at a time."""


@dataclass(eq=False)
class Pool(Layer):
    """Windows of size x size pixels every `stride` pixels; what does not fill a window at the edge is left out."""

    short: ClassVar[str | None] = "size"
    backward_needs_input: ClassVar[bool] = False

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

    def window(self, i: int, j: int) -> tuple[slice, slice]:
        """The pixels that output i, j is made of."""
        top, left = i * self.step, j * self.step
        return slice(top, top + self.size), slice(left, left + self.size)

    def seen_by(self, u: int, v: int) -> list[tuple[int, int]]:
        """The outputs whose windows hold pixel u, v."""
        down, across = (
            range(max(0, -(-(place - self.size + 1) // self.step)), min(place // self.step + 1, outputs))
            for place, outputs in zip((u, v), self.y_shape, strict=False)
        )
        return [(i, j) for i in down for j in across]


@dataclass(eq=False)
class MaxPool(Pool):
    """y = the largest x in each window; dx = dy there and 0 elsewhere (Weng et al. 1992).

    Of equals the leftmost is chosen, and of those in its column the uppermost; PyTorch takes the uppermost row first.

    A maximum over rows, then over columns; each remembers which of the `size` places won.

    Derivation: y is one of its x: slope 1 there, 0 for the others. An x in several windows adds up what each sends.
    """

    name: ClassVar[str] = "max_pool"
    also_called: ClassVar[tuple[str, ...]] = ("maxpool2d", "maxpooling2d", "maxpooling")

    def forward(self, x: Array, training: bool) -> Array:
        N, H, W, C = x.shape
        rows, columns, _ = self.y_shape
        self.x_shape = x.shape
        y = self.y_buffer((N, *self.y_shape), x)
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
        dx = self.dx_buffer(self.x_shape, dy)

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

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        i, j, c = largest(y[n])
        pixels = x[(n, *self.window(i, j), c)].ravel()
        yield Equation.of(
            entry("y", n, i, j, c), "max_w(x_w)", {"x_w": pixels}, y[n, i, j, c], "over the pixels of its window"
        )

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if dx is None:
            return
        u, v, c = largest(dx[n])
        windows = self.seen_by(u, v)
        chosen = [self._chosen(x[n, :, :, c], i, j) == (u, v) for i, j in windows]
        values = {"k_w": np.array(chosen, float), "dy_w": np.array([dy[n, i, j, c] for i, j in windows])}
        note = "over the windows with this pixel; k is 1 where it is the largest, else 0"
        yield Equation.of(entry("dx", n, u, v, c), "sum_w(k_w * dy_w)", values, dx[n, u, v, c], note)

    def _chosen(self, x: Array, i: int, j: int) -> tuple[int, int]:
        """The pixel that output i, j comes from: of equals the one in the first column, there in the first row."""
        column, row = divmod(int(np.argmax(x[self.window(i, j)].T)), self.size)
        return i * self.step + row, j * self.step + column


@dataclass(eq=False)
class AveragePool(Pool):
    """y = the mean of x in each window; dx = the sum of dy / size^2 over the windows of a pixel (LeCun et al. 1989).

    Derivation: y = sum x / size^2, so each x of a window has the slope 1 / size^2.
    """

    name: ClassVar[str] = "average_pool"
    also_called: ClassVar[tuple[str, ...]] = ("avgpool", "avgpool2d", "averagepooling2d", "meanpool")

    def forward(self, x: Array, training: bool) -> Array:
        self.x_shape = x.shape
        rows, columns, _ = self.y_shape
        y = self.y_buffer((len(x), *self.y_shape), x)

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
        dx = self.dx_buffer(self.x_shape, dy)

        def run(images: slice) -> None:
            share = np.multiply(dy[images], 1 / self.size**2)
            target = dx[images]
            target[...] = 0
            for down in self.places(rows):
                for across in self.places(columns):
                    target[:, down, across] += share

        self.workers.run(run, cut(len(dx), math.prod(dx.shape[1:]), BLOCK))
        return dx

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        i, j, c = largest(y[n])
        values = {"x_w": x[(n, *self.window(i, j), c)].ravel(), "size": self.size}
        yield Equation.of(
            entry("y", n, i, j, c), "sum_w(x_w) / size**2", values, y[n, i, j, c], "over the pixels of its window"
        )

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if dx is None:
            return
        u, v, c = largest(dx[n])
        values = {"dy_w": np.array([dy[n, i, j, c] for i, j in self.seen_by(u, v)]), "size": self.size}
        note = "over the windows that see this pixel"
        yield Equation.of(entry("dx", n, u, v, c), "sum_w(dy_w) / size**2", values, dx[n, u, v, c], note)


@dataclass(eq=False)
class GlobalAveragePool(Layer):
    """y_c = the mean of x over all H W pixels; dx = dy / (H W)    x (N, H, W, C), y (N, C)    (Lin et al. 2014)

    Derivation: y = sum x / (H W), so each x has the slope 1 / (H W).
    """

    name: ClassVar[str] = "global_average_pool"
    also_called: ClassVar[tuple[str, ...]] = ("gap", "adaptiveavgpool2d", "globalaveragepooling2d")
    backward_needs_input: ClassVar[bool] = False

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        if len(input_shape) != 3:
            raise ShapeError(f"global_average_pool takes images (H, W, C), but is given {input_shape}")
        return (input_shape[2],)

    def forward(self, x: Array, training: bool) -> Array:
        self.x_shape = x.shape
        return np.mean(x, axis=(1, 2), out=self.y_buffer((x.shape[0], x.shape[3]), x))

    def backward(self, dy: Array) -> Array | None:
        if not self.needs_dx:
            return None
        _, H, W, _ = self.x_shape
        dx = self.dx_buffer(self.x_shape, dy)
        dx[...] = (dy / (H * W))[:, None, None, :]
        return dx

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        (c,) = largest(y[n])
        _, H, W, _ = x.shape
        values = {"x_ij": x[n, :, :, c].ravel(), "H": H, "W": W}
        yield Equation.of(entry("y", n, c), "sum_ij(x_ij) / (H * W)", values, y[n, c])

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if dx is not None:
            i, j, c = largest(dx[n])
            _, H, W, _ = x.shape
            yield Equation.of(entry("dx", n, i, j, c), "dy / (H * W)", {"dy": dy[n, c], "H": H, "W": W}, dx[n, i, j, c])
