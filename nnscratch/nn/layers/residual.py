"""A block of layers around which its input is led, and added to its output (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.layer import Chain, Layer
from nnscratch.nn.parameters import Parameters


@dataclass(eq=False)
class Residual(Layer):
    """y = f(x) + g(x),  dx = df/dx^T dy + dg/dx^T dy    f the layers, g the shortcut: g(x) = x without one

    Both must have the same output shape. x and dy are shared by the two paths, so neither may overwrite them.

    Derivation: x reaches the loss on two ways; by the chain rule the gradients of both add.
    """

    name: ClassVar[str] = "residual"
    short: ClassVar[str | None] = "layers"
    joins: ClassVar[str] = "+"

    layers: tuple[Layer, ...] = setting(help="the layers around which the input is led")
    shortcut: tuple[Layer, ...] = setting((), "layers on the way around, such as a conv of kernel 1 to change channels")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.paths = Chain(self.layers), Chain(self.shortcut, "shortcut")

    def children(self) -> tuple[Chain, ...]:
        return self.paths

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        shape, around = (path.build(input_shape, parameters) for path in self.paths)
        if shape != around:
            raise ShapeError(
                f"the residual layers turn {input_shape} into {shape}, which cannot be added to {around}",
                "keep the shape (padding: same, stride 1, as many channels), or give a shortcut of that output",
            )
        return shape

    def forward(self, x: Array, training: bool) -> Array:
        self.f, self.g = f, g = [path.forward(x, training) for path in self.paths]
        return np.add(f, g, out=self.y_buffer(f.shape, x))

    def backward(self, dy: Array) -> Array | None:
        self.df, self.dg = f, g = [path.backward(dy) for path in self.paths]
        if f is None or g is None or not self.needs_dx:
            return None
        return np.add(f, g, out=self.dx_buffer(f.shape, dy))

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        at = (n, *largest(y[n]))
        yield Equation.of(entry("y", *at), "f + g", {"f": self.f[at], "g": self.g[at]}, y[at], self._around("g is x"))

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if dx is not None and self.df is not None and self.dg is not None:
            at = (n, *largest(dx[n]))
            values = {"df": self.df[at], "dg": self.dg[at]}
            yield Equation.of(entry("dx", *at), "df + dg", values, dx[at], self._around("dg is dy"))

    def _around(self, words: str) -> str:
        return "" if self.shortcut else f"without a shortcut, {words}"
