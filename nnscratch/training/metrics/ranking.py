"""How well probabilities put the examples of a class before all others, whatever threshold is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.training.metrics.metric import Metric


@dataclass(frozen=True)
class ThresholdCurve:
    """Those taken for positive at every threshold, the highest first: `right` of the positives, `wrong` of the others.

    Each (M,) for the M different scores; an example counts when its score is at least the threshold.
    """

    thresholds: Array
    right: Array
    wrong: Array
    positives: int
    negatives: int

    @classmethod
    def of(cls, is_positive: Array, score: Array) -> ThresholdCurve:
        """From truth (N,) and score (N,)."""
        order = np.argsort(score)[::-1]
        score, is_positive = score[order], is_positive[order]
        last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of equal scores, all count at once
        right = np.cumsum(is_positive)[last]
        return cls(score[last], right, last + 1 - right, int(right[-1]), int(len(score) - right[-1]))

    @property
    def recall(self) -> Array:
        """right / positives, (M,)."""
        return self.right / max(self.positives, 1)

    @property
    def precision(self) -> Array:
        """right / (right + wrong), (M,)."""
        return np.asarray(self.right / (self.right + self.wrong))

    @property
    def false_positive_rate(self) -> Array:
        """wrong / negatives, (M,)."""
        return self.wrong / max(self.negatives, 1)

    @property
    def roc_auc(self) -> float:
        """The area under recall against the false positive rate, by trapezoids; NaN where one of the two is missing."""
        return float(roc_auc(self.right, self.wrong))

    @property
    def average_precision(self) -> float:
        """sum_m (recall_m - recall_(m-1)) precision_m; NaN without positives."""
        return float(average_precision(self.right, self.wrong))


def roc_auc(right: Array, wrong: Array) -> Array:
    """The area, (...), from how many of each are taken at every threshold, (..., M), at the last one all."""
    every = right[..., -1].astype(np.float64) * wrong[..., -1]
    area = np.sum(np.diff(wrong, prepend=0) * (right - np.diff(right, prepend=0) / 2), axis=-1)
    return np.where(every > 0, area / np.where(every > 0, every, 1.0), np.nan)


def average_precision(right: Array, wrong: Array) -> Array:
    """Average precision, (...), from how many of each are taken at every threshold, (..., M), at the last one all."""
    positives = right[..., -1]
    total = np.sum(np.diff(right, prepend=0) * (right / np.maximum(right + wrong, 1)), axis=-1)
    return np.where(positives > 0, total / np.maximum(positives, 1), np.nan)


def steps(is_positive: Array, score: Array, most: int) -> tuple[Array, int]:
    """The step of the curve that each example (N,) is taken at, from the highest score down, and how many there are.

    Others that stand between the same two positives share one, by which neither area changes. Of more than `most`
    steps neighbours are put together.
    """
    scores, threshold = np.unique(-score, return_inverse=True)
    has_positive = np.bincount(threshold, is_positive, len(scores)) > 0
    begins = has_positive | np.append(True, has_positive[:-1])
    step = np.cumsum(begins) - 1
    number = int(step[-1]) + 1
    if number > most:
        step, number = step * most // number, most
    return step[threshold], number


def curves_by_class(t: Array, p: Array) -> dict[int, ThresholdCurve]:
    """The curve of every class against all others, by class; of two classes the second's, the first's mirror image."""
    K, by_class = p.shape[1], np.ascontiguousarray(p.T)
    return {k: ThresholdCurve.of(t == k, by_class[k]) for k in ((1,) if K == 2 else range(K))}


def mean_of_classes(figures: Sequence[float] | Sequence[Array]) -> Array:
    """The mean of figures (K, ...) over the classes that have one, (...); NaN when none has."""
    is_defined = ~np.isnan(figures)
    number = np.sum(is_defined, axis=0)
    total = np.sum(figures, axis=0, where=is_defined)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


@dataclass(frozen=True)
class RocAuc(Metric):
    """ROC AUC = P(p_i > p_j) + P(p_i = p_j) / 2, i any example of a class, j any other. From 0 to 1; 0.5 is chance.

    The area under the curve of recall against the false positive rate. Of two classes, that of the second; of more,
    the mean over the classes, each against all others (one versus rest), that have examples and do not have all.
    Without meaning where all examples are of one class.
    """

    name: ClassVar[str] = "roc_auc"
    equations: ClassVar[Mapping[str, str]] = {"AUC": "sum_ij((p_i > p_j) + (p_i == p_j) / 2) / (N_i * N_j)"}
    title: ClassVar[str] = "ROC AUC"
    undefined: ClassVar[str] = "all examples are of one class"

    def __call__(self, t: Array, p: Array) -> float:
        return float(mean_of_classes([curve.roc_auc for curve in curves_by_class(t, p).values()]))


@dataclass(frozen=True)
class AveragePrecision(Metric):
    """average precision = sum_m (R_m - R_(m-1)) P_m, recall R and precision P at every threshold, the highest first.

    The area under the precision-recall curve, in steps. From 0 to 1; chance is the share of the class. Of two classes,
    that of the second; of more, the mean over the classes that have examples.
    """

    name: ClassVar[str] = "average_precision"
    equations: ClassVar[Mapping[str, str]] = {"AP": "sum_m((R(m) - R(m - 1)) * P(m))"}
    title: ClassVar[str] = "average precision"
    undefined: ClassVar[str] = "no example is of the second class"

    def __call__(self, t: Array, p: Array) -> float:
        return float(mean_of_classes([curve.average_precision for curve in curves_by_class(t, p).values()]))
