"""The contract of a layer: build, forward, backward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnscratch.component import Component
from nnscratch.nn.compute.buffers import Array, Buffers, Shape
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import Moment


@dataclass(eq=False)
class Layer(Component):
    """One step of a network: y = f(x), and dx from dy, where dx is the gradient of the loss with respect to x.

    A layer owns its buffers and writes results into them. `backward` overwrites the gradients of the layer's own
    parameters (dW, db: views of the network's gradient vector) and returns dx. Images are N,H,W,C.
    """

    kind: ClassVar[str] = "layer"

    backward_needs_input: ClassVar[bool] = False
    """backward reads x again, so nobody may overwrite it before."""
    backward_needs_output: ClassVar[bool] = False
    """backward reads y again."""
    equations: ClassVar[Mapping[str, str]] = {}
    """Of an element-wise layer: y from x, and dx from dy, in Python's arithmetic over x, y, dy and the layer's fields.

    `nnscratch explain` shows and computes them; an entry may use those before it.
    """
    returns_view: ClassVar[bool] = False
    """y is x under another shape."""
    uses_own_threads: ClassVar[bool] = False
    """The layer splits its work over `workers`, each with matrix products of its own: BLAS is to use one thread."""

    def __post_init__(self) -> None:
        self.buffers = Buffers()
        self.dtype: npt.DTypeLike = np.float32
        # Granted by the network, which knows who needs what again.
        self.may_overwrite_x = False
        self.may_overwrite_dy = False
        self.needs_dx = True
        self.path = ""
        self.moment = Moment()
        self.workers = Workers()

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        """The shape of y without N, for an x of that shape without N; declares the layer's arrays.

        Raises ShapeError for an input the layer cannot take.
        """
        return input_shape

    def forward(self, x: Array, training: bool) -> Array:
        """y for a batch x (N, *input_shape)."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array | None:
        """dx for the batch of the last forward, which was for training; None when nobody needs it (`needs_dx`)."""
        raise NotImplementedError

    def wire(self, dtype: npt.DTypeLike, moment: Moment, workers: Workers) -> None:
        """Tells the layer what all layers of a network share, once its arrays are allocated."""
        self.dtype, self.moment, self.workers = dtype, moment, workers

    def want_dx(self, wanted: bool) -> None:
        """Whether anybody needs dx."""
        self.needs_dx = wanted

    def fit_to(self, x: Array) -> None:
        """Starts weights that depend on the data (whitening) from a batch of this layer's inputs."""

    def starts_from_data(self) -> bool:
        """Whether `fit_to` is to be called before training."""
        return False

    def flops(self, input_shape: Shape, output_shape: Shape) -> int:
        """Multiplications and additions of the forward pass for one example; element-wise work is not counted."""
        return 0

    def training_flops(self, input_shape: Shape, output_shape: Shape) -> int:
        """The same of the forward and the backward pass."""
        return self.flops(input_shape, output_shape) * (1 + self.needs_dx)

    def activation_size(self, output_shape: Shape) -> int:
        """How many numbers of its own the output for one example holds."""
        return 0 if self.returns_view else math.prod(output_shape)

    def kinks(self) -> Array | None:
        """Which side of its kinks every number of the last forward fell on; None for a smooth layer.

        The gradient check leaves out a weight whose step changes this: there is no derivative to compare with.
        """
        return None

    def buffer(self, name: str, shape: Shape, dtype: npt.DTypeLike | None = None) -> Array:
        """The layer's own memory of that name and shape, reused from step to step."""
        return self.buffers.get(name, shape, self.dtype if dtype is None else dtype)

    def y_like(self, x: Array) -> Array:
        """Where an element-wise layer writes y: over x when granted, else into its own buffer."""
        return x if self.may_overwrite_x else self.buffer("y", x.shape)

    def dx_like(self, dy: Array) -> Array:
        """Where an element-wise layer writes dx: over dy when granted, else into its own buffer."""
        return dy if self.may_overwrite_dy else self.buffer("dx", dy.shape)
