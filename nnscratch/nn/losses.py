"""What training minimises. A loss takes the network's raw outputs y and the targets t, and gives value and gradient.

Both are means over the batch. Targets are labels (N,) for classification or (N, K) numbers for regression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from nnscratch.component import Component, setting
from nnscratch.errors import SettingError
from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.equations import Equation, entry, in_turn, largest


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

    def prepare(self, targets: Array, outputs: int) -> None:
        """Looks at the training targets once, before training, for what the loss takes from them (class weights).

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

    def weighted(self, y: Array, t: Array, w: Array | None) -> tuple[float, Array]:
        """The same with a weight for every example, w (N,): mean_n w_n L_n and its gradient, w_n times the other's.

        The mean divides by N, whatever the weights of one batch: with weights of mean 1 over a data set, the mean over
        its batches is its weighted mean, sum_n w_n L_n / sum_n w_n. Without weights, what a call gives.
        """
        if w is None:
            return self(y, t)
        value = float(np.mean(w * self.per_example(y, t), dtype=np.float64))
        _, dy = self(y, t)
        dy *= w[:, None]
        return value, dy

    def kinks(self, y: Array, t: Array) -> Array | None:
        """Which side of the loss's kinks every number of y falls on; None for a smooth loss."""
        return None

    def worked(self, y: Array, t: Array, value: float, dy: Array) -> Iterator[Equation]:
        """The first example's loss by hand, its largest dy, and the mean over the batch, from the numbers of a call.

        A loss brings `worked_example`; the mean is the same for all.
        """
        yield from self.worked_example(y, t, dy)
        losses = self.per_example(y, t)
        yield Equation.of("L", "sum_n(L_n) / N", {"L_n": losses, "N": len(losses)}, value)

    def worked_example(self, y: Array, t: Array, dy: Array) -> Iterator[Equation]:
        """What `worked` has of the first example."""
        return iter(())


