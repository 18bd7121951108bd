"""Every metric by its name, and the values that a training logs of them: val_accuracy, val_macro_f1, ..."""

from __future__ import annotations

import nnscratch.training.metrics.classification
import nnscratch.training.metrics.probabilities
import nnscratch.training.metrics.ranking
import nnscratch.training.metrics.regression  # noqa: F401  (importing a metric is what makes its name known)
from nnscratch.component import catalogue
from nnscratch.training.metrics.metric import Goal, Metric

LOGGED = ("loss", "accuracy")
"""What is logged of every split after every epoch; a metric beyond these only when it is monitored."""


def metrics_of(task: str) -> list[Metric]:
    """One of each that a task has, in order of definition."""
    return [each() for each in catalogue(Metric).values() if each.task == task]


def metric_of(value: str) -> type[Metric] | None:
    """The metric of a logged value such as val_macro_f1; None for a loss, and for what is none."""
    return catalogue(Metric).get(value.partition("_")[2])


def monitorable() -> list[str]:
    """Every value of the validation split that training can be steered by."""
    return ["val_loss", *(f"val_{name}" for name in catalogue(Metric))]


def goal_of(value: str) -> Goal:
    """Whether a logged value is to rise or to fall: a loss falls."""
    metric = metric_of(value)
    return "minimize" if metric is None else metric.goal
