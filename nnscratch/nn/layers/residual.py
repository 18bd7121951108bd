"""A block of layers around which its input is led, and added to its output (He et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnscratch.component import setting
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.layer import Layer
from nnscratch.nn.network import Chain
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import Moment


@dataclass(eq=False)
class Residual(Layer):
    """y = f(x) + g(x),  dx = df/dx^T dy + dg/dx^T dy    f the layers, g the shortcut: g(x) = x without one

    Both must have the same output shape. x and dy are shared by the two paths, so neither may overwrite them.

    Derivation: x reaches the loss on two ways; by the chain rule the gradients of both add.
    """

    name: ClassVar[str] = "residual"
    short: ClassVar[str | None] = "layers"
    backward_needs_input: ClassVar[bool] = True

    layers: tuple[Layer, ...] = setting(help="the layers around which the input is led")
    shortcut: tuple[Layer, ...] = setting((), "layers on the way around, such as a conv of kernel 1 to change channels")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.paths = Chain(self.layers), Chain(self.shortcut, "shortcut")

    @property
    def uses_own_threads(self) -> bool:  # type: ignore[override]
        return any(layer.uses_own_threads for layer in (*self.layers, *self.shortcut))

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        f, g = self.paths
        shape = f.build(input_shape, parameters, f"{self.path}.")
        with parameters.scope("shortcut"):
            around = g.build(input_shape, parameters, f"{self.path}.shortcut.")
        if shape != around:
            raise ShapeError(
                f"the residual layers turn {input_shape} into {shape}, which cannot be added to {around}",
                "keep the shape (padding: same, stride 1, as many channels), or give a shortcut of that output",
            )
        return shape

    def wire(self, dtype: npt.DTypeLike, moment: Moment, workers: Workers) -> None:
        super().wire(dtype, moment, workers)
        for path in self.paths:
            path.wire(dtype, moment, workers, input_is_free=False, dy_is_free=False)

    def want_dx(self, wanted: bool) -> None:
        super().want_dx(wanted)
        for path in self.paths:
            path.want_dx(wanted)

    def forward(self, x: Array, training: bool) -> Array:
        f, g = (path.forward(x, training) for path in self.paths)
        return np.add(f, g, out=self.buffer("y", f.shape))

    def backward(self, dy: Array) -> Array | None:
        f, g = (path.backward(dy) for path in self.paths)
        if f is None or g is None or not self.needs_dx:
            return None
        return np.add(f, g, out=self.buffer("dx", f.shape))

    def kinks(self) -> Array | None:
        patterns = [layer.kinks() for path in self.paths for layer in path.layers]
        known = [pattern.ravel() for pattern in patterns if pattern is not None]
        return np.concatenate(known) if known else None

    def starts_from_data(self) -> bool:
        return any(layer.starts_from_data() for path in self.paths for layer in path.layers)

    def fit_to(self, x: Array) -> None:
        for path in self.paths:
            path.fit_to(x)

    def activation_size(self, output_shape: Shape) -> int:
        return super().activation_size(output_shape) + sum(path.activation_size() for path in self.paths)

    def flops(self, input_shape: Shape, output_shape: Shape) -> int:
        return sum(summary.flops for path in self.paths for summary in path.summaries)

    def training_flops(self, input_shape: Shape, output_shape: Shape) -> int:
        return sum(path.training_flops() for path in self.paths)
