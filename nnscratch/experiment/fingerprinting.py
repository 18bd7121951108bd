"""Keeps the fingerprint of a training in its run, for whoever trains it again."""

from __future__ import annotations

from nnscratch.experiment.observer import Observer, Training
from nnscratch.runs.fingerprints import Fingerprint, append_fingerprint, keep_fingerprints
from nnscratch.training.progress import EpochResult, StepResult


class Fingerprinting(Observer):
    """A line per epoch: the loss of each of its steps, and digests of the weights that it ends with."""

    def begin(self, training: Training) -> None:
        self._training = training
        keep_fingerprints(training.run, training.trainer.progress.epoch)
        self._first = training.trainer.progress.step
        self._losses: list[float] = []

    def step(self, result: StepResult) -> None:
        self._losses.append(result.loss)

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        parameters = self._training.trainer.network.parameters
        append_fingerprint(self._training.run, Fingerprint.of(result.epoch, self._first, self._losses, parameters))
        self._first, self._losses = 0, []
