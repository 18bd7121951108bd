"""How good predictions are: plain functions of plain arrays, each equal to scikit-learn's of the same purpose.

Labels t and predictions are (N,) whole numbers 0..K-1; a confusion matrix C is (K, K) with C_ij counting the examples
of class i that were taken for class j. What would be 0 / 0 is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array


def confusion_matrix(t: Array, predicted: Array, classes: int) -> Array:
    """(K, K) int64: true classes down, predicted across."""
    counts = np.bincount(t * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ClassFigures:
    """precision_k = C_kk / sum_i C_ik,  recall_k = C_kk / sum_j C_kj,  F1_k = 2 C_kk / (sum_i C_ik + sum_j C_kj).

    Each (K,), as is `support`, the examples of each class. Macro averages are over the classes that have examples:
    scikit-learn's with `labels=unique(t)`, where by itself it also counts a class that was only predicted, as 0.
    """

    precision: Array
    recall: Array
    f1: Array
    support: Array

    def macro(self, figures: Array) -> float:
        """The mean of one of the figures over the classes that have examples."""
        return float(np.mean(figures[self.support > 0]))


def class_figures(counts: Array) -> ClassFigures:
    """Precision, recall, F1 and support of every class from a confusion matrix."""
    right = np.diag(counts).astype(np.float64)
    predicted, support = counts.sum(axis=0), counts.sum(axis=1)
    return ClassFigures(
        right / np.maximum(predicted, 1),
        right / np.maximum(support, 1),
        2 * right / np.maximum(predicted + support, 1),
        support,
    )


def top_k_accuracy(y: Array, t: Array, k: int) -> float:
    """The share of examples whose label is among the k largest of their outputs y (N, K); of equals the first counts.

    That rule is argmax's, so k = 1 is the accuracy.
    """
    own = y[np.arange(len(t)), t][:, np.newaxis]
    before = np.arange(y.shape[1]) < t[:, np.newaxis]
    rank = np.count_nonzero((y > own) | ((y == own) & before), axis=1)
    return float(np.mean(rank < k))


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


def reliability(confidence: Array, correct: Array, bins: int = 15) -> Reliability:
    """Bin b holds the confidences in (b / B, (b + 1) / B], the first also 0; confidence and correct are (N,)."""
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    at_least_one = np.maximum(count, 1)
    return Reliability(
        np.bincount(index, confidence, bins) / at_least_one, np.bincount(index, correct, bins) / at_least_one, count
    )


def mean_squared_error(t: Array, y: Array) -> Array:
    """mean_n (y - t)^2 of every target, (K,) from (N, K), in float64."""
    return np.asarray(np.mean(np.square(_difference(t, y)), axis=0))


def mean_absolute_error(t: Array, y: Array) -> Array:
    """mean_n |y - t| of every target, (K,) from (N, K), in float64."""
    return np.asarray(np.mean(np.abs(_difference(t, y)), axis=0))


def r2_score(t: Array, y: Array) -> Array:
    """R2 = 1 - sum_n (y - t)^2 / sum_n (t - mean t)^2 of every target, (K,) from (N, K).

    1 is perfect, 0 is as good as always saying the mean. For a constant target: 1 when it is met exactly, else 0.
    """
    residual = np.sum(np.square(_difference(t, y)), axis=0)
    spread = np.sum(np.square(t - np.mean(t, axis=0, dtype=np.float64)), axis=0, dtype=np.float64)
    varies = spread > 0
    return np.asarray(np.where(varies, 1 - residual / np.where(varies, spread, 1.0), residual == 0))


def _difference(t: Array, y: Array) -> Array:
    return np.asarray(y, np.float64) - np.asarray(t, np.float64)
