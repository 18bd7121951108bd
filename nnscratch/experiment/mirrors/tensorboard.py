"""The mirror on TensorBoard, which works in a process of its own: `tensorboard --logdir runs` shows it.

Nothing of TensorBoard is imported here: `tensorboard_process` does that, a companion of the training.
"""

from __future__ import annotations

import shlex
import time
from typing import ClassVar

from nnscratch.experiment.mirrors.companion import Companion
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.host.display import Display
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Status
from nnscratch.training.progress import EpochResult

PATIENCE = 10.0
"""Seconds to wait at the end for what is being written, which takes less than one."""
LOG = "logs/tensorboard.log"


class TensorBoardMirror(Observer):
    """A run for TensorBoard: every value of every epoch, hyperparameters, and at the end the pictures and the test."""

    name: ClassVar[str] = "tensorboard"

    def __init__(self, display: Display) -> None:
        self._display = display
        self._run: RunDirectory | None = None
        self._companion: Companion | None = None
        self._has_warned = False

    def begin(self, training: Training) -> None:
        run = training.run
        run.place(f"{layout.TENSORBOARD}/events")  # which makes the folder
        self._run = run
        self._companion = Companion("nnscratch.experiment.mirrors.tensorboard_process", run, LOG)
        self._companion.send(kind="start", folder=str(run.path.resolve()), config=training.config.to_dict())
        for row in run.read_history():  # of a process before
            self._companion.send(kind="log", values=row)
        self._display.say(f"TensorBoard: {shlex.join(['tensorboard', '--logdir', str(run.path)])}")

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        if self._companion is not None:
            self._companion.send(kind="log", values=dict(result.values))
            self._hear(self._companion)

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        companion, self._companion = self._companion, None
        if companion is None:
            return
        assert self._run is not None
        companion.finish(kind="finish", status=status, has_files=self._run.is_in_place())
        until = time.monotonic() + PATIENCE
        if not companion.wait(lambda: time.monotonic() > until):
            companion.kill()
            self._warn(f"no answer within {PATIENCE:.0f} s")
        self._hear(companion)
        if companion.has_failed:
            self._warn(f"the process for it failed; see {LOG} in the run's folder")
        companion.close()

    def _hear(self, companion: Companion) -> None:
        for reply in companion.heard():
            self._warn(str(reply.get("text")))

    def _warn(self, said: str) -> None:
        if not self._has_warned:
            self._display.warn(f"TensorBoard mirror: {said}. The training is not touched by it")
        self._has_warned = True
