"""How far predictions y (N, K) are from the truth t (N, K), in the targets' own units, in float64.

Each figure is of every target, (K,); a metric is their mean, as scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.training.metrics.metric import Goal, Metric, Task


def mean_squared_error(t: Array, y: Array) -> Array:
    """mean_n (y - t)^2 of every target, (K,)."""
    return np.asarray(np.mean(np.square(difference(t, y)), axis=0))


def root_mean_squared_error(t: Array, y: Array) -> Array:
    """The square root of that, in the target's own unit, (K,)."""
    return np.sqrt(mean_squared_error(t, y))


def mean_absolute_error(t: Array, y: Array) -> Array:
    """mean_n |y - t| of every target, (K,)."""
    return np.asarray(np.mean(np.abs(difference(t, y)), axis=0))


def median_absolute_error(t: Array, y: Array) -> Array:
    """median_n |y - t| of every target, (K,)."""
    return np.asarray(np.median(np.abs(difference(t, y)), axis=0))


def r2_score(t: Array, y: Array) -> Array:
    """R2 = 1 - sum_n (y - t)^2 / sum_n (t - mean t)^2 of every target, (K,); NaN where the target is constant."""
    residual = np.sum(np.square(difference(t, y)), axis=0)
    t = np.asarray(t, np.float64)
    spread = np.sum(np.square(t - np.mean(t, axis=0)), axis=0)
    varies = np.any(t != t[:1], axis=0)  # the mean of equal numbers may differ from them in the last digit
    return np.where(varies, 1 - residual / np.where(varies, spread, 1.0), np.nan)


def difference(t: Array, y: Array) -> Array:
    """y - t in float64."""
    return np.asarray(y, np.float64) - np.asarray(t, np.float64)


@dataclass(frozen=True)
class MeanSquaredErrorMetric(Metric):
    """MSE = mean_n (y - t)^2, in the square of the target's unit. From 0 up."""

    name: ClassVar[str] = "mean_squared_error"
    equations: ClassVar[Mapping[str, str]] = {"MSE": "sum_n((y_n - t_n)**2) / N"}
    task: ClassVar[Task] = "regression"
    goal: ClassVar[Goal] = "minimize"
    title: ClassVar[str] = "mean squared error"

    def __call__(self, t: Array, p: Array) -> float:
        return float(np.mean(mean_squared_error(t, p)))


@dataclass(frozen=True)
class RootMeanSquaredError(Metric):
    """RMSE = sqrt(mean_n (y - t)^2), in the target's own unit. From 0 up.

    Of several targets, the mean of their roots.
    """

    name: ClassVar[str] = "root_mean_squared_error"
    equations: ClassVar[Mapping[str, str]] = {"RMSE": "sqrt(sum_n((y_n - t_n)**2) / N)"}
    task: ClassVar[Task] = "regression"
    goal: ClassVar[Goal] = "minimize"
    title: ClassVar[str] = "root mean squared error"

    def __call__(self, t: Array, p: Array) -> float:
        return float(np.mean(root_mean_squared_error(t, p)))


@dataclass(frozen=True)
class MeanAbsoluteErrorMetric(Metric):
    """MAE = mean_n |y - t|, in the target's own unit. From 0 up."""

    name: ClassVar[str] = "mean_absolute_error"
    equations: ClassVar[Mapping[str, str]] = {"MAE": "sum_n(abs(y_n - t_n)) / N"}
    task: ClassVar[Task] = "regression"
    goal: ClassVar[Goal] = "minimize"
    title: ClassVar[str] = "mean absolute error"

    def __call__(self, t: Array, p: Array) -> float:
        return float(np.mean(mean_absolute_error(t, p)))


@dataclass(frozen=True)
class MedianAbsoluteError(Metric):
    """median error = median_n |y - t|, in the target's own unit: half of the predictions are nearer. From 0 up.

    Of several targets, the mean of their medians.
    """

    name: ClassVar[str] = "median_absolute_error"
    equations: ClassVar[Mapping[str, str]] = {"E": "median(abs(y_n - t_n))"}
    task: ClassVar[Task] = "regression"
    goal: ClassVar[Goal] = "minimize"
    title: ClassVar[str] = "median absolute error"

    def __call__(self, t: Array, p: Array) -> float:
        return float(np.mean(median_absolute_error(t, p)))


@dataclass(frozen=True)
class R2(Metric):
    """R2 = 1 - sum_n (y - t)^2 / sum_n (t - mean t)^2: the share of the targets' variance that is predicted.

    At most 1; always saying the mean has 0, and what is worse is below. Of several targets, the mean over those that
    vary: a constant target has no variance to predict, and no R2.
    """

    name: ClassVar[str] = "r2"
    equations: ClassVar[Mapping[str, str]] = {"R**2": "1 - sum_n((y_n - t_n)**2) / sum_n((t_n - t_mean)**2)"}
    task: ClassVar[Task] = "regression"
    title: ClassVar[str] = "R2"
    undefined: ClassVar[str] = "the target is constant"

    def __call__(self, t: Array, p: Array) -> float:
        of_targets = r2_score(t, p)
        return float(np.mean(of_targets[~np.isnan(of_targets)])) if not np.isnan(of_targets).all() else np.nan
