"""Layers that only change the shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Parameters


@dataclass(eq=False)
class Flatten(Layer):
    """y = x as (N, D) with D the product of x's other sizes; dx = dy in x's shape.

    Derivation: every number stays what it is, only its place has another name.
    """

    name: ClassVar[str] = "flatten"
    returns_view: ClassVar[bool] = True

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        self.size = math.prod(input_shape)
        return (self.size,)

    def forward(self, x: Array, training: bool) -> Array:
        self.x_shape = x.shape
        return x.reshape(x.shape[0], self.size)

    def backward(self, dy: Array) -> Array | None:
        return dy.reshape(self.x_shape)
