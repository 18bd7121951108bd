"""What `dense` and `conv` have in common: their outputs are weighted sums of their inputs."""

from __future__ import annotations

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.initializers import DataInitializer, Initializer
from nnscratch.nn.layer import Layer


class WeightedSum(Layer):
    """A layer with weights W that may stay frozen, and may start from the data that the layer is given."""

    W: Array
    dW: Array
    b: Array
    db: Array
    initializer: Initializer
    frozen: bool

    def starts_from_data(self) -> bool:
        return isinstance(self.initializer, DataInitializer)

    def fit_to(self, x: Array) -> None:
        if isinstance(self.initializer, DataInitializer):
            self.W[...] = self.initializer.values_from(x, self.W.shape)

    def training_flops(self, input_shape: Shape, output_shape: Shape) -> int:
        """dW costs as much as y, and so does dx."""
        return self.flops(input_shape, output_shape) * (1 + self.needs_dx + (not self.frozen))
