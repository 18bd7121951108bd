"""Losses of the difference y - t between outputs and targets: squared, absolute, and between the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.losses.loss import Loss, one_hot


@dataclass(eq=False)
class DifferenceLoss(Loss):
    """L = mean_nk f(y_nk - t_nk),   dy = f'(y - t) / (N K): a loss is `function` f and `derivative` f'.

    The true derivative whatever comes before it: with softmax outputs, the softmax layer applies its own Jacobian.
    y (N, K); t (N, K) numbers, or (N,) labels, which stand for vectors with a 1 at the label and 0 elsewhere.
    """

    equations: ClassVar[Mapping[str, str]]
    """L_n of an example from y_k and t_k, and dy from y and t."""

    def function(self, difference: Array) -> Array:
        """f of every difference y - t."""
        raise NotImplementedError

    def derivative(self, difference: Array) -> None:
        """Writes f' over the differences."""
        raise NotImplementedError

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        dy = self._difference(y, t)
        value = float(np.sum(self.function(dy), dtype=np.float64)) / y.size
        self.derivative(dy)
        dy /= y.size
        return value, dy

    def per_example(self, y: Array, t: Array) -> Array:
        return np.asarray(np.mean(self.function(self._difference(y, t)), axis=1))

    def _difference(self, y: Array, t: Array) -> Array:
        difference = self.buffers.get("difference", y.shape, y.dtype)
        if t.ndim == 1:
            np.copyto(difference, y)
            difference[np.arange(len(t)), t] -= 1
        else:
            np.subtract(y, t, out=difference)
        return difference

    def worked_example(self, y: Array, t: Array, dy: Array, n: int = 0) -> Iterator[Equation]:
        (N, K), settings = y.shape, asdict(self)
        truth, note = one_hot(t[n : n + 1], K)[0], "" if t.ndim == 2 else f"t is 1 for the label {t[n]}, else 0"
        values = {"y_k": y[n], "t_k": truth, "K": K, "N": N} | settings
        own = self.per_example(y[n : n + 1], t[n : n + 1])[0]
        yield Equation.of(entry("L", n), self.equations["L_n"], values, own, note)
        (j,) = largest(dy[n])
        values |= {"y": y[n, j], "t": truth[j]}
        yield Equation.of(entry("dy", n, j), self.equations["dy"], values, dy[n, j])


@dataclass(eq=False)
class MeanSquaredError(DifferenceLoss):
    """L = mean_nk (y_nk - t_nk)^2,   dy = 2 (y - t) / (N K)    (Legendre 1805)

    The true derivative whatever comes before it: with softmax outputs, the softmax layer applies its own Jacobian.
    y (N, K); t (N, K) numbers, or (N,) labels, which stand for vectors with a 1 at the label and 0 elsewhere.

    Derivation: each of the N K squares has the derivative 2 (y - t), and the mean divides by their number.
    """

    name: ClassVar[str] = "mean_squared_error"
    also_called: ClassVar[tuple[str, ...]] = ("mse", "mseloss", "l2", "l2loss", "squarederror")
    equations: ClassVar[Mapping[str, str]] = {
        "L_n": "sum_k((y_k - t_k)**2) / K",
        "dy": "2 * (y - t) / (N * K)",
    }

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        dy = self._difference(y, t)
        value = float(np.vdot(dy, dy)) / y.size
        dy *= 2 / y.size
        return value, dy

    def function(self, difference: Array) -> Array:
        return np.square(difference)


@dataclass(eq=False)
class MeanAbsoluteError(DifferenceLoss):
    """L = mean_nk |y_nk - t_nk|,   dy = sign(y - t) / (N K), taken as 0 where y = t    (Boscovich 1757)

    Least for the median of the targets, where the squared error's is the mean: a few targets that are far off count by
    their distance, not by its square. Its gradient stays as large however close y comes, so that training settles by
    a falling learning rate; `huber` is smooth there. y (N, K); t (N, K) numbers, or (N,) labels, as vectors with a 1.

    Derivation: |d| has slope 1 where d > 0 and -1 where d < 0; the mean divides by N K.
    """

    name: ClassVar[str] = "mean_absolute_error"
    also_called: ClassVar[tuple[str, ...]] = ("mae", "l1", "l1loss", "absoluteerror")
    equations: ClassVar[Mapping[str, str]] = {
        "L_n": "sum_k(abs(y_k - t_k)) / K",
        "dy": "sign(y - t) / (N * K)",
    }

    def function(self, difference: Array) -> Array:
        return np.abs(difference)

    def derivative(self, difference: Array) -> None:
        np.sign(difference, out=difference)

    def kinks(self, y: Array, t: Array) -> Array | None:
        return np.sign(self._difference(y, t))


@dataclass(eq=False)
class Huber(DifferenceLoss):
    """L = mean_nk c (|d| - c / 2),   d = y - t,   c = min(|d|, delta),   dy = max(-delta, min(d, delta)) / (N K)

    d^2 / 2 up to delta and a straight line from there (Huber 1964): smooth where it is least, as the squared
    error, and moved by targets that are far off no more than the absolute one. A regression's targets are scaled, so
    that delta counts in their standard deviations (in their own units when the targets are left as they are). y (N, K);
    t (N, K) numbers, or (N,) labels, as vectors with a 1.

    Derivation: up to delta, L is d^2 / 2 with slope d; beyond, delta |d| - delta^2 / 2 with slope delta or -delta; the
    two meet at delta in value and slope, and the mean divides by N K.
    """

    name: ClassVar[str] = "huber"
    also_called: ClassVar[tuple[str, ...]] = ("smoothl1", "smoothl1loss")
    short: ClassVar[str | None] = "delta"
    equations: ClassVar[Mapping[str, str]] = {
        "L_n": "sum_k(min(abs(y_k - t_k), delta) * (abs(y_k - t_k) - min(abs(y_k - t_k), delta) / 2)) / K",
        "dy": "max(-delta, min(y - t, delta)) / (N * K)",
    }

    delta: float = setting(1.0, "from which distance on the loss is a straight line", gt=0)

    def function(self, difference: Array) -> Array:
        distance = np.abs(difference)
        c = np.minimum(distance, self.delta)
        return np.asarray(c * (distance - c / 2))

    def derivative(self, difference: Array) -> None:
        np.clip(difference, -self.delta, self.delta, out=difference)

    def kinks(self, y: Array, t: Array) -> Array | None:
        return np.sign(np.trunc(self._difference(y, t) / self.delta))
