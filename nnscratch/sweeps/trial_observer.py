"""Between one training and its study: epochs go to the study, what the study decides stops the training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

import numpy as np

from nnscratch.config.data import Splits
from nnscratch.errors import UserError
from nnscratch.experiment.observer import Observer, Training
from nnscratch.host.interruption import TAKEN_OVER, Reason, StopRequest
from nnscratch.host.repeating import repeated
from nnscratch.runs.directory import RunDirectory
from nnscratch.sweeps.lease import LeaseLostError
from nnscratch.sweeps.study import Study, Trial
from nnscratch.sweeps.trouble import Patience, is_storage_trouble
from nnscratch.training.progress import EpochResult

CHANCE_MARGIN = 0.02


class TrialStop(StopRequest):
    """Stops one trial, or, with the sweep's own request, all of them."""

    def __init__(self, sweep: StopRequest) -> None:
        self._sweep = sweep
        self._is_asked = False
        self._reason: Reason | None = None
        super().__init__()

    @property
    def wanted(self) -> bool:
        return self._is_asked or self._sweep.wanted

    @wanted.setter
    def wanted(self, value: bool) -> None:
        self._is_asked = value

    @property
    def reason(self) -> Reason | None:
        return self._reason if self._is_asked else self._sweep.reason

    @reason.setter
    def reason(self, value: Reason | None) -> None:
        self._reason = value


def heartbeat(study: Study, number: int, stop: StopRequest) -> AbstractContextManager[None]:
    """A context in which a thread keeps the trial's lease alive; a lease that is lost stops the trial."""

    def beat() -> None:
        try:
            study.beat(number)
        except LeaseLostError:
            stop.ask(TAKEN_OVER)
        except UserError:
            pass  # a damaged journal: the trial meets it, too, and says so
        except Exception as error:
            if not is_storage_trouble(error):
                raise

    return repeated(beat, study.lease_seconds / 4, f"heartbeat of trial {number}")


class TrialObserver(Observer):
    """Tells the study of every epoch, later when it is away, and the training when Hyperband wants it to end."""

    def __init__(self, study: Study, trial: Trial, stop: StopRequest, patience: Patience) -> None:
        self._study, self._trial, self._stop, self._patience = study, trial, stop, patience
        self._epochs = 0
        self._untold: list[tuple[int, float]] = []
        """Epochs that the study does not know of yet, and the metric after them."""
        self.run: RunDirectory | None = None
        self.chance: float | None = None
        """The accuracy below which nothing is told apart; None when nothing is classified."""

    def begin(self, training: Training) -> None:
        epochs, progress = training.config.training.epochs, training.trainer.progress
        self.begin_run(training.run, epochs, progress.history, progress.updates, chance_level(training.splits))

    def begin_run(
        self,
        run: RunDirectory,
        epochs: int,
        history: Sequence[Mapping[str, float]],
        updates: int,
        chance: float | None,
    ) -> None:
        """The same of a training that is another process's."""
        self.run, self._epochs, self.chance = run, epochs, chance
        for row in history:  # of a process before, which could not tell
            self._note(int(row["epoch"]), row)
        with suppress(LeaseLostError):
            self._patience(lambda: self._study.begin(self._trial.number, run.path, self._epochs, updates))
        if self._trial.due is not None:
            self._stop.ask("pruned")

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        self._note(result.epoch, result.values)
        try:
            if any(self._tell()) and result.epoch < self._epochs:
                self._stop.ask("pruned")
        except LeaseLostError:
            self._stop.ask(TAKEN_OVER)
        except Exception as error:
            if not is_storage_trouble(error):
                raise

    def settle(self) -> None:
        """Tells what is left to tell. Raises LeaseLostError, and UserError when the storage stays away."""
        self._patience(lambda: list(self._tell()))

    def _note(self, epoch: int, values: Mapping[str, float]) -> None:
        value = values.get(self._study.definition.metric.name)
        if value is not None and epoch not in self._trial.curve:
            self._untold.append((epoch, value))

    def _tell(self) -> Iterator[bool]:
        """Whether the trial is to stop, for every epoch that is told, in their order."""
        while self._untold:
            epoch, value = self._untold[0]
            is_due = self._study.report(self._trial.number, epoch, value)
            self._untold.pop(0)
            yield is_due


def chance_level(splits: Splits) -> float | None:
    """The accuracy below which no class is told from another: that of the largest class, and a margin for luck.

    The margin is at most half of the way to 1, which is never luck. None for regression, and where there is one class.
    """
    examples = splits.validation if splits.validation is not None else splits.train
    targets = examples.targets[examples.rows]
    if targets.ndim != 1:
        return None
    p = float(np.bincount(targets).max() / len(targets))
    if p == 1.0:
        return None
    return p + min(3.0 * math.sqrt(p * (1.0 - p) / len(targets)), CHANCE_MARGIN, (1.0 - p) / 2)
