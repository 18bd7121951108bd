"""Layers that only change the shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Parameters


@dataclass(eq=False)
class Flatten(Layer):
    """y = x as (N, D) with D the product of x's other sizes; dx = dy in x's shape.

    Derivation: every number stays what it is, only its place has another name.
    """

    name: ClassVar[str] = "flatten"
    backward_needs_input: ClassVar[bool] = False
    returns_view: ClassVar[bool] = True

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        self.size = math.prod(input_shape)
        return (self.size,)

    def forward(self, x: Array, training: bool) -> Array:
        self.x_shape = x.shape
        return x.reshape(x.shape[0], self.size)

    def backward(self, dy: Array) -> Array | None:
        return dy.reshape(self.x_shape)

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        (d,) = largest(y[n])
        place = tuple(int(each) for each in np.unravel_index(d, x.shape[1:]))
        yield Equation.of(entry("y", n, d), "x", {"x": x[(n, *place)]}, y[n, d], f"x at {(n, *place)}")

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if dx is not None:
            place = largest(dx[n])
            d = int(np.ravel_multi_index(place, dx.shape[1:]))
            yield Equation.of(entry("dx", n, *place), "dy", {"dy": dy[n, d]}, dx[(n, *place)], f"dy at {(n, d)}")