@dataclass(eq=False)
class CrossEntropy(Loss):
    """L = mean_n w_n sum_k -q_nk log p_nk,   p = softmax(y),   log p_k = y_k - m - log sum_j e^(y_j - m),   m = max y

    q is the true distribution: 1 for the label and 0 elsewhere, smoothed to (1 - s) [k = t] + s / K with label
    smoothing s (Szegedy et al. 2016, eq. 7); w_n is the weight of example n's class, 1 unless given.
    The mean divides by N; PyTorch's divides by the sum of the weights w_n.
    Gradient: dy = w_n (p - q) / N: softmax and logarithm together cancel to a difference (Bridle 1990).
    y (N, K) logits, t (N,) labels 0..K-1, or (N, K) distributions q before smoothing, as mixup makes them; w_n is then
    the mean of the weights under q. Subtracting m keeps everything finite for any finite y.

    Derivation: the q of an example sum to 1, so log p_k = y_k - log sum_j e^y_j gives
        L_n = -sum_k q_k y_k + log sum_j e^y_j
        dL_n/dy_k = e^y_k / sum_j e^y_j - q_k = p_k - q_k
    """

    name: ClassVar[str] = "cross_entropy"
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    includes_softmax: ClassVar[bool] = True

    label_smoothing: float = setting(0.0, "share s of the truth spread evenly over all classes", ge=0, lt=1)
    class_weights: Literal["balanced"] | tuple[float, ...] | None = setting(
        None, "weight of each class, or `balanced`: N / (K n_k), so that every class counts the same"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weights: Array | None = None

    def prepare(self, targets: Array, outputs: int) -> None:
        if self.class_weights is None:
            return
        if self.class_weights == "balanced":
            counts = np.bincount(targets, minlength=outputs)
            self.weights = (len(targets) / (outputs * np.maximum(counts, 1))).astype(np.float32)
        elif len(self.class_weights) != outputs:
            reason = f"has {len(self.class_weights)} numbers, the data has {outputs} classes"
            raise SettingError("class_weights", reason)
        elif min(self.class_weights) < 0 or max(self.class_weights) == 0:
            raise SettingError("class_weights", "must not be negative, nor all 0")
        else:
            self.weights = np.asarray(self.class_weights, np.float32)

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        N, K = y.shape
        s = self.label_smoothing
        if t.ndim == 2:
            return self._of_distributions(y, t)
        rows = np.arange(N)
        m = np.maximum.reduce(y, axis=1, keepdims=True)
        shifted = np.subtract(y, m, out=self.buffers.get("shifted", y.shape, y.dtype))
        p = np.exp(shifted, out=self.buffers.get("p", y.shape, y.dtype))
        total = np.add.reduce(p, axis=1, keepdims=True)
        losses = np.log(total[:, 0])
        losses -= (1 - s) * shifted[rows, t]
        if s:
            losses -= s * np.mean(shifted, axis=1)
        total *= N  # the mean's 1 / N, here: one pass over p less
        dy = np.divide(p, total, out=p)
        dy[rows, t] -= (1 - s) / N
        if s:
            dy -= s / K / N
        if self.weights is not None:
            weights = self.weights[t]
            losses *= weights
            dy *= weights[:, None]
        return float(np.sum(losses, dtype=np.float64)) / N, dy

    def _of_distributions(self, y: Array, t: Array) -> tuple[float, Array]:
        N, K = y.shape
        shifted = y - np.max(y, axis=1, keepdims=True)
        log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        q = (1 - self.label_smoothing) * t + self.label_smoothing / K
        weights = np.ones(N, y.dtype) if self.weights is None else (t @ self.weights).astype(y.dtype)
        dy = self.buffers.get("p", y.shape, y.dtype)
        np.subtract(np.exp(log_p), q, out=dy)
        dy *= weights[:, None] / N
        return -float(np.sum(weights * np.sum(q * log_p, axis=1), dtype=np.float64)) / N, dy

    def per_example(self, y: Array, t: Array) -> Array:
        shifted = y - np.max(y, axis=1, keepdims=True)
        log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        if t.ndim == 2:
            q = (1 - self.label_smoothing) * t + self.label_smoothing / t.shape[1]
            losses = -np.sum(q * log_p, axis=1)
            return np.asarray(losses if self.weights is None else losses * (t @ self.weights))
        losses = -(1 - self.label_smoothing) * log_p[np.arange(len(y)), t]
        losses -= self.label_smoothing * np.mean(log_p, axis=1)
        return np.asarray(losses if self.weights is None else losses * self.weights[t])

    def worked_example(self, y: Array, t: Array, dy: Array) -> Iterator[Equation]:
        N, K = y.shape
        (j,), s = largest(dy[0]), self.label_smoothing
        truth, words = _one_hot(t[:1], K)[0], "" if t.ndim == 2 else f"is 1 for the label {t[0]}, else 0"
        values: dict[str, Any] = {"y_k": y[0], "y_j": y[0, j], "t_k": truth, "t_j": truth[j], "s": s, "K": K, "N": N}
        weight = ""
        if self.weights is not None:
            weight, values["w_k"] = "w * ", self.weights
            yield from in_turn({"w": "sum_k(t_k * w_k)"}, values, at=(0,))
        yield from in_turn({"m": "max_k(y_k)", "S": "sum_k(exp(y_k - m))"}, values, at=(0,))
        value = self.per_example(y[:1], t[:1])[0]
        values["q_k"] = (1 - s) * truth + s / K
        if t.ndim == 1 and not s:
            values["y_t"] = y[0, t[0]]
            formula = f"{weight}(m + log(S) - y_t)"
            yield Equation.of(entry("L", 0), formula, values, value, f"the label t is {t[0]}")
        else:
            yield Equation.of(entry("L", 0), f"{weight}sum_k(q_k * (m + log(S) - y_k))", values, value)
        yield from in_turn({"p": "exp(y_j - m) / S"}, values, at=(0, j))
        if s:
            yield Equation.of(entry("q", 0, j), "(1 - s) * t_j + s / K", values, note=words and f"t {words}")
        values["q"] = values["q_k"][j]
        note = "" if s or not words else f"q {words}"
        yield Equation.of(entry("dy", 0, j), f"{weight}(p - q) / N", values, dy[0, j], note)


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

    def worked_example(self, y: Array, t: Array, dy: Array) -> Iterator[Equation]:
        (N, K), settings = y.shape, asdict(self)
        truth, note = _one_hot(t[:1], K)[0], "" if t.ndim == 2 else f"t is 1 for the label {t[0]}, else 0"
        values = {"y_k": y[0], "t_k": truth, "K": K, "N": N} | settings
        own = self.per_example(y[:1], t[:1])[0]
        yield Equation.of(entry("L", 0), self.equations["L_n"], values, own, note)
        (j,) = largest(dy[0])
        values |= {"y": y[0, j], "t": truth[j]}
        yield Equation.of(entry("dy", 0, j), self.equations["dy"], values, dy[0, j])


@dataclass(eq=False)
class MeanSquaredError(DifferenceLoss):
    """L = mean_nk (y_nk - t_nk)^2,   dy = 2 (y - t) / (N K)    (Legendre 1805)

    The true derivative whatever comes before it: with softmax outputs, the softmax layer applies its own Jacobian.
    y (N, K); t (N, K) numbers, or (N,) labels, which stand for vectors with a 1 at the label and 0 elsewhere.

    Derivation: each of the N K squares has the derivative 2 (y - t), and the mean divides by their number.
    """

    name: ClassVar[str] = "mean_squared_error"
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


def _one_hot(t: Array, K: int) -> Array:
    """Labels (N,) as vectors (N, K) with a 1 at the label; what is a vector already stays."""
    return t if t.ndim == 2 else (t[:, None] == np.arange(K)).astype(np.float64)
