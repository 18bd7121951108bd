"""The plain values that pictures, tables and pages are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Row = Mapping[str, float | None]
"""One epoch of metrics.csv: `epoch`, `train_loss`, `gradient_norm/<layer>`, ...; what is not known is None or NaN."""

Goal = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class ClassScores:
    """How well one class is recognised, in fractions; `support` counts its examples."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class RunSummary:
    """One line of `runs list`. `validation` and `test` are values of `metric`; None is not known (yet)."""

    name: str
    data: str
    status: str
    metric: str = "accuracy"
    parameters: int | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    """Those done."""
    validation: float | None = None
    test: float | None = None
    seconds: float | None = None
    planned_epochs: int | None = None
    test_deviation: float | None = None
    """Of a group of runs, whose figures are means: the standard deviation of `test`."""
    test_r2: float | None = None
    """Of a regression: the share of the targets' variance that is predicted. Its loss is that of scaled targets."""

    @property
    def told_test(self) -> tuple[str, float | None]:
        """What says best how good it is on the test split, by its name, and how much it is."""
        return ("R2", self.test_r2) if self.test_r2 is not None else (self.metric, self.test)


@dataclass(frozen=True)
class TrialSummary:
    """One line of a sweep's leaderboard. `value` is the sweep's metric; None when the trial never got one."""

    number: int
    status: str
    value: float | None
    parameters: Mapping[str, object] = field(default_factory=dict)
    run: str = ""
    note: str = ""


@dataclass(frozen=True)
class TimedAccuracy:
    """One point of accuracy against training time; points of one `group` share a colour and a marker.

    `spread` is the lowest and the highest accuracy of those that the point is the mean of.
    """

    label: str
    minutes: float
    accuracy: float
    group: str = ""
    spread: tuple[float, float] | None = None
