"""How well labels are met: figures of the confusion matrix C, (K, K), C_ij the examples of class i taken for class j.

What was predicted is the class of the largest probability. A mean over classes is over those that have examples:
scikit-learn's with `labels=unique(t)`, where by itself it also counts a class that was only predicted, as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.training.metrics.metric import Metric


def confusion_matrix(t: Array, predicted: Array, classes: int) -> Array:
    """(K, K) int64: true classes down, predicted across."""
    counts = np.bincount(t * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ClassCounts:
    """C_kk, sum_i C_ik and sum_j C_kj of every class: how many are right, predicted, and there at all; each (..., K).

    All figures of a confusion matrix here follow from these. What would be 0 / 0 is 0.
    """

    right: Array
    predicted: Array
    support: Array

    @classmethod
    def of(cls, counts: Array) -> ClassCounts:
        """From a confusion matrix (K, K)."""
        return cls(np.diag(counts), counts.sum(axis=0), counts.sum(axis=1))

    @property
    def precision(self) -> Array:
        """precision_k = C_kk / sum_i C_ik, (..., K)."""
        return np.asarray(self.right / np.maximum(self.predicted, 1))

    @property
    def recall(self) -> Array:
        """recall_k = C_kk / sum_j C_kj, (..., K)."""
        return np.asarray(self.right / np.maximum(self.support, 1))

    @property
    def f1(self) -> Array:
        """F1_k = 2 C_kk / (sum_i C_ik + sum_j C_kj), (..., K)."""
        return np.asarray(2 * self.right / np.maximum(self.predicted + self.support, 1))

    def macro(self, figures: Array) -> Array:
        """The mean of figures (..., K) over the classes that have examples, (...)."""
        has_examples = self.support > 0
        total = np.sum(figures, axis=-1, where=has_examples)
        return np.asarray(total / np.maximum(np.sum(has_examples, axis=-1), 1))


def accuracy(counts: ClassCounts) -> Array:
    """sum_k C_kk / N."""
    return np.asarray(np.sum(counts.right, axis=-1) / np.sum(counts.support, axis=-1))


def balanced_accuracy(counts: ClassCounts) -> Array:
    """The mean recall of the classes that have examples."""
    return counts.macro(counts.recall)


def macro_f1(counts: ClassCounts) -> Array:
    """The mean F1 of the classes that have examples."""
    return counts.macro(counts.f1)


def cohen_kappa(counts: ClassCounts) -> Array:
    """(p_o - p_e) / (1 - p_e): the agreement p_o beyond p_e, what the shares of the classes give by chance."""
    N = np.sum(counts.support, axis=-1).astype(np.float64)
    by_chance = np.sum(counts.predicted.astype(np.float64) * counts.support, axis=-1) / np.square(N)
    is_defined = by_chance < 1
    beyond = np.where(is_defined, 1 - by_chance, 1.0)
    return np.where(is_defined, (accuracy(counts) - by_chance) / beyond, np.nan)


def _counts(t: Array, p: Array) -> ClassCounts:
    return ClassCounts.of(confusion_matrix(t, np.argmax(p, axis=1), p.shape[1]))


@dataclass(frozen=True)
class Accuracy(Metric):
    """accuracy = sum_k C_kk / N: the share of examples whose class is predicted. From 0 to 1.

    Beside it belongs the share of the largest class, which a network reaches that always says the same.
    """

    name: ClassVar[str] = "accuracy"
    equations: ClassVar[Mapping[str, str]] = {"accuracy": "sum_k(C_kk) / N"}
    title: ClassVar[str] = "accuracy"
    is_share: ClassVar[bool] = True

    def __call__(self, t: Array, p: Array) -> float:
        return float(accuracy(_counts(t, p)))


@dataclass(frozen=True)
class BalancedAccuracy(Metric):
    """balanced accuracy = mean_k C_kk / sum_j C_kj: every class counts the same. From 0 to 1; guessing has 1 / K.

    The mean recall (macro recall) of the classes that have examples.
    """

    name: ClassVar[str] = "balanced_accuracy"
    equations: ClassVar[Mapping[str, str]] = {"r_k": "C_kk / sum_j(C_kj)", "accuracy": "sum_k(r_k) / K"}
    title: ClassVar[str] = "balanced accuracy"
    is_share: ClassVar[bool] = True

    def __call__(self, t: Array, p: Array) -> float:
        return float(balanced_accuracy(_counts(t, p)))


@dataclass(frozen=True)
class MacroF1(Metric):
    """macro F1 = mean_k 2 C_kk / (sum_i C_ik + sum_j C_kj): precision and recall in one, every class alike. 0 to 1.

    F1_k is the harmonic mean of precision and recall of class k; the mean is over the classes that have examples.
    """

    name: ClassVar[str] = "macro_f1"
    equations: ClassVar[Mapping[str, str]] = {"F_k": "2 * C_kk / (sum_i(C_ik) + sum_j(C_kj))", "F": "sum_k(F_k) / K"}
    title: ClassVar[str] = "macro F1"
    is_share: ClassVar[bool] = True

    def __call__(self, t: Array, p: Array) -> float:
        return float(macro_f1(_counts(t, p)))


@dataclass(frozen=True)
class CohenKappa(Metric):
    """kappa = (p_o - p_e) / (1 - p_e),   p_o = sum_k C_kk / N,   p_e = sum_k (sum_j C_kj / N) (sum_i C_ik / N)

    The agreement p_o beyond p_e, which the shares of the classes give by chance (Cohen 1960). From -1 to 1; 0 is
    chance. Without meaning where truth and predictions know one and the same class alone.
    """

    name: ClassVar[str] = "cohen_kappa"
    equations: ClassVar[Mapping[str, str]] = {
        "p_o": "sum_k(C_kk) / N",
        "p_e": "sum_k(sum_j(C_kj) * sum_i(C_ik)) / N**2",
        "kappa": "(p_o - p_e) / (1 - p_e)",
    }
    title: ClassVar[str] = "Cohen's kappa"
    undefined: ClassVar[str] = "truth and predictions are one class"

    def __call__(self, t: Array, p: Array) -> float:
        return float(cohen_kappa(_counts(t, p)))


@dataclass(frozen=True)
class Top5Accuracy(Metric):
    """top-5 accuracy = the share of examples whose label is among the 5 largest of their p_nk. From 0 to 1.

    Of equals the first counts, as for argmax: with k = 1 it would be the accuracy.
    """

    name: ClassVar[str] = "top5_accuracy"
    equations: ClassVar[Mapping[str, str]] = {
        "before_n": "sum_k((p_nk > p_nt) + (p_nk == p_nt) * (t > k))",
        "accuracy": "sum_n(5 > before_n) / N",
    }
    title: ClassVar[str] = "top-5 accuracy"
    is_share: ClassVar[bool] = True

    def __call__(self, t: Array, p: Array) -> float:
        return top_k_accuracy(p, t, 5)


def top_k_accuracy(y: Array, t: Array, k: int) -> float:
    """The share of examples whose label is among the k largest of their outputs y (N, K); of equals the first counts.

    That rule is argmax's, so k = 1 is the accuracy.
    """
    own = y[np.arange(len(t)), t][:, np.newaxis]
    before = np.arange(y.shape[1]) < t[:, np.newaxis]
    rank = np.count_nonzero((y > own) | ((y == own) & before), axis=1)
    return float(np.mean(rank < k))
