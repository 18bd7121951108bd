"""The figures of an evaluation: every metric of a task, what each may be off by, and what to compare it with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import decimal, percent
from nnscratch.report.tables import Column, Table
from nnscratch.training.metrics import intervals
from nnscratch.training.metrics.classification import (
    ClassCounts,
    balanced_accuracy,
    cohen_kappa,
    macro_f1,
)
from nnscratch.training.metrics.intervals import Interval, between
from nnscratch.training.metrics.known import metrics_of
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.metrics.probabilities import brier_scores, log_losses
from nnscratch.training.metrics.ranking import ThresholdCurve, mean_of_classes
from nnscratch.training.metrics.regression import difference

OF_COUNTS = {
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "cohen_kappa": cohen_kappa,
}
AREAS = ("roc_auc", "average_precision")
BIASED = "drawing the examples again {} it by itself"
"""Of resamples in which a figure is another one, as the average precision over many classes of few examples.

They hold examples twice, and tell nothing then of how far the split is off: in trials no shift of theirs did.
"""


@dataclass(frozen=True)
class Figure:
    """A metric on a split; NaN without meaning. `beside` is what it is to be compared with, or why there is none."""

    metric: Metric
    value: float
    interval: Interval | None = None
    beside: str = ""

    @property
    def text(self) -> str:
        """The value as people read it."""
        return percent(self.value) if self.metric.is_share else decimal(self.value)

    @property
    def interval_text(self) -> str:
        """`89.53 to 90.70 %`; empty when there is none."""
        if self.interval is None:
            return ""
        low, high = self.interval
        if self.metric.is_share:
            return f"{100 * low:.2f} to {percent(high)}"
        return f"{decimal(low)} to {decimal(high)}"


def figures_of_labels(
    t: Array,
    p: Array,
    confusion: Array,
    curves: Mapping[int, ThresholdCurve],
    rng: np.random.Generator,
) -> tuple[Figure, ...]:
    """Every metric of labels t (N,), probabilities p (N, K), the confusion matrix (K, K) of what was predicted
    and the curves of the classes."""
    K, counts = p.shape[1], ClassCounts.of(confusion)
    right, N = int(np.trace(confusion)), int(confusion.sum())
    found = {"accuracy": intervals.of_share(right, N)} | intervals.of_counts(confusion, OF_COUNTS, rng)
    drawn = intervals.Resamples(N, rng)
    log_loss, brier = drawn.means(np.column_stack([log_losses(t, p), brier_scores(t, p)])).T
    areas = np.array([drawn.areas(curve, t == k, p[:, k]) for k, curve in curves.items()])
    found |= {"log_loss": between(log_loss), "brier_score": between(brier)}
    found |= {name: between(mean_of_classes(each)) for name, each in zip(AREAS, areas.swapaxes(0, 1), strict=True)}
    is_right = np.argmax(p, axis=1) == t
    found["expected_calibration_error"], by_chance = intervals.of_calibration(np.max(p, axis=1), is_right, drawn, rng)
    beside = {
        "accuracy": f"always the largest class: {percent(majority_share(counts))}",
        "expected_calibration_error": f"by chance alone: {percent(by_chance)}",
    }
    metrics = [each for each in metrics_of("classification") if each.name != "top5_accuracy" or K > 5]
    values = {"accuracy": right / N} | {name: float(figure(counts)) for name, figure in OF_COUNTS.items()}
    values |= {name: float(mean_of_classes([getattr(each, name) for each in curves.values()])) for name in AREAS}
    values |= {each.name: each.measure(t, p) for each in metrics if each.name not in values}
    found["top5_accuracy"] = intervals.of_share(round(values.get("top5_accuracy", 0.0) * N), N)
    return tuple(_figure(each, values[each.name], found, beside) for each in metrics)


def majority_share(counts: ClassCounts) -> float:
    """The accuracy of always saying the largest class."""
    return float(np.max(counts.support) / np.sum(counts.support))


def figures_of_numbers(t: Array, y: Array, rng: np.random.Generator) -> tuple[Figure, ...]:
    """Every metric of true values t (N, K) and predictions y (N, K)."""
    off, K = difference(t, y), t.shape[1]
    centred = t.astype(np.float64) - np.mean(t, axis=0, dtype=np.float64)
    columns = np.column_stack([np.square(off), np.abs(off), centred, np.square(centred)])
    varies = np.any(t != t[:1], axis=0)

    def r2(means: Array) -> Array:
        squares, mean, mean_square = means[:, :K], means[:, 2 * K : 3 * K], means[:, 3 * K :]
        spread = mean_square - np.square(mean)
        has_spread = varies & (spread > 1e-9 * np.mean(np.square(centred), axis=0))
        own = np.where(has_spread, 1 - squares / np.where(has_spread, spread, 1.0), 0.0)
        number = np.sum(has_spread, axis=1)
        return np.where(number > 0, np.sum(own, axis=1) / np.maximum(number, 1), np.nan)

    drawn = intervals.Resamples(len(t), rng)
    means = drawn.means(columns)
    found = {
        "mean_squared_error": between(np.mean(means[:, :K], axis=1)),
        "root_mean_squared_error": between(np.mean(np.sqrt(means[:, :K]), axis=1)),
        "mean_absolute_error": between(np.mean(means[:, K : 2 * K], axis=1)),
        "median_absolute_error": between(np.mean([drawn.medians(each) for each in np.abs(off).T], axis=0)),
        "r2": between(r2(means)),
    }
    beside = {"r2": "always the mean: 0"}
    if varies.any() and not varies.all():
        beside["r2"] += f"; {np.count_nonzero(~varies)} of {K} targets are constant and have none"
    return tuple(_figure(each, each.measure(t, y), found, beside) for each in metrics_of("regression"))


def _figure(metric: Metric, value: float, found: Mapping[str, Interval | None], beside: dict[str, str]) -> Figure:
    if np.isnan(value):
        return Figure(metric, value, beside=f"has no meaning: {metric.undefined}")
    interval, said = found.get(metric.name), beside.get(metric.name, "")
    if interval is None:
        return Figure(metric, value, beside=said)
    low, high = interval
    rounding = 1e-9 * abs(value)
    if not low - rounding <= value <= high + rounding:
        way = "raises" if low > value else "lowers"
        return Figure(metric, value, beside="; ".join(filter(None, [said, f"no interval: {BIASED.format(way)}"])))
    return Figure(metric, value, (min(low, value), max(high, value)), said)


def figures_table(figures: Iterable[Figure]) -> Table:
    """A row for each: the figure, its 95 % interval, what it is to be compared with."""
    columns = (Column("figure"), Column("value", True), Column("95 % interval", True), Column(""))
    rows = ((each.metric.title, each.text, each.interval_text, each.beside) for each in figures)
    return Table(columns, tuple(rows))


def figures_to_dict(figures: Iterable[Figure]) -> dict[str, Any]:
    """Plain values: every figure by its name, None without meaning; then the intervals, and why there is no figure."""
    figures = tuple(figures)
    undefined = {each.metric.name: each.metric.undefined for each in figures if np.isnan(each.value)}
    return {
        **{each.metric.name: None if np.isnan(each.value) else each.value for each in figures},
        "intervals": {each.metric.name: list(each.interval) for each in figures if each.interval is not None},
        **({"undefined": undefined} if undefined else {}),
    }
