"""Cross-entropy, which includes softmax: what a classifier usually minimises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from nnscratch.component import setting
from nnscratch.errors import SettingError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import Equation, entry, in_turn, largest
from nnscratch.nn.losses.loss import Loss, one_hot

SMALLEST = 1e-30
"""The smallest weight of a class; beyond that, and its inverse, single precision ends."""


@dataclass(eq=False)
class CrossEntropy(Loss):
    """L = mean_n c_n sum_k -q_nk log p_nk,   p = softmax(y),   log p_k = y_k - m - log sum_j e^(y_j - m),   m = max y

    q is the true distribution: 1 for the label and 0 elsewhere, smoothed to (1 - s) [k = t] + s / K with label
    smoothing s (Szegedy et al. 2016, section 7); c_n is the weight of example n's class, 1 unless given.
    The mean divides by N; PyTorch's divides by the sum of the weights c_n. With smoothing and weights of classes the
    sums differ, too: PyTorch weights every term of sum_k by class k's own weight, and here all have the label's.
    Gradient: dy = c_n (p - q) / N: softmax and logarithm together cancel to a difference (Bridle 1990).
    y (N, K) logits, t (N,) labels 0..K-1, or (N, K) distributions q before smoothing, as mixup makes them; c_n is then
    the mean of the weights under q. With m subtracted, no e^y overflows.

    Derivation: the q of an example sum to 1, so log p_k = y_k - log sum_j e^y_j gives
        L_n = -sum_k q_k y_k + log sum_j e^y_j
        dL_n/dy_k = e^y_k / sum_j e^y_j - q_k = p_k - q_k
    """

    name: ClassVar[str] = "cross_entropy"
    also_called: ClassVar[tuple[str, ...]] = (
        "crossentropyloss",
        "categoricalcrossentropy",
        "sparsecategoricalcrossentropy",
        "ce",
        "nll",
        "softmax",
        "bce",
        "binarycrossentropy",
    )
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    includes_softmax: ClassVar[bool] = True

    label_smoothing: float = setting(0.0, "share s of the truth spread evenly over all classes", ge=0, lt=1)
    class_weights: Literal["balanced"] | tuple[float, ...] | None = setting(
        None,
        "weight of each class, or `balanced`: N / (K n_k), so that every class counts the same; n_k is the "
        "sum of its examples' weights, where these differ",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weights: Array | None = None

    def prepare(self, targets: Array, outputs: int, weights: Array | None = None) -> None:
        if self.class_weights is None:
            return
        if self.class_weights == "balanced":
            counts = np.bincount(targets, weights, outputs)
            self.weights = (len(targets) / (outputs * np.where(counts > 0, counts, 1))).astype(np.float32)
        elif len(self.class_weights) != outputs:
            reason = f"has {len(self.class_weights)} numbers, the data has {outputs} classes"
            raise SettingError("class_weights", reason)
        elif min(self.class_weights) < 0 or max(self.class_weights) == 0:
            raise SettingError("class_weights", "must not be negative, nor all 0")
        elif not all(SMALLEST <= each <= 1 / SMALLEST for each in self.class_weights if each):
            raise SettingError("class_weights", f"must be 0, or from {SMALLEST:g} to {1 / SMALLEST:g}")
        else:
            self.weights = np.asarray(self.class_weights, np.float32)

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        N, K = y.shape
        s = self.label_smoothing
        if t.ndim == 2:
            return self._of_distributions(y, t)
        labels = np.arange(0, N * K, K) + t  # places in y as a vector: NumPy looks there sooner than by row and column
        m = np.maximum.reduce(y, axis=1, keepdims=True)
        shifted = np.subtract(y, m, out=self.buffers.get("shifted", y.shape, y.dtype))
        p = np.exp(shifted, out=self.buffers.get("p", y.shape, y.dtype))
        total = np.add.reduce(p, axis=1, keepdims=True)
        losses = np.log(total[:, 0])
        losses -= (1 - s) * shifted.take(labels)
        if s:
            losses -= s * np.mean(shifted, axis=1)
        total *= N  # the mean's 1 / N, here: one pass over p less
        dy = np.divide(p, total, out=p)
        dy.reshape(-1)[labels] -= (1 - s) / N
        if s:
            dy -= s / K / N
        if self.weights is not None:
            weights = self.weights[t]
            losses *= weights
            dy *= weights[:, None]
        return float(np.add.reduce(losses, dtype=np.float64)) / N, dy

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

    def worked_example(self, y: Array, t: Array, dy: Array, n: int = 0) -> Iterator[Equation]:
        N, K = y.shape
        (j,), s = largest(dy[n]), self.label_smoothing
        truth, words = one_hot(t[n : n + 1], K)[0], "" if t.ndim == 2 else f"is 1 for the label {t[n]}, else 0"
        values: dict[str, Any] = {"y_k": y[n], "y_j": y[n, j], "t_k": truth, "t_j": truth[j], "s": s, "K": K, "N": N}
        weight = ""
        if self.weights is not None:
            weight, values["c_k"] = "c * ", self.weights
            yield from in_turn({"c": "sum_k(t_k * c_k)"}, values, at=(n,))
        yield from in_turn({"m": "max_k(y_k)", "S": "sum_k(exp(y_k - m))"}, values, at=(n,))
        value = self.per_example(y[n : n + 1], t[n : n + 1])[0]
        values["q_k"] = (1 - s) * truth + s / K
        if t.ndim == 1 and not s:
            values["y_t"] = y[n, t[n]]
            formula = f"{weight}(m + log(S) - y_t)"
            yield Equation.of(entry("L", n), formula, values, value, f"the label t is {t[n]}")
        else:
            yield Equation.of(entry("L", n), f"{weight}sum_k(q_k * (m + log(S) - y_k))", values, value)
        yield from in_turn({"p": "exp(y_j - m) / S"}, values, at=(n, j))
        if s:
            yield Equation.of(entry("q", n, j), "(1 - s) * t_j + s / K", values, note=words and f"t {words}")
        values["q"] = values["q_k"][j]
        note = "" if s or not words else f"q {words}"
        yield Equation.of(entry("dy", n, j), f"{weight}(p - q) / N", values, dy[n, j], note)
