"""L2: large weights cost something."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nnscratch.nn.equations import Equation
from nnscratch.nn.parameters import Parameters


@dataclass(frozen=True)
class L2:
    """Penalty lambda / 2 * sum W^2 over the weights (not the biases), gradient lambda W; PyTorch's
    weight_decay does the same to biases and scales as well.

    With divide_by_batch both are divided by the batch size m: lambda / (2 m) * sum W^2 and lambda / m * W.
    """

    strength: float = 0.0
    divide_by_batch: bool = False

    def coefficient(self, batch_size: int) -> float:
        """The lambda that multiplies W in the gradient."""
        return self.strength / batch_size if self.divide_by_batch else self.strength

    def penalty(self, parameters: Parameters, batch_size: int) -> float:
        """The penalty itself, without overflow."""
        total = 0.0
        for segment in parameters.segments:
            if segment.group.decay and not segment.group.frozen and self.strength:
                W = parameters.theta[segment.start : segment.stop]
                with np.errstate(over="ignore"):
                    squared = float(np.dot(W, W))
                # Squares may leave the range of single precision where the weights do not.
                total += squared if math.isfinite(squared) else float(np.sum(np.square(W, dtype=np.float64)))
        return 0.5 * self.coefficient(batch_size) * total

    def add_gradient(self, parameters: Parameters, batch_size: int) -> None:
        """gradient += lambda W, the plain form of what the optimizers do chunk by chunk."""
        for segment in parameters.segments:
            if segment.group.decay and not segment.group.frozen:
                piece = slice(segment.start, segment.stop)
                parameters.gradient[piece] += self.coefficient(batch_size) * parameters.theta[piece]

    def worked(self, parameters: Parameters, batch_size: int) -> Iterator[Equation]:
        """The penalty by hand, if there is one."""
        if self.strength:
            decaying = [each for each in parameters.segments if each.group.decay and not each.group.frozen]
            weights = [parameters.theta[each.start : each.stop] for each in decaying]
            values = {"lamda": self.coefficient(batch_size), "W_i": np.concatenate(weights or [np.empty(0)])}
            value = self.penalty(parameters, batch_size)
            note = "over all weights, not the biases"
            yield Equation.of("R", "lamda / 2 * sum_i(W_i**2)", values, value, note)
