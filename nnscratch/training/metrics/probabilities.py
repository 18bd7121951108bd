"""How good the probabilities p (N, K) themselves are, whatever is the largest: log loss, Brier score, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.training.metrics.metric import Goal, Metric

BINS = 15
"""Of confidence, equally wide."""
SMALLEST = float(np.finfo(np.float64).eps)
"""A probability counts as at least this: one wrong prediction that was sure makes no infinite mean."""


def log_losses(t: Array, p: Array) -> Array:
    """-log p_nt of every example, (N,)."""
    return np.asarray(-np.log(np.clip(p[np.arange(len(t)), t], SMALLEST, 1.0)))


def brier_scores(t: Array, p: Array) -> Array:
    """sum_k (p_nk - [k = t_n])^2 of every example, (N,); half of it with two classes."""
    own = p[np.arange(len(t)), t]
    scores = np.sum(np.square(p), axis=1) - 2 * own + 1
    return np.asarray(scores / 2 if p.shape[1] == 2 else scores)


@dataclass(frozen=True)
class LogLoss(Metric):
    """log loss = mean_n -log p_nt, t the label: the cross-entropy of the probabilities, natural logarithm. From 0 up.

    Without label smoothing, class weights or weights of examples, and after calibration, unlike `val_loss`. A
    probability counts as at least 2.2e-16. Guessing has log K.
    """

    name: ClassVar[str] = "log_loss"
    equations: ClassVar[Mapping[str, str]] = {"L": "sum_n(-log(p_nt)) / N"}
    goal: ClassVar[Goal] = "minimize"
    title: ClassVar[str] = "log loss"

    def __call__(self, t: Array, p: Array) -> float:
        return float(np.mean(log_losses(t, p)))


@dataclass(frozen=True)
class BrierScore(Metric):
    """Brier score = mean_n sum_k (p_nk - [k = t_n])^2, with two classes half of it, mean_n (p_n1 - t_n)^2.

    The squared error of the probabilities (Brier 1950). From 0 to 2, with two classes to 1.
    """

    name: ClassVar[str] = "brier_score"
    equations: ClassVar[Mapping[str, str]] = {"B": "sum_nk((p_nk - q_nk)**2) / N"}
    goal: ClassVar[Goal] = "minimize"
    title: ClassVar[str] = "Brier score"

    def __call__(self, t: Array, p: Array) -> float:
        return float(np.mean(brier_scores(t, p)))


@dataclass(frozen=True)
class Reliability:
    """Predictions in B equal bins of confidence: mean confidence, accuracy and number of each, (B,); 0 for none."""

    confidence: Array
    accuracy: Array
    count: Array

    @property
    def expected_calibration_error(self) -> float:
        """ECE = sum_b n_b / N |accuracy_b - confidence_b| (Guo et al. 2017, eq. 3)."""
        return float(np.sum(self.count * np.abs(self.accuracy - self.confidence)) / max(self.count.sum(), 1))


def bin_of(confidence: Array, bins: int = BINS) -> Array:
    """The bin of each confidence, (N,): b holds those in (b / B, (b + 1) / B], the first also 0."""
    return np.asarray(np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1))


def reliability(confidence: Array, correct: Array, bins: int = BINS) -> Reliability:
    """The bins of confidences (N,) and of what is correct of them (N,)."""
    index = bin_of(confidence, bins)
    count = np.bincount(index, minlength=bins)
    at_least_one = np.maximum(count, 1)
    return Reliability(
        np.bincount(index, confidence, bins) / at_least_one, np.bincount(index, correct, bins) / at_least_one, count
    )


@dataclass(frozen=True)
class ExpectedCalibrationError(Metric):
    """ECE = sum_b n_b / N |accuracy_b - confidence_b| over 15 equal bins b of the confidence max_k p_nk. From 0 to 1.

    How far the network's confidence is from how often it is right (Guo et al. 2017, eq. 3).
    """

    name: ClassVar[str] = "expected_calibration_error"
    equations: ClassVar[Mapping[str, str]] = {"ECE": "sum_b(n_b / N * abs(accuracy_b - confidence_b))"}
    goal: ClassVar[Goal] = "minimize"
    title: ClassVar[str] = "calibration error"
    is_share: ClassVar[bool] = True

    def __call__(self, t: Array, p: Array) -> float:
        return reliability(np.max(p, axis=1), np.argmax(p, axis=1) == t).expected_calibration_error
