"""How well probabilities put the examples of a class before all others, whatever threshold is chosen."""

from __future__ import annotations

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
        order = np.argsort(-score, kind="stable")
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
        if not self.positives or not self.negatives:
            return np.nan
        x, y = np.append(0.0, self.false_positive_rate), np.append(0.0, self.recall)
        return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)

    @property
    def average_precision(self) -> float:
        """sum_m (recall_m - recall_(m-1)) precision_m; NaN without positives."""
        if not self.positives:
            return np.nan
        return float(np.sum(np.diff(np.append(0.0, self.recall)) * self.precision))


def curves_by_class(t: Array, p: Array) -> dict[int, ThresholdCurve]:
    """The curve of every class against all others, by class; of two classes the second's, the first's mirror image."""
    K = p.shape[1]
    return {k: ThresholdCurve.of(t == k, p[:, k]) for k in ((1,) if K == 2 else range(K))}


def _mean(figures: list[float]) -> float:
    """Over the classes that have one."""
    defined = [each for each in figures if not np.isnan(each)]
    return float(np.mean(defined)) if defined else np.nan


@dataclass(frozen=True)
class RocAuc(Metric):
    """ROC AUC = P(p_i > p_j) + P(p_i = p_j) / 2, i any example of a class, j any other. From 0 to 1; 0.5 is chance.

    The area under the curve of recall against the false positive rate. Of two classes, that of the second; of more,
    the mean over the classes, each against all others (one versus rest), that have examples and do not have all.
    Without meaning where all examples are of one class.
    """

    name: ClassVar[str] = "roc_auc"
    title: ClassVar[str] = "ROC AUC"
    undefined: ClassVar[str] = "all examples are of one class"

    def __call__(self, t: Array, p: Array) -> float:
        return _mean([curve.roc_auc for curve in curves_by_class(t, p).values()])


@dataclass(frozen=True)
class AveragePrecision(Metric):
    """average precision = sum_m (R_m - R_(m-1)) P_m, recall R and precision P at every threshold, the highest first.

    The area under the precision-recall curve, in steps. From 0 to 1; chance is the share of the class. Of two classes,
    that of the second; of more, the mean over the classes that have examples.
    """

    name: ClassVar[str] = "average_precision"
    title: ClassVar[str] = "average precision"
    undefined: ClassVar[str] = "no example is of the second class"

    def __call__(self, t: Array, p: Array) -> float:
        return _mean([curve.average_precision for curve in curves_by_class(t, p).values()])
