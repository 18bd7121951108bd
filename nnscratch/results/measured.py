"""What a network's outputs on a split amount to: every figure of an evaluation, made once from the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import decimal, percent
from nnscratch.report.values import ClassScores
from nnscratch.results.figures import Figure, figures_of_labels, figures_of_numbers, figures_to_dict, majority_share
from nnscratch.training.metrics.classification import ClassCounts, confusion_matrix
from nnscratch.training.metrics.probabilities import Reliability, reliability
from nnscratch.training.metrics.ranking import ThresholdCurve, curves_by_class
from nnscratch.training.metrics.regression import (
    mean_absolute_error,
    mean_squared_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_error,
)


def _of_examples(scores: ClassScores) -> dict[str, float | None]:
    """What is known of a class that has examples."""
    return {name: getattr(scores, name) if scores.support else None for name in ("recall", "f1")}


@dataclass(frozen=True)
class Calibration:
    """The temperature of the probabilities, and the calibration error that they had without it."""

    temperature: float
    error_before: float

    def __str__(self) -> str:
        return (
            f"calibrated with temperature {decimal(self.temperature)}: "
            f"without it the calibration error is {percent(self.error_before)}"
        )


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
    by_class: ClassCounts
    reliability: Reliability
    figures: tuple[Figure, ...]
    curves: Mapping[int, ThresholdCurve]
    """By class, each against all others."""
    calibration: Calibration | None = None

    @classmethod
    def of(
        cls,
        classes: tuple[str, ...],
        t: Array,
        predicted: Array,
        p: Array,
        rng: np.random.Generator,
        calibration: Calibration | None = None,
    ) -> Classified:
        """From labels (N,), predicted classes (N,) and probabilities (N, K)."""
        rows = np.arange(len(t))
        confidence = p[rows, predicted]
        counts, curves = confusion_matrix(t, predicted, len(classes)), curves_by_class(t, p)
        return cls(
            classes=classes,
            t=t,
            predicted=predicted,
            confidence=confidence,
            true_probability=p[rows, t],
            counts=counts,
            by_class=ClassCounts.of(counts),
            # Of the probabilities, also where a threshold decides.
            reliability=reliability(np.max(p, axis=1), np.argmax(p, axis=1) == t),
            figures=figures_of_labels(t, p, counts, curves, rng),
            curves=curves,
            calibration=calibration,
        )

    @property
    def class_scores(self) -> list[ClassScores]:
        """A row per class, for tables and plots."""
        f = self.by_class
        columns = (f.precision.tolist(), f.recall.tolist(), f.f1.tolist(), f.support.tolist())
        return [ClassScores(*row) for row in zip(self.classes, *columns, strict=True)]

    def worst(self, number: int) -> Array:
        """The wrong predictions that the network was surest of, worst first."""
        wrong = np.flatnonzero(self.predicted != self.t)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")[:number]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        f = self.by_class
        return {
            "majority_share": majority_share(f),
            **figures_to_dict(self.figures),
            **self._calibrated(),
            "macro_precision": float(f.macro(f.precision)),
            "macro_recall": float(f.macro(f.recall)),
            "per_class": [
                {"class": s.name, "precision": s.precision, **_of_examples(s), "support": s.support}
                | self._areas(index)
                for index, s in enumerate(self.class_scores)
            ],
            "confusion_matrix": self.counts.tolist(),
        }

    def _calibrated(self) -> dict[str, float]:
        if self.calibration is None:
            return {}
        before = self.calibration.error_before
        return {"temperature": self.calibration.temperature, "expected_calibration_error_before": before}

    def _areas(self, index: int) -> dict[str, float | None]:
        curve = self.curves.get(index)
        if curve is None:
            return {}
        areas = {"roc_auc": curve.roc_auc, "average_precision": curve.average_precision}
        return {name: None if np.isnan(value) else value for name, value in areas.items()}


@dataclass(frozen=True, eq=False)
class Regressed:
    """True values t and predictions y, both (N, K), and how they compare."""

    target_names: tuple[str, ...]
    t: Array
    y: Array
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, target_names: tuple[str, ...], t: Array, y: Array, rng: np.random.Generator) -> Regressed:
        """From both, in the targets' own units."""
        return cls(target_names, t, y, figures_of_numbers(t, y, rng))

    @property
    def per_target(self) -> list[dict[str, Any]]:
        """The figures of each target; None for the R2 of a constant one."""
        columns = {
            "mean_squared_error": mean_squared_error(self.t, self.y),
            "root_mean_squared_error": root_mean_squared_error(self.t, self.y),
            "mean_absolute_error": mean_absolute_error(self.t, self.y),
            "median_absolute_error": median_absolute_error(self.t, self.y),
            "r2": r2_score(self.t, self.y),
        }
        return [
            {"target": name}
            | {key: None if np.isnan(column[k]) else float(column[k]) for key, column in columns.items()}
            for k, name in enumerate(self.target_names)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: means over the targets, then each target."""
        return figures_to_dict(self.figures) | {"per_target": self.per_target}
