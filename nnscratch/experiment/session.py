"""One process's work on one run: training, testing the best weights, drawing, and an honest end whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np

from nnscratch.config.advice import against_divergence
from nnscratch.errors import DivergenceError, Interrupted, ProcessKilled, UserError
from nnscratch.experiment.best_weights import put_back
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.experiment.questions import Questions
from nnscratch.experiment.recorder import Recorder
from nnscratch.host.display import Display
from nnscratch.host.interruption import TAKEN_OVER, StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.drawing import drawn_by, pictures_may_fail
from nnscratch.runs import layout
from nnscratch.runs.continuing import command_to_continue
from nnscratch.runs.meta import Status
from nnscratch.training.evaluation import Score
from nnscratch.training.metrics.regression import R2, MeanAbsoluteErrorMetric
from nnscratch.training.progress import StepResult


def draw(training: Training, test: Score | None, display: Display, outputs: Array | None = None) -> None:
    """Plots and report of a completed training, from its test score and, when they are at hand, the outputs of that."""
    run = training.run
    if training.trainer.progress.history:
        with pictures_may_fail(display, drawn_by(run.path)):
            from nnscratch.results.plot import draw_trained

            drawn = draw_trained(run, training.dataset, training.splits, test, outputs)
            display.say(f"plots in {run.plots}, report in {drawn.report}")


class Session:
    """Trains what the recorder's training is, and tells the observers, in their order."""

    def __init__(
        self,
        recorder: Recorder,
        workplace: Workplace,
        display: Display,
        observers: Sequence[Observer],
        stop: StopRequest | None = None,
        words_to_continue: Sequence[str] = (),
    ) -> None:
        """`words_to_continue` belong to the command that goes on with the training as it was."""
        self.recorder, self.training = recorder, recorder.training
        self.workplace, self.display = workplace, display
        self.observers, self.stop, self.words_to_continue = observers, stop, words_to_continue

    def train(self) -> TrainingSummary:
        """Trains to the end, tests the best weights once, draws the plots, and gives what came out."""
        summary: TrainingSummary | None = None
        try:
            if self.training.run.is_written:
                self.display.attach_log(self.training.run.place(layout.LOG))
            self.recorder.set_status("running")
            for observer in self.observers:
                observer.begin(self.training)
            with nullcontext(self.stop) if self.stop else StopRequest() as stop:
                if self._loop(stop):
                    raise self._interrupted(stop)
                summary = self._finish()
            return summary
        except DivergenceError as error:
            raise self._diverged(error) from None
        except KeyboardInterrupt:
            if self.recorder.meta.status == "completed":
                path = self.training.run.path
                raise Interrupted(f"{path} is trained and saved, but not drawn", drawn_by(path)) from None
            self._end("interrupted")
            raise Interrupted(f"stopped at once; {self.recorder.kept()}", self._how_to_continue()) from None
        except Interrupted:
            raise
        except UserError as error:
            self._end("failed", error.message)
            if isinstance(error, ProcessKilled):
                raise UserError(error.message, f"{error.hint}\n  {self._how_to_continue()}") from None
            raise
        except Exception as error:
            self._end("failed", f"{type(error).__name__}: {error}")
            self._as_far_as_possible(partial(self.recorder.keep_traceback, error))
            raise
        finally:
            for observer in self.observers:
                observer.end(self.recorder.meta.status, summary)
            self.display.close()

    def _loop(self, stop: StopRequest) -> bool:
        """Trains to the end, or until somebody asks to stop: whether that is why it ended."""
        questions = Questions(self.training.trainer.communicator, stop, self.recorder.minutes_are_over)
        if self.training.stops_early():  # a resumed run may have been due already
            return questions.now().stop
        splits = self.training.splits
        for result in self.training.trainer.run(splits.train, splits.validation, questions.asked):
            if isinstance(result, StepResult):
                for observer in self.observers:
                    observer.step(result)
            else:
                is_best = self.recorder.record(result)
                for observer in self.observers:
                    observer.epoch(result, is_best)
                if self.training.stops_early():
                    self.display.say(self._why_early())
                    return questions.now().stop
            answers = questions.after(result)
            if answers.stop:
                return True
            self.recorder.save_if_due(answers.save)
        return questions.now().stop

    def _why_early(self) -> str:
        monitor, stopping = self.training.monitor, self.training.config.training.early_stopping
        assert monitor is not None
        assert stopping is not None
        return f"stopped early: no better {monitor.value} for {stopping.patience} epochs"

    def _finish(self) -> TrainingSummary:
        """The best weights, the test split once, and the pictures."""
        recorder, trainer = self.recorder, self.training.trainer
        history = trainer.progress.history
        if recorder.best.theta is None:
            recorder.best.keep(trainer, trainer.progress.epoch)
        recorder.save()
        put_back(recorder, self.display)
        test, outputs = self._test()
        epoch = recorder.best.epoch
        summary = self.training.summary(history[epoch - 1] if epoch else {"epoch": 0}, test)
        summary = replace(summary, errors=self._errors(outputs))
        if test is not None:
            recorder.record_test(test, summary.errors)
        recorder.set_status("completed", summary=summary)
        for observer in self.observers:
            observer.complete(summary)
        if self.workplace.plots:
            draw(self.training, test, self.display, outputs)
        return summary

    def _test(self) -> tuple[Score | None, Array | None]:
        """The one look at the test split, if it is wanted: its score, and the outputs (N, K) for the pictures."""
        examples = self.training.splits.test
        if examples is None or not self.training.config.evaluation.test:
            return None, None
        outputs = np.empty((len(examples), self.training.dataset.outputs), np.float32)
        return self.training.trainer.score(examples, outputs), outputs

    def _errors(self, outputs: Array | None) -> dict[str, float]:
        """How far off a regression's outputs for the test split are, in the targets' own units."""
        examples = self.training.splits.test
        if outputs is None or examples is None or examples.targets.ndim == 1:
            return {}
        t, y = examples.targets[examples.rows], self.training.trainer.target_affine.undo(outputs)
        return {f"test_{metric.name}": metric(t, y) for metric in (MeanAbsoluteErrorMetric(), R2())}

    def _interrupted(self, stop: StopRequest) -> Interrupted:
        reason = stop.reason or "interrupted"
        if reason != TAKEN_OVER:  # another process writes there by now
            self.recorder.save()
            self.recorder.set_status(reason)
        progress, run = self.training.trainer.progress, self.training.run
        return Interrupted(
            f"{reason} after epoch {progress.epoch}, step {progress.step}; everything is saved in {run.path}",
            self._how_to_continue(),
        )

    def _diverged(self, error: DivergenceError) -> DivergenceError:
        """The error with what is left; last.npz stays as it was, the best weights so far are written."""
        self._as_far_as_possible(self.recorder.save_best)
        self._end("diverged", error.message)
        return DivergenceError(error.message, f"{against_divergence(self.training.config)}; {self.recorder.kept()}")

    def _how_to_continue(self) -> str:
        words = [*self.workplace.words_to_repeat(), *self.words_to_continue]
        return f"continue with: {command_to_continue(self.training.run, self.recorder.meta, words)}"

    def _end(self, status: Status, error: str | None = None) -> None:
        """Notes how it ended: the reason for ending must not be lost behind a disk that refuses."""
        if error is not None:
            self.display.note(f"{status}: {error}")
        self._as_far_as_possible(partial(self.recorder.set_status, status, error), said=error)

    def _as_far_as_possible(self, write: Callable[[], None], said: str | None = None) -> None:
        try:
            write()
        except UserError as another:
            if another.message != said:
                self.display.warn(another.message)
