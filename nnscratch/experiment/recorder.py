"""What a training leaves in its run: status, metrics, checkpoints, the best weights so far."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnscratch.experiment.observer import Training, TrainingSummary
from nnscratch.host import machine
from nnscratch.host.json_text import json_text
from nnscratch.host.trouble import traceback_of
from nnscratch.runs import layout
from nnscratch.runs.header import Header
from nnscratch.runs.looks import Look, note_look
from nnscratch.runs.meta import Data, Meta, Status
from nnscratch.runs.network_record import NetworkRecord
from nnscratch.runs.training_state import Best, best_checkpoint, last_checkpoint
from nnscratch.training.evaluation import Score
from nnscratch.training.progress import EpochResult, Progress


@dataclass(frozen=True)
class _Saved:
    """How far training had come when last.npz was written, and when that was."""

    updates: int
    epoch: int
    time: float

    @classmethod
    def now(cls, progress: Progress) -> _Saved:
        return cls(progress.updates, progress.epoch, time.monotonic())


class Recorder:
    """Writes the files of one run; the session says when. Every write raises UserError when the disk refuses."""

    def __init__(
        self, training: Training, threads: int, data_dir: Path, plugins: Mapping[str, str] | None = None
    ) -> None:
        self.training = training
        self.meta = _new_meta(training, threads, data_dir, plugins)
        self._config = training.config.to_yaml()  # once: every checkpoint holds it
        self.best = Best()
        self._temperature: float | None = None
        """Of the best weights, once they are calibrated."""
        self._best_written = 0
        """The epoch of best.npz, as far as this process has written it."""
        self._saved = _Saved.now(training.trainer.progress)

    def begin(self) -> None:
        """Writes what a resume needs, before the first step."""
        self._require_places()
        self.set_status("running")
        self.training.run.write_text(layout.CONFIG, self._config)
        self.training.run.write_text(layout.DATA_REPORT, json_text(self.training.data_report.to_dict()))
        self.save()

    def go_on(self) -> None:
        """Writes what the run is from the checkpoint on that the trainer has been restored from."""
        self._require_places()
        progress = self.training.trainer.progress
        self._saved = _Saved.now(progress)
        self.keep_config()
        self.training.run.rewrite_metrics(progress.history)

    def _require_places(self) -> None:
        """Raises UserError, before anything of the run changes, when something in it cannot be written."""
        if self.training.run.is_written:
            for name in (layout.LAST, layout.LOG):
                self.training.run.place(name)

    def keep_config(self) -> None:
        """Writes the config as it is by now."""
        self.training.run.write_text(layout.CONFIG, self._config)

    def set_status(self, status: Status, error: str | None = None, summary: TrainingSummary | None = None) -> None:
        """Notes how the run stands: with the error that ended it, or what came out."""
        progress = self.training.trainer.progress
        self.meta = replace(
            self.meta,
            status=status,
            updated=_now(),
            epochs=progress.epoch,
            train_seconds=sum(row["train_seconds"] for row in progress.history),
            error=error if error is not None else self.meta.error,
            result=summary.outcome if summary is not None else self.meta.result,
        )
        self.training.run.write_meta(self.meta)

    def record(self, result: EpochResult) -> bool:
        """Writes an epoch's row and keeps its weights if they are the best; whether the monitored value says so.

        Raises DivergenceError when a checkpoint of it would hold what is not finite.
        """
        trainer, run, monitor = self.training.trainer, self.training.run, self.training.monitor
        trainer.require_finite()
        history = trainer.progress.history
        is_best = monitor is None or monitor.best_epoch(history) == result.epoch
        if is_best:
            self.best.keep(trainer, result.epoch)
        run.record({"record": "epoch", **result.values})
        run.write_metrics_table(history)
        return is_best and monitor is not None

    def record_test(self, score: Score, errors: Mapping[str, float]) -> None:
        """Writes the one look at the test split, with a regression's errors in the targets' own units."""
        accuracy = {} if score.accuracy is None else {"test_accuracy": score.accuracy}
        values = {"test_loss": score.loss, **accuracy, **errors}
        self.training.run.record({"record": "test", "epoch": self.best.epoch, **values})
        note_look(self.training.run, Look("test", "train", score.examples, layout.BEST))

    def save_if_due(self, minutes_are_over: bool) -> None:
        """Writes the checkpoints when so many steps or epochs have passed as the config says, or the minutes are."""
        every, progress = self.training.config.training.checkpoint_every, self.training.trainer.progress
        if (
            (every.steps and progress.updates - self._saved.updates >= every.steps)
            or (every.epochs and progress.epoch - self._saved.epoch >= every.epochs)
            or minutes_are_over
        ):
            self.save()

    def minutes_are_over(self) -> bool:
        """Whether so many minutes have passed since the last checkpoint as the config says."""
        minutes = self.training.config.training.checkpoint_every.minutes
        return minutes is not None and time.monotonic() - self._saved.time >= 60 * minutes

    def save(self) -> None:
        """last.npz, with everything a resume needs, then best.npz, with what evaluating needs, when it is new."""
        run, trainer = self.training.run, self.training.trainer
        checkpoint = last_checkpoint(trainer, self.best, self._header())
        if run.is_written:
            run.write_bytes(layout.LAST, checkpoint.encode())
        run.keep_copy_of_last(trainer.progress.updates, self.training.config.training.keep_last)
        self._saved = _Saved.now(trainer.progress)
        self.save_best()

    def save_best(self) -> None:
        """best.npz, when it is new."""
        if not self.training.run.is_written:
            return
        checkpoint = best_checkpoint(self.training.trainer, self.best, self._header())
        if checkpoint is not None and not (self._best_written == self.best.epoch > 0):
            self.training.run.write_bytes(layout.BEST, checkpoint.encode())
            self._best_written = self.best.epoch

    def calibrated(self, temperature: float) -> None:
        """Writes best.npz again, with the temperature of its weights."""
        self._temperature, self._best_written = temperature, 0
        self.save_best()

    def kept(self) -> str:
        """What of this process's work a resume finds: `.../last.npz holds epoch 3, step 0, best.npz epoch 2`."""
        epoch, step = divmod(self._saved.updates, self.training.steps_per_epoch)
        best = f", best.npz epoch {self._best_written}" if self._best_written else ""
        return f"{self.training.run.last} holds epoch {epoch}, step {step}{best}"

    def keep_traceback(self, error: Exception) -> None:
        """Writes the traceback of what nobody expected, and notes in the error where it is."""
        run = self.training.run
        run.write_text(layout.TRACEBACK, traceback_of(error))
        error.add_note(f"its traceback is in {run.path / layout.TRACEBACK}")

    def _header(self) -> Header:
        dataset, encoding = self.training.dataset, self.training.encoding
        return Header(
            kind="last",
            best_epoch=self.best.epoch,
            config=self._config,
            dataset=self.meta.dataset,
            machine=self.meta.machine,
            input_shape=dataset.input_shape,
            outputs=dataset.outputs,
            classes=dataset.classes,
            target_names=dataset.target_names,
            feature_names=dataset.feature_names,
            images=dataset.train_inputs.dtype == np.uint8,
            network=NetworkRecord.of(self.training.config),
            white=dataset.white,
            one_white=dataset.one_white or None,
            encoding=encoding.to_dict() if encoding is not None else None,
            temperature=self._temperature,
        )


def _new_meta(training: Training, threads: int, data_dir: Path, plugins: Mapping[str, str] | None) -> Meta:
    """What is to be said of this process's work on a run, which may have been worked on before."""
    before, splits, dataset = training.run.read_meta(), training.splits, training.dataset
    return Meta(
        name=training.run.name,
        status="running",
        command=machine.command_line(),
        commands_before=[*before.commands_before, before.command] if before.command else [],
        started=before.started or _now(),
        seed=training.config.seed,
        dataset=Data(
            name=dataset.name,
            origin=dataset.origin,
            digest=dataset.digest(),
            train=len(splits.train),
            validation=len(splits.validation) if splits.validation is not None else 0,
            test=len(splits.test) if splits.test is not None else 0,
        ),
        data_dir=str(data_dir.absolute()),
        parameters=training.trainer.network.parameters.size,
        machine=machine.describe(threads, training.trainer.communicator.size),
        plugins=plugins or before.plugins,
        started_from=training.started_from or before.started_from,
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
