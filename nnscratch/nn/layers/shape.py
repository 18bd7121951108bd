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

    def worked_forward(self, x: Array, y: Array) -> Iterator[Equation]:
        (d,) = largest(y[0])
        place = tuple(int(each) for each in np.unravel_index(d, x.shape[1:]))
        yield Equation.of(entry("y", 0, d), "x", {"x": x[(0, *place)]}, y[0, d], f"x at {(0, *place)}")

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None) -> Iterator[Equation]:
        if dx is not None:
            place = largest(dx[0])
            d = int(np.ravel_multi_index(place, dx.shape[1:]))
            yield Equation.of(entry("dx", 0, *place), "dy", {"dy": dy[0, d]}, dx[(0, *place)], f"dy at {(0, d)}")
