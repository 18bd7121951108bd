"""The page of a run that trains: report.html, made again and again by a process of its own from the run's files."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

from nnscratch.experiment.mirrors.companion import Companion
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.host.display import Display
from nnscratch.results.live_page import Moment, is_report, write_live_page
from nnscratch.runs.meta import Status
from nnscratch.training.progress import EpochResult, StepResult

SOON = 2.0
"""Seconds of training after which there is a page: who waits for less needs none."""
INTERVAL = 1.0
"""Seconds between two things that are told."""
PATIENCE = 1.0
"""Seconds to wait for its last page before the report is drawn."""
LOG = "logs/live_page.log"
MODULE = "nnscratch.experiment.mirrors.live_page_process"


class LivePage(Observer):
    """Tells the page's process how far training is, and leaves behind a page that says how it ended.

    That process runs only when nothing else wants the processor, and sees to it that its work takes at most a
    hundredth of the time; see `live_page_process`.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._training: Training | None = None
        self._companion: Companion | None = None
        self._started = self._next = 0.0
        self._begun = Moment(0, 1)
        self._batches = 0
        self._losses = 0.0

    def begin(self, training: Training) -> None:
        self._training = training
        self._started = time.monotonic()
        self._next = self._started + SOON
        updates, monitor = training.trainer.progress.updates, training.monitor
        self._begun = Moment(
            training.config.training.epochs,
            training.steps_per_epoch,
            before=updates,
            monitor=monitor.value if monitor is not None else None,
        )

    def step(self, result: StepResult) -> None:
        self._losses += result.loss
        self._batches += 1
        self._tell()

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        self._tell()

    def complete(self, summary: TrainingSummary) -> None:
        """From here on the report may be written: until it is there, the page says that it is on its way."""
        companion = self._companion
        if companion is None:
            return
        companion.send(kind="complete", moment=asdict(self._moment()))
        until = time.monotonic() + PATIENCE
        heard: list[object] = []

        def is_enough() -> bool:
            heard.extend(companion.heard())
            return bool(heard) or time.monotonic() > until

        if companion.wait(is_enough) or not heard:
            self._stop()

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        if self._training is None:
            return
        self._stop()
        run = self._training.run
        if run.report.exists() and not is_report(run.report) and run.is_in_place():
            write_live_page(run, self._moment(), goes_on=False)

    def _tell(self) -> None:
        now = time.monotonic()
        if now < self._next or self._training is None:
            return
        self._next = now + INTERVAL
        if self._companion is None:
            run = self._training.run
            one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
            self._companion = Companion(MODULE, run, LOG, one)
            self._companion.send(kind="start", folder=str(run.path.resolve()), moment=asdict(self._moment()))
            self._display.say(f"as it goes: {run.report}")
        loss = self._losses / self._batches if self._batches else None
        self._companion.send(kind="moment", moment=asdict(self._moment()), loss=loss)
        self._losses, self._batches = 0.0, 0

    def _moment(self) -> Moment:
        assert self._training is not None
        done, seconds = self._training.trainer.progress.updates, time.monotonic() - self._started
        return replace(self._begun, done=done, seconds=seconds)

    def _stop(self) -> None:
        """Ends the process: from now on it writes nothing."""
        companion, self._companion = self._companion, None
        if companion is not None:
            companion.kill()
            companion.close()
