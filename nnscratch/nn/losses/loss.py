"""What training minimises. A loss takes the network's raw outputs y and the targets t, and gives value and gradient.

Both are means over the batch. Targets are labels (N,) for classification or (N, K) numbers for regression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from nnscratch.component import Component
from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.contract import broken, is_array
from nnscratch.nn.equations import Equation, entry, largest


@dataclass(eq=False)
class Loss(Component):
    """A mean over the batch of a differentiable function of outputs and targets."""

    kind: ClassVar[str] = "loss"
    tasks: ClassVar[tuple[str, ...]] = ("classification", "regression")
    """What kinds of targets it takes."""
    includes_softmax: ClassVar[bool] = False
    """The network's outputs are logits: probabilities are their softmax."""

    def __post_init__(self) -> None:
        self.buffers = Buffers()

    def prepare(self, targets: Array, outputs: int, weights: Array | None = None) -> None:
        """Looks at the training targets once, before training, for what the loss takes from them (class weights).

        Where examples count differently, `weights` (N,) are theirs, of mean 1.
        Raises SettingError for settings that do not go with them.
        """

    @classmethod
    def probabilities(cls, y: Array, temperature: float = 1.0) -> Array:
        """p (N, K) float64, rows that sum to 1, from the outputs y of a classifier.

        With a loss that includes softmax y are logits, and p = softmax(y / temperature). With any other, y estimates
        the probabilities itself (the mean squared error against 0 and 1 is least at P(class | x)):
        p = max(y, 0) / sum, which leaves softmax outputs as they are; where no output is positive, y - min y stands
        for it, so that the largest output always has the largest probability.
        """
        y = y.astype(np.float64)
        if cls.includes_softmax:
            y /= temperature
            p = np.exp(y - np.max(y, axis=1, keepdims=True))
        else:
            lowest = np.min(y, axis=1, keepdims=True)
            p = np.where(np.max(y, axis=1, keepdims=True) > 0, np.maximum(y, 0), y - lowest)
            p[~np.any(p > 0, axis=1)] = 1
        p /= np.sum(p, axis=1, keepdims=True)
        return np.asarray(p)

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        """The value, and dy = d value / d y in a buffer that the next call overwrites."""
        raise NotImplementedError

    def per_example(self, y: Array, t: Array) -> Array:
        """The loss of every example (N,); their mean is the value."""
        raise NotImplementedError

    def losses(self, y: Array, t: Array) -> Array:
        """What `per_example` gives. Raises ContractError when that is something else than a number for each."""
        losses: object = self.per_example(y, t)
        if not is_array(losses, y.shape[:1]):
            raise broken(type(self).per_example, losses, f"the loss of every example, of shape {y.shape[:1]}")
        return losses

    def weighted(self, y: Array, t: Array, w: Array | None) -> tuple[float, Array]:
        """The same with a weight for every example, w (N,): mean_n w_n L_n and its gradient, w_n times the other's.

        The mean divides by N, whatever the weights of one batch: with weights of mean 1 over a data set, the mean over
        its batches is its weighted mean, sum_n w_n L_n / sum_n w_n. Without weights, what a call gives.
        """
        if w is None:
            return self(y, t)
        value = float(np.mean(w * self.losses(y, t), dtype=np.float64))
        _, dy = value_and_gradient(self, y, t)
        dy *= w[:, None]
        return value, dy

    def kinks(self, y: Array, t: Array) -> Array | None:
        """Which side of the loss's kinks every number of y falls on; None for a smooth loss."""
        return None

    def worked(
        self, y: Array, t: Array, value: float, dy: Array, w: Array | None = None, n: int = 0
    ) -> Iterator[Equation]:
        """Example n's loss by hand, its largest dy, and the mean over the batch, from the numbers of a call.

        A loss brings `worked_example`; weights and the mean are the same for all.
        """
        if w is None:
            yield from self.worked_example(y, t, dy, n)
            losses = self.losses(y, t)
            yield Equation.of("L", "sum_n(L_n) / N", {"L_n": losses, "N": len(losses)}, value)
            return
        unweighted = self(y, t)[1].copy()
        (j,) = largest(unweighted[n])
        for equation in self.worked_example(y, t, unweighted, n):
            is_dy = equation.name == entry("dy", n, j)
            yield replace(equation, name=entry("du", n, j)) if is_dy else equation
        losses = self.losses(y, t)
        note = "w is the weight of the example, 1 on average over the training split"
        yield Equation.of(entry("dy", n, j), "w * du", {"w": w[n], "du": unweighted[n, j]}, dy[n, j], note)
        yield Equation.of("L", "sum_n(w_n * L_n) / N", {"w_n": w, "L_n": losses, "N": len(losses)}, value)

    def worked_example(self, y: Array, t: Array, dy: Array, n: int = 0) -> Iterator[Equation]:
        """What `worked` has of example n."""
        return iter(())


def value_and_gradient(
    loss: Callable[[Array, Array], object], y: Array, t: Array, w: Array | None = None
) -> tuple[float | np.floating[Any], Array]:
    """What a loss, or a plain function in place of one, gives. Raises ContractError when that is something else.

    With weights w (N,) it is a loss.
    """
    result: object = loss.weighted(y, t, w) if isinstance(loss, Loss) else loss(y, t)
    method = type(loss).__call__ if isinstance(loss, Loss) else loss
    if not isinstance(result, tuple) or len(result) != 2:
        raise broken(method, result, "a pair of the value and dy")
    value, dy = result
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, Real):
        raise broken(method, value, "a number, as the value before dy")
    if not is_array(dy, y.shape):
        raise broken(method, dy, f"dy of shape {y.shape} after the value")
    return value, dy  # type: ignore[return-value]  # NumPy's numbers are real, which mypy does not know


def one_hot(t: Array, K: int) -> Array:
    """Labels (N,) as vectors (N, K) with a 1 at the label; what is a vector already stays."""
    return t if t.ndim == 2 else (t[:, None] == np.arange(K)).astype(np.float64)
