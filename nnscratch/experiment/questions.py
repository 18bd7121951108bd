"""What one process cannot decide alone when several train together: whether to stop, and whether it is time to save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nnscratch.host.interruption import StopRequest
from nnscratch.nn.compute.communicator import Communicator
from nnscratch.training.progress import EpochResult, StepResult


class Answers(NamedTuple):
    """The same on all processes."""

    stop: bool
    save: bool


class Questions:
    """Asked in every step, along with its sums: a signal that reached one process stops all after the same step."""

    def __init__(self, communicator: Communicator, stop: StopRequest, minutes_are_over: Callable[[], bool]) -> None:
        self.communicator, self.stop, self.minutes_are_over = communicator, stop, minutes_are_over

    def asked(self) -> Sequence[bool]:
        """What this process says; nothing when there is nobody to ask. Rank 0's clock counts."""
        if self.communicator.size == 1:
            return ()
        return self.stop.wanted, self.communicator.rank == 0 and self.minutes_are_over()

    def after(self, result: StepResult | EpochResult) -> Answers:
        """The answers after a step, or at the end of an epoch."""
        if isinstance(result, StepResult) and result.asked:
            return self._answered(Answers(*result.asked))
        return self.now()

    def now(self) -> Answers:
        """The answers at this moment, at which all processes ask."""
        if self.communicator.size == 1:
            return Answers(self.stop.wanted, self.minutes_are_over())
        yes = self.communicator.sum(np.array(self.asked(), np.int64)) > 0
        return self._answered(Answers(*yes.tolist()))

    def _answered(self, answers: Answers) -> Answers:
        if answers.stop:
            self.stop.ask("interrupted")
        return answers
