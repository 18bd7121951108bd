"""y = x W + b: every output is a weighted sum of every input (Rosenblatt 1958; backward: Rumelhart et al. 1986)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.products import product
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layers.weighted_sum import WeightedSum
from nnscratch.nn.parameters import Parameters


@dataclass(eq=False)
class Dense(WeightedSum):
    """y = x W + b            x (N, D), W (D, units), b (units,), y (N, units)

    Gradients: dW = x^T dy,  db = sum_n dy,  dx = dy W^T.

    Derivation: y_nj = sum_k x_nk W_kj + b_j, and every way from a number to the loss counts:
        dL/dW_kj = sum_n dL/dy_nj dy_nj/dW_kj = sum_n x_nk dy_nj = (x^T dy)_kj
        dL/db_j  = sum_n dy_nj
        dL/dx_nk = sum_j dy_nj W_kj = (dy W^T)_nk
    """

    name: ClassVar[str] = "dense"
    also_called: ClassVar[tuple[str, ...]] = ("linear", "fc", "fullyconnected", "affine")
    short: ClassVar[str | None] = "units"

    units: int | None = setting(None, "outputs; left out: as many as the data has classes or targets", ge=1)
    bias: bool = setting(True, "add b")
    weight_init: Initializer | None = setting(None, "how W starts; left out: the model's weight_init")
    frozen: bool = setting(False, "W keeps its starting values; b, if there is one, still learns")
    learning_rate_scale: float = setting(1.0, "multiplies the learning rate of W and b", gt=0)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(
                f"dense takes a flat input (D,), but is given {input_shape}", "put the layer `flatten` before it"
            )
        units = self.units or parameters.outputs
        if units is None:
            raise ShapeError("dense needs its number of units: there is no data here to take it from")
        D = input_shape[0]
        self.declare(parameters, (D, units), fans=(D, units))
        return (units,)

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        y = self._product(x, self.W, self.y_buffer((x.shape[0], self.W.shape[1]), x))
        if self.bias:
            y += self.b
        return y

    def backward(self, dy: Array) -> Array | None:
        if not self._leave_to_all(dy):
            if not self.frozen:
                product(self.x.T, dy, self.dW, self.workers)
            if self.bias:
                np.add.reduce(dy, axis=0, out=self.db)
        return self._product(dy, self.W.T, self.dx_buffer(self.x.shape, dy)) if self.needs_dx else None

    def _product(self, a: Array, b: Array, out: Array) -> Array:
        """a b, row by row of the batch."""
        sums = self.moment.row_sums
        return (product if sums is None else sums.product)(a, b, out, self.workers)

    def _leave_to_all(self, dy: Array) -> bool:
        """Whether the processes that share the batch work dW and db out together, at the end of the step."""
        sums = self.moment.row_sums
        if sums is None:
            return False
        return sums.take(self.x, dy, None if self.frozen else self.dW, self.db if self.bias else None, self.workers)

    def flops(self, input_shape: Shape, output_shape: Shape) -> int:
        return 2 * input_shape[0] * output_shape[0]

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        (j,) = largest(y[n])
        formula, values = "sum_k(x_nk * W_kj)", {"x_nk": x[n], "W_kj": self.W[:, j]}
        if self.bias:
            formula, values = formula + " + b_j", {**values, "b_j": self.b[j]}
        yield Equation.of(entry("y", n, j), formula, values, y[n, j])

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if not self.frozen:
            k, j = largest(self.dW)
            values = {"x_nk": x[:, k], "dy_nj": dy[:, j]}
            yield Equation.of(entry("dW", k, j), "sum_n(x_nk * dy_nj)", values, self.dW[k, j])
        if self.bias:
            (j,) = largest(self.db)
            yield Equation.of(entry("db", j), "sum_n(dy_nj)", {"dy_nj": dy[:, j]}, self.db[j])
        if dx is not None:
            (k,) = largest(dx[n])
            values = {"dy_nj": dy[n], "W_kj": self.W[k]}
            yield Equation.of(entry("dx", n, k), "sum_j(dy_nj * W_kj)", values, dx[n, k])
