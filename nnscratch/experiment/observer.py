"""What a training tells, and whom: one protocol for all that shows, watches, mirrors or steers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nnscratch.config.assembly import monitored_value
from nnscratch.config.config import Config
from nnscratch.config.data import Splits
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.report import DataReport
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Origin, Outcome, Status
from nnscratch.training.evaluation import Score
from nnscratch.training.progress import EarlyStopping, EpochResult, Monitor, StepResult
from nnscratch.training.trainer import Trainer


@dataclass(frozen=True)
class Training:
    """What is trained, from what, and where it is kept."""

    run: RunDirectory
    config: Config
    dataset: Dataset
    splits: Splits
    trainer: Trainer
    encoding: TableEncoding | None = None
    """How a table's rows became inputs."""
    started_from: Origin | None = None
    """The trained weights it started from, when it starts now."""

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.splits.train) // self.config.training.batch_size)

    @cached_property
    def data_report(self) -> DataReport:
        """What there is to say of the data before training."""
        return self.splits.report(self.dataset)

    @property
    def monitor(self) -> Monitor | None:
        """What decides which epoch is best; None without a validation split."""
        monitored = monitored_value(self.config, self.dataset)
        return Monitor(monitored) if monitored is not None else None

    def stops_early(self) -> bool:
        """Whether early stopping is due by now."""
        stopping, monitor = self.config.training.early_stopping, self.monitor
        if stopping is None or monitor is None:
            return False
        rule = EarlyStopping(stopping.patience, stopping.minimum_change)
        return rule.is_due(monitor, self.trainer.progress.history)

    def summary(self, best: Mapping[str, float], test: Score | None) -> TrainingSummary:
        """What there is to tell of it now, given the row of its best epoch and its look at the test split."""
        progress = self.trainer.progress
        return TrainingSummary(
            run=self.run.path,
            epochs=progress.epoch,
            best=best,
            test=test,
            parameters=self.trainer.network.parameters.size,
            train_seconds=sum(row["train_seconds"] for row in progress.history),
            train_samples=len(self.splits.train) * progress.epoch,
        )


@dataclass(frozen=True)
class TrainingSummary:
    """What a finished training has to tell."""

    run: Path
    epochs: int
    best: Mapping[str, float]
    """The row of the best epoch; with `epoch` 0 alone when nothing was trained."""
    test: Score | None
    parameters: int
    train_seconds: float
    train_samples: int
    errors: Mapping[str, float] = field(default_factory=dict)
    """Of a regression, figures of the test split in the targets' own units; the loss is of scaled ones."""
    failure = None

    @property
    def outcome(self) -> Outcome:
        """The same as the run keeps it."""
        return Outcome(
            run=str(self.run),
            epochs=self.epochs,
            best=dict(self.best),
            test_loss=self.test.loss if self.test else None,
            test_accuracy=self.test.accuracy if self.test else None,
            parameters=self.parameters,
            train_seconds=self.train_seconds,
            train_samples=self.train_samples,
        )

    def to_text(self) -> str:
        """Nothing more: a training says its figures as it has them, to its log too."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return asdict(self.outcome)


class Observer:
    """Is told of one training; a subclass overrides what it cares for.

    Observers are told one after the other, in the order of their list, when the run's own files are written. One that
    raises ends the training; a mirror, which must never, is told through `mirrors.mirror.Harmless`.
    """

    def begin(self, training: Training) -> None:
        """Before the first step of this process."""

    def step(self, result: StepResult) -> None:
        """After every update."""

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        """After every epoch; `is_best` when the monitored value was never better."""

    def complete(self, summary: TrainingSummary) -> None:
        """When training is over and the run is completed, before pictures are drawn, which may take long or fail."""

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        """When all is over, however it ended, also when another's `begin` failed; a summary of what is completed."""
