"""How far training has come, and what it has seen: all that a resume needs besides the vectors."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nnscratch.training.metrics.known import goal_of
from nnscratch.training.metrics.metric import Goal

LARGEST = 2**53
"""A count that no training reaches; up to it, float64 is exact."""
IN_EVERY_ROW = ("train_loss", "train_seconds")
"""What is counted on in the row of an epoch."""


@dataclass(frozen=True)
class StepResult:
    """After one update: where training is. `loss` is that of the batch, before the update."""

    epoch: int
    step: int
    steps_per_epoch: int
    loss: float
    asked: Sequence[bool] = ()
    """What of the training's questions some process said yes to."""


@dataclass(frozen=True)
class EpochResult:
    """After one epoch, counted from 1: its row of metrics.csv."""

    epoch: int
    values: Mapping[str, float]


@dataclass
class Progress:
    """Epochs done, steps of the present one, running sums of it, and a row of values for every epoch done."""

    epoch: int = 0
    step: int = 0
    updates: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    train_seconds: float = 0.0
    gradient_norm_sum: float = 0.0
    measured: int = 0
    measures: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        """Of every epoch done, the val_loss, or without validation the train_loss: what a schedule may look at."""
        return [row.get("val_loss", row["train_loss"]) for row in self.history]

    def add_measures(self, values: Mapping[str, float]) -> None:
        """Adds one step's norms and ratios to the epoch's sums."""
        self.measured += 1
        for name, value in values.items():
            self.measures[name] = self.measures.get(name, 0.0) + value

    def start_next_epoch(self) -> None:
        """Counts the epoch as done and clears its sums."""
        self.epoch += 1
        self.step = self.correct = self.seen = self.measured = 0
        self.loss_sum = self.train_seconds = self.gradient_norm_sum = 0.0
        self.measures = {}

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON keeps exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Progress:
        """The progress that `to_dict` gave. Raises ValueError, naming the field, for anything else."""
        expected = cls().to_dict()
        if not isinstance(values, Mapping) or values.keys() != expected.keys():
            raise ValueError(f"the progress must have the fields {', '.join(expected)}")
        for name, default in expected.items():
            value = values[name]
            impossible = isinstance(value, int) and not 0 <= value < LARGEST
            if (
                type(value) is not type(default)
                or impossible
                or (isinstance(value, float) and not math.isfinite(value))
            ):
                raise ValueError(f"the progress has {name} {repr(value)[:60]}")
        for row in (values["measures"], *values["history"]):
            if not isinstance(row, Mapping) or not all(_is_number(value, name) for name, value in row.items()):
                raise ValueError("the progress holds a row that is not finite numbers by name")
        for name in IN_EVERY_ROW:
            if not all(name in row for row in values["history"]):
                raise ValueError(f"the progress has a row without {name}")
        if len(values["history"]) != values["epoch"]:
            raise ValueError(f"the progress has {len(values['history'])} rows for {values['epoch']} epochs")
        return cls(**values)


def _is_number(value: object, name: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    # A whole number may be larger than any float; a metric of an epoch may have had no meaning.
    return abs(value) <= sys.float_info.max or (value != value and not str(name).endswith("loss"))


@dataclass(frozen=True)
class Monitor:
    """The logged value that says which epoch is best; whether it is to rise or to fall, its metric says."""

    value: str

    @property
    def goal(self) -> Goal:
        """'minimize' or 'maximize'."""
        return goal_of(self.value)

    def best_epoch(self, history: Sequence[Mapping[str, float]]) -> int | None:
        """The epoch (from 1) with the best value; None before there is one.

        Of several with that value the one with the lowest val_loss, and of these the earliest: on a few hundred
        examples the accuracy of many epochs is the same.
        """
        best, at = (-math.inf, -math.inf), None
        for epoch, row in enumerate(history, 1):
            score = self._score(row)
            if score > best:
                best, at = score, epoch
        return at

    def epochs_without_improvement(self, history: Sequence[Mapping[str, float]], minimum_change: float = 0.0) -> int:
        """How many of the last epochs brought nothing better than the best before.

        Better is a value that is so by more than minimum_change, or, with 0, an equal value of a lower val_loss.
        """
        best, waited = (-math.inf, -math.inf), 0
        for row in history:
            score = self._score(row)
            if score[0] > best[0] + minimum_change or (minimum_change == 0 and score > best):
                best, waited = score, 0
            else:
                waited += 1
        return waited

    def _score(self, row: Mapping[str, float]) -> tuple[float, float]:
        """The value, and then -val_loss, both the larger the better; what is not known is never better."""
        value, loss = row.get(self.value, math.nan), row.get("val_loss", math.inf)
        return (-value if self.goal == "minimize" else value), -loss


@dataclass(frozen=True)
class EarlyStopping:
    """Stops when `patience` epochs in a row brought no improvement of the monitored value above minimum_change."""

    patience: int
    minimum_change: float = 0.0

    def is_due(self, monitor: Monitor, history: Sequence[Mapping[str, float]]) -> bool:
        return monitor.epochs_without_improvement(history, self.minimum_change) >= self.patience
