"""What a network's outputs on a split amount to: every figure of an evaluation, made once from the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.report.values import ClassScores
from nnscratch.training.metrics import (
    ClassFigures,
    Reliability,
    class_figures,
    confusion_matrix,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    reliability,
    top_k_accuracy,
)


def probabilities(y: Array, includes_softmax: bool) -> Array:
    """p (N, K) float64, rows that sum to 1, from the outputs y of a classifier.

    Where the loss includes softmax (cross_entropy) y are logits: p = softmax(y). With any other, y estimates the
    probabilities itself (the mean squared error against 0 and 1 is least at P(class | x)): p = max(y, 0) / sum, which
    leaves softmax outputs as they are; where no output is positive, all classes are equally likely.
    """
    y = y.astype(np.float64)
    if includes_softmax:
        p = np.exp(y - np.max(y, axis=1, keepdims=True))
    else:
        p = np.maximum(y, 0)
        p[~np.any(p > 0, axis=1)] = 1
    p /= np.sum(p, axis=1, keepdims=True)
    return np.asarray(p)


@dataclass(frozen=True, eq=False)
class Classified:
    """Labels, predictions and how they compare. `predicted` is argmax of the outputs, `confidence` its probability."""

    classes: tuple[str, ...]
    t: Array
    predicted: Array
    confidence: Array
    true_probability: Array
    """What the network gave the true class."""
    counts: Array
    """The confusion matrix."""
    figures: ClassFigures
    reliability: Reliability
    top5_accuracy: float

    @classmethod
    def of(cls, classes: tuple[str, ...], t: Array, y: Array, includes_softmax: bool) -> Classified:
        """From labels (N,) and raw outputs (N, K)."""
        p, predicted, rows = probabilities(y, includes_softmax), np.argmax(y, axis=1), np.arange(len(t))
        confidence = p[rows, predicted]
        counts = confusion_matrix(t, predicted, len(classes))
        return cls(
            classes=classes,
            t=t,
            predicted=predicted,
            confidence=confidence,
            true_probability=p[rows, t],
            counts=counts,
            figures=class_figures(counts),
            reliability=reliability(confidence, predicted == t),
            top5_accuracy=top_k_accuracy(y, t, 5),
        )

    @property
    def class_scores(self) -> list[ClassScores]:
        """A row per class, for tables and plots."""
        f = self.figures
        columns = (f.precision.tolist(), f.recall.tolist(), f.f1.tolist(), f.support.tolist())
        return [ClassScores(*row) for row in zip(self.classes, *columns, strict=True)]

    def worst(self, number: int) -> Array:
        """The wrong predictions that the network was surest of, worst first."""
        wrong = np.flatnonzero(self.predicted != self.t)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")[:number]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        f = self.figures
        return {
            "top5_accuracy": self.top5_accuracy,
            "macro_precision": f.macro(f.precision),
            "macro_recall": f.macro(f.recall),
            "macro_f1": f.macro(f.f1),
            "expected_calibration_error": self.reliability.expected_calibration_error,
            "per_class": [
                {"class": s.name, "precision": s.precision, "recall": s.recall, "f1": s.f1, "support": s.support}
                for s in self.class_scores
            ],
            "confusion_matrix": self.counts.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Regressed:
    """True values t and predictions y, both (N, K), and how they compare."""

    target_names: tuple[str, ...]
    t: Array
    y: Array

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: means over the targets (R2 too, as scikit-learn's), then each target."""
        errors = (mean_squared_error(self.t, self.y), mean_absolute_error(self.t, self.y), r2_score(self.t, self.y))
        keys = ("mean_squared_error", "mean_absolute_error", "r2")
        return {key: float(np.mean(values)) for key, values in zip(keys, errors, strict=True)} | {
            "per_target": [
                {"target": name, **{key: float(values[index]) for key, values in zip(keys, errors, strict=True)}}
                for index, name in enumerate(self.target_names)
            ]
        }
