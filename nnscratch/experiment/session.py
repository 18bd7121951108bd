"""One process's work on one run: training, recording, saving, testing, drawing."""

from __future__ import annotations

import shlex
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.config.assembly import (
    monitored_value,
)
from nnscratch.config.config import Config
from nnscratch.config.preparation import Prepared
from nnscratch.errors import DivergenceError, Interrupted, UserError
from nnscratch.experiment.mirrors.wandb import open_mirrors
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.interruption import TAKEN_OVER, StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import count, duration, metric_value
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.kept_plugins import keep_plugins
from nnscratch.runs.training_state import Best, best_checkpoint, last_checkpoint
from nnscratch.training.diagnosis.setting import watch as diagnosis_watch
from nnscratch.training.evaluation import Score
from nnscratch.training.progress import EarlyStopping, EpochResult, Monitor, Progress, StepResult
from nnscratch.training.trainer import Trainer


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
    failure = None

    def to_text(self) -> str:
        """Nothing more: a training says its figures as it has them, to its log too."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "run": str(self.run),
            "epochs": self.epochs,
            "best": dict(self.best),
            "test_loss": self.test.loss if self.test else None,
            "test_accuracy": self.test.accuracy if self.test else None,
            "parameters": self.parameters,
            "train_seconds": self.train_seconds,
            "train_samples": self.train_samples,
        }


@dataclass
class CheckpointClock:
    """Says when the next checkpoint is due."""

    config: Config
    updates: int = 0
    epoch: int = 0
    time: float = field(default_factory=time.monotonic)

    def is_due(self, progress: Progress) -> bool:
        every = self.config.training.checkpoint_every
        return bool(
            (every.steps and progress.updates - self.updates >= every.steps)
            or (every.epochs and progress.epoch - self.epoch >= every.epochs)
            or (every.minutes and time.monotonic() - self.time >= 60 * every.minutes)
        )

    def restart(self, progress: Progress) -> None:
        self.updates, self.epoch, self.time = progress.updates, progress.epoch, time.monotonic()


class Session:
    """One process's work on one run."""

    def __init__(
        self,
        run: RunDirectory,
        prepared: Prepared,
        trainer: Trainer,
        workplace: Workplace,
        threads: int,
        display: Display,
    ) -> None:
        self.run, self.trainer, self.workplace, self.display = run, trainer, workplace, display
        self.config, self.dataset, self.splits = prepared.config, prepared.dataset, prepared.splits
        self.network = trainer.network
        monitored = monitored_value(self.config, self.dataset)
        self.monitor = Monitor(monitored) if monitored is not None else None
        stopping = self.config.training.early_stopping
        self.stopping = EarlyStopping(stopping.patience, stopping.minimum_change) if stopping else None
        self.best = Best()
        self.best_written = 0
        """The epoch of best.npz, as far as this process has written it."""
        self.clock = CheckpointClock(self.config)
        self.meta = self._new_meta(threads)
        self.mirrors = [*open_mirrors(self.config, workplace.wandb, display), *workplace.mirrors]

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.splits.train) // self.config.training.batch_size)

    def begin(self) -> None:
        """Writes what a resume needs, before the first step."""
        self.config, digests = keep_plugins(self.run, self.config)
        if digests:
            self.meta["plugins"] = digests
        self._set_status("running")
        self.run.write_text("config.yaml", self.config.to_yaml())
        self._save()

    def finished(self) -> TrainingSummary | None:
        """What the run said when it was trained and tested to its end; None when there is something left to do."""
        meta, done = self.run.read_meta(), self.trainer.progress.epoch
        result = meta.get("result")
        is_over = done >= self.config.training.epochs or self._should_stop_early()
        if meta.get("status") != "completed" or not isinstance(result, dict) or not is_over:
            return None
        if result.get("epochs") != done or not isinstance(result.get("best"), dict):
            return None
        for mirror in self.workplace.mirrors:
            mirror.start(self.run, self.config, self.splits)
            mirror.finish("completed")
        loss, examples = result.get("test_loss"), self.splits.test
        tested = Score(loss, result.get("test_accuracy"), len(examples)) if loss is not None and examples else None
        if done == self.config.training.epochs:
            told = f"already has its {done} epochs; --epochs N trains more"
        else:
            told = (
                f"stopped early after {done} epochs; a larger training.early_stopping in {self.run.config} trains more"
            )
        self.display.result(f"{self.run.path} {told}")
        return self._summary(result["best"], tested)

    def train(self) -> TrainingSummary:
        """Trains to the end, tests the best weights once, draws the plots, and says what came out."""
        display = self.display
        display.attach_log(self.run.log)
        try:
            self._set_status("running")
            self._announce()
            for mirror in self.mirrors:
                mirror.start(self.run, self.config, self.splits)
            with nullcontext(self.workplace.stop) if self.workplace.stop else StopRequest() as stop:
                self._loop(stop)
                if stop.wanted:
                    raise self._interrupted(stop.reason)
                return self._finish()
        except DivergenceError as error:
            raise self._diverged(error) from None
        except KeyboardInterrupt:
            self._end("interrupted")
            raise Interrupted(f"stopped at once; {self._kept()}", self._how_to_continue()) from None
        except Interrupted:
            raise
        except UserError as error:
            self._end("failed", error.message)
            raise
        except Exception as error:
            self._end("failed", f"{type(error).__name__}: {error}")
            self._keep_traceback(error)
            raise
        finally:
            for mirror in self.mirrors:
                mirror.finish(str(self.meta["status"]))
            display.close()

    def _loop(self, stop: StopRequest) -> None:
        trainer, display, epochs = self.trainer, self.display, self.config.training.epochs
        steps = self.steps_per_epoch
        display.start_progress(epochs, steps, trainer.progress.epoch * steps + trainer.progress.step)
        if self._should_stop_early():  # a resumed run may have been due already
            return
        watch = diagnosis_watch(self.config.loss.build(), trainer, self.splits.train, display.warn)
        for result in trainer.run(self.splits.train, self.splits.validation):
            if isinstance(result, StepResult):
                display.show_step(result, epochs)
                if trainer.progress.updates == 1:
                    watch.first_loss(result.loss)
            else:
                self._record(result)
                for mirror in self.mirrors:
                    mirror.log(result)
                watch.epochs(trainer.progress.history)
                if self._should_stop_early():
                    display.say(f"stopped early: no better {self._monitored()} for {self._patience()} epochs")
                    break
            if stop.wanted:
                break
            if self.clock.is_due(trainer.progress):
                self._save()
        display.end_progress()

    def _record(self, result: EpochResult) -> None:
        self.trainer.require_finite()
        history = self.trainer.progress.history
        is_best = self.monitor is None or self.monitor.best_epoch(history) == result.epoch
        if is_best:
            self.best.keep(self.trainer, result.epoch)
        self.run.record({"record": "epoch", **result.values})
        self.run.write_metrics_table(history)
        self.display.show_epoch(result, self.config.training.epochs, is_best and self.monitor is not None)

    def _should_stop_early(self) -> bool:
        return (
            self.stopping is not None
            and self.monitor is not None
            and self.stopping.is_due(self.monitor, self.trainer.progress.history)
        )

    def _monitored(self) -> str:
        return self.monitor.value if self.monitor is not None else "loss"

    def _patience(self) -> int:
        return self.stopping.patience if self.stopping is not None else 0

    def _save(self) -> None:
        """last.npz, with everything a resume needs, then best.npz, with what evaluating needs, when it is new."""
        progress = self.trainer.progress
        last_checkpoint(self.trainer, self.best, self._header()).save(self.run.last)
        self.run.keep_copy_of_last(progress.updates, self.config.training.keep_last)
        self.clock.restart(progress)
        self._save_best()

    def _save_best(self) -> None:
        checkpoint = best_checkpoint(self.trainer, self.best, self._header())
        if checkpoint is not None and not (self.best_written == self.best.epoch > 0):
            checkpoint.save(self.run.best)
            self.best_written = self.best.epoch

    def _header(self) -> dict[str, Any]:
        dataset = self.dataset
        return {
            "config": self.config.to_yaml(),
            "dataset": self.meta["dataset"],
            "machine": self.meta["machine"],
            "input_shape": list(dataset.input_shape),
            "outputs": dataset.outputs,
            "classes": list(dataset.classes) if dataset.classes is not None else None,
            "target_names": list(dataset.target_names) if dataset.target_names is not None else None,
            "feature_names": list(dataset.feature_names) if dataset.feature_names is not None else None,
            "images": dataset.train_inputs.dtype == np.uint8,
        }

    def _interrupted(self, reason: str) -> Interrupted:
        if reason != TAKEN_OVER:  # another process writes there by now
            self._save()
            self._set_status(reason)
        progress = self.trainer.progress
        return Interrupted(
            f"{reason} after epoch {progress.epoch}, step {progress.step}; everything is saved in {self.run.path}",
            self._how_to_continue(),
        )

    def _diverged(self, error: DivergenceError) -> DivergenceError:
        """The error with what is left; last.npz stays as it was, the best weights so far are written."""
        try:
            self._save_best()
        except UserError as another:
            self.display.warn(another.message)
        self._end("diverged", error.message)
        return DivergenceError(error.message, f"{error.hint}; {self._kept()}")

    def _kept(self) -> str:
        epoch, step = divmod(self.clock.updates, self.steps_per_epoch)
        best = f", best.npz epoch {self.best_written}" if self.best_written else ""
        return f"{self.run.last} holds epoch {epoch}, step {step}{best}"

    def _how_to_continue(self) -> str:
        words = ["nnscratch", "train", "--resume", str(self.run.path), *self.workplace.words_to_repeat()]
        words += ["--allow-plugins"] if self.config.plugins else []
        return f"continue with: {shlex.join(words)}"

    def _end(self, status: str, error: str | None = None) -> None:
        """Notes how it ended, as far as the disk lets it: the reason for ending must not be lost behind another."""
        if error is not None:
            self.display.note(f"{status}: {error}")
        try:
            self._set_status(status, **({} if error is None else {"error": error}))
        except UserError as another:
            self.display.warn(another.message)

    def _keep_traceback(self, error: Exception) -> None:
        """Writes the traceback of what nobody expected into the run, and notes in the error where it is."""
        try:
            self.run.write_text("logs/traceback.txt", "".join(traceback.format_exception(error)))
        except UserError as another:
            self.display.warn(another.message)
        else:
            error.add_note(f"its traceback is in {self.run.path / 'logs' / 'traceback.txt'}")

    def _finish(self) -> TrainingSummary:
        """The best weights, the test split once, and the pictures."""
        trainer, progress, parameters = self.trainer, self.trainer.progress, self.network.parameters
        if self.best.theta is None:
            self.best.keep(trainer, progress.epoch)
        self._save()
        assert self.best.theta is not None
        assert self.best.state is not None
        np.copyto(parameters.theta, self.best.theta)
        np.copyto(parameters.state, self.best.state)
        trainer.average = None  # the best weights are averaged already
        test, outputs = self._test()
        summary = self._summary(progress.history[self.best.epoch - 1] if self.best.epoch else {"epoch": 0}, test)
        if test is not None:
            values = {"test_loss": test.loss} | ({} if test.accuracy is None else {"test_accuracy": test.accuracy})
            self.run.record({"record": "test", "epoch": self.best.epoch, **values})
        self._set_status("completed", result=summary.to_dict())
        if self.workplace.plots and progress.history:
            self._draw(test, outputs)
        self._conclude(summary)
        return summary

    def _summary(self, best: Mapping[str, float], test: Score | None) -> TrainingSummary:
        progress = self.trainer.progress
        return TrainingSummary(
            run=self.run.path,
            epochs=progress.epoch,
            best=best,
            test=test,
            parameters=self.network.parameters.size,
            train_seconds=sum(row["train_seconds"] for row in progress.history),
            train_samples=len(self.splits.train) * progress.epoch,
        )

    def _test(self) -> tuple[Score | None, Array | None]:
        """The one look at the test split, if it is wanted: its score, and the outputs (N, K) for the pictures."""
        examples = self.splits.test
        if examples is None or not self.config.evaluation.test:
            return None, None
        outputs = np.empty((len(examples), self.dataset.outputs), np.float32)
        return self.trainer.score(examples, outputs), outputs

    def _draw(self, test: Score | None, outputs: Array | None) -> None:
        """Plots and report. The training is done and saved: a full disk here is a warning."""
        from nnscratch.results.plot import draw_trained

        try:
            drawn = draw_trained(self.run, self.dataset, self.splits, test, outputs)
        except (UserError, OSError) as error:
            self.display.warn(f"plots or report are missing: {error}; `nnscratch plot {self.run.path}` draws them")
        else:
            self.display.say(f"plots in {self.run.plots}, report in {drawn.report}")

    def _announce(self) -> None:
        dataset, splits, progress = self.dataset, self.splits, self.trainer.progress
        sizes = [f"{count(len(splits.train))} training"]
        sizes += [f"{count(len(splits.validation))} validation"] if splits.validation is not None else []
        sizes += [f"{count(len(splits.test))} test examples"] if splits.test is not None else ["no test examples"]
        sizes[-1] += "" if self.config.evaluation.test else " (not looked at)"
        self.display.say(f"{dataset.name} ({dataset.origin}): {', '.join(sizes)}")
        self.display.say(f"{count(self.network.parameters.size)} parameters; run in {self.run.path}")
        if progress.updates:
            self.display.say(f"resumed after epoch {progress.epoch}, step {progress.step}")

    def _conclude(self, summary: TrainingSummary) -> None:
        best = summary.best
        if self.monitor is not None and self.monitor.value in best:
            value = metric_value(self.monitor.value, best[self.monitor.value])
            self.display.result(f"best epoch {int(best['epoch'])}: {self.monitor.value} {value}")
        if summary.test is not None:
            accuracy = summary.test.accuracy
            shown = f"test_loss {metric_value('test_loss', summary.test.loss)}"
            shown = shown if accuracy is None else f"test_accuracy {metric_value('test_accuracy', accuracy)}  {shown}"
            self.display.result(shown)
        self.display.say(f"trained {duration(summary.train_seconds)}; results in {self.run.path}")

    def _new_meta(self, threads: int) -> dict[str, Any]:
        before = self.run.read_meta()
        commands = before.get("commands_before")
        return {
            "name": self.run.name,
            "status": "running",
            "command": machine.command_line(),
            "commands_before": (
                [*(commands if isinstance(commands, list) else []), before["command"]] if "command" in before else []
            ),
            "started": before.get("started") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seed": self.config.seed,
            "dataset": {
                "name": self.dataset.name,
                "origin": self.dataset.origin,
                "digest": self.dataset.digest(),
                "train": len(self.splits.train),
                "validation": len(self.splits.validation) if self.splits.validation is not None else 0,
                "test": len(self.splits.test) if self.splits.test is not None else 0,
            },
            "parameters": self.network.parameters.size,
            "machine": machine.describe(threads),
            **({"plugins": before["plugins"]} if "plugins" in before else {}),
        }

    def _set_status(self, status: str, **more: Any) -> None:
        history = self.trainer.progress.history
        self.meta |= {
            "status": status,
            "updated": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "epochs": self.trainer.progress.epoch,
            "train_seconds": sum(row["train_seconds"] for row in history),
            **more,
        }
        self.run.write_meta(self.meta)
