"""What `dense` and `conv` have in common: their outputs are weighted sums of their inputs."""

from __future__ import annotations

from dataclasses import replace

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.initializers import DataInitializer, Initializer, Zeros
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Group, Parameters


class WeightedSum(Layer):
    """A layer with weights W that may stay frozen, and may start from the data that the layer is given."""

    bias: bool
    weight_init: Initializer | None
    frozen: bool
    learning_rate_scale: float

    def declare(self, parameters: Parameters, shape: Shape, fans: tuple[int, int], parts: int = 1) -> None:
        """Asks for W of that shape and, where wanted, for b with a number for each of the last axis.

        `parts` of the last axis start by themselves.
        """
        self.initializer = self.weight_init or parameters.weight_init
        weights = Group(frozen=self.frozen, learning_rate_scale=self.learning_rate_scale)
        parameters.declare("weight", shape, self.initializer, fans=fans, group=weights, parts=parts)
        if self.bias:
            parameters.declare("bias", shape[-1:], Zeros(), group=replace(weights, frozen=False, decay=False))

    def bind(self, parameters: Parameters) -> None:
        self.W, self.dW = parameters.arrays("weight")
        if self.bias:
            self.b, self.db = parameters.arrays("bias")

    @property
    def starts_from_data(self) -> bool:
        return isinstance(self.initializer, DataInitializer)

    def fit_to(self, x: Array) -> None:
        if isinstance(self.initializer, DataInitializer):
            self.W[...] = self.initializer.values_from(x, self.W.shape)

    def training_flops(self, input_shape: Shape, output_shape: Shape) -> int:
        """dW costs as much as y, and so does dx."""
        return self.flops(input_shape, output_shape) * (1 + self.needs_dx + (not self.frozen))
