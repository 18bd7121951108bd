"""What a person sees of a training: what is trained, the moving bar, a line per epoch, what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.host.display import Display
from nnscratch.report.formats import count, duration, metric_value, percent
from nnscratch.results.data_text import report_text
from nnscratch.runs.meta import Status
from nnscratch.training.metrics.intervals import of_share
from nnscratch.training.progress import EpochResult, Monitor, StepResult

IN_METRICS = {"training": "train", "validation": "val"}
"""What the splits of a data report are called in metrics."""
SHOWN = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


class Terminal(Observer):
    """Says to a display, and so to the run's log, how a training goes."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._epochs = 0
        self._monitor: Monitor | None = None
        self._majorities: Mapping[str, float] = {}
        """What always saying the largest class would give, to be said beside every accuracy of uneven classes."""

    def begin(self, training: Training) -> None:
        self._epochs, self._monitor = training.config.training.epochs, training.monitor
        dataset, splits, progress = training.dataset, training.splits, training.trainer.progress
        shares = training.data_report.majorities
        self._majorities = {IN_METRICS.get(split, split): share for split, share in shares.items()}
        if not progress.updates:
            self._tell_report(training)
        sizes = [f"{count(len(splits.train))} training"]
        sizes += [f"{count(len(splits.validation))} validation"] if splits.validation is not None else []
        sizes += [f"{count(len(splits.test))} test examples"] if splits.test is not None else ["no test examples"]
        sizes[-1] += "" if training.config.evaluation.test else " (not looked at)"
        say, steps = self._display.say, training.steps_per_epoch
        say(f"{dataset.name} ({dataset.origin}): {', '.join(sizes)}")
        fold = training.config.data.fold
        if fold is not None:
            say(f"the test examples are fold {fold.number} of {fold.of} of the training data; its test split is unused")
        say(f"{count(training.trainer.network.parameters.size)} parameters; run in {training.run.path}")
        if progress.updates:
            say(f"resumed after epoch {progress.epoch}, step {progress.step}")
        self._display.start_progress("training", self._epochs * steps, progress.epoch * steps + progress.step)

    def _tell_report(self, training: Training) -> None:
        """All of it for one's own data, in which things are guessed; the datasets that come with us are known."""
        if training.config.data.path is None:
            return
        report = training.data_report
        self._display.say(report_text(report))
        for warning in report.warnings:
            self._display.warn(warning)

    def step(self, result: StepResult) -> None:
        if self._display.live:
            done = (result.epoch - 1) * result.steps_per_epoch + result.step
            self._display.show_progress(f"epoch {result.epoch}/{self._epochs}  loss {result.loss:.3f}", done)

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        monitored = () if self._monitor is None or self._monitor.value in SHOWN else (self._monitor.value,)
        self._display.say(epoch_line(result, self._epochs, is_best, monitored, self._majorities))

    def complete(self, summary: TrainingSummary) -> None:
        self._display.end_progress()
        best, test = summary.best, summary.test
        if not summary.epochs:
            self._display.result("0 epochs: nothing was trained, the figures are of the weights it began with")
        if self._monitor is not None and self._monitor.value in best:
            value = with_majority(self._monitor.value, best[self._monitor.value], self._majorities)
            self._display.result(f"best epoch {int(best['epoch'])}: {self._monitor.value} {value}")
        if test is not None:
            shown = f"test_loss {metric_value('test_loss', test.loss)}"
            if test.accuracy is not None:
                low, high = of_share(round(test.accuracy * test.examples), test.examples)
                accuracy = with_majority("test_accuracy", test.accuracy, self._majorities)
                shown = f"test_accuracy {accuracy}, 95 % interval {100 * low:.2f} to {percent(high)}  {shown}"
            errors = [f"{name} {metric_value(name, value)}" for name, value in summary.errors.items()]
            self._display.result("  ".join([*errors, shown]))
        self._display.say(f"trained {duration(summary.train_seconds)}; results in {summary.run}")

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        self._display.end_progress()


def with_majority(metric: str, value: float, majorities: Mapping[str, float]) -> str:
    """`94.20 %`, and where classes are very uneven `94.20 % (majority 91.0 %)`, of that split."""
    shown, (split, _, what) = metric_value(metric, value), metric.partition("_")
    return (
        f"{shown} (majority {percent(majorities[split], 1)})" if what == "accuracy" and split in majorities else shown
    )


def epoch_line(
    result: EpochResult,
    epochs: int,
    is_best: bool,
    also: Sequence[str] = (),
    majorities: Mapping[str, float] = MappingProxyType({}),
) -> str:
    """`epoch  3/50  train_loss 1.4321  ...  1.9 s  best`."""
    width = len(str(epochs))
    parts = [f"epoch {result.epoch:>{width}}/{epochs}"]
    shown = [name for name in (*SHOWN, *also) if name in result.values]
    parts += [f"{name} {with_majority(name, result.values[name], majorities)}" for name in shown]
    parts.append(duration(result.values["train_seconds"] + result.values.get("val_seconds", 0.0)))
    return "  ".join(parts) + ("  best" if is_best else "")
