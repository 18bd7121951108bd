"""One trial: an ordinary training in a run of its own, whose epochs are reported and whose lease is kept alive."""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from nnscratch.config.assembly import Splits
from nnscratch.config.config import Config, differences, load_config
from nnscratch.config.overrides import override
from nnscratch.config.plugins import plugin_digests
from nnscratch.errors import DivergenceError, Interrupted, UserError
from nnscratch.experiment.observer import Observer, Training
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.interruption import TAKEN_OVER, Reason, StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.report.files import write_atomically
from nnscratch.runs.directory import RunDirectory
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.sampling import trial_seed
from nnscratch.sweeps.study import LeaseLostError, Study, Trial
from nnscratch.training.progress import EpochResult

Result = TypeVar("Result")

RETRY_SECONDS = 600.0
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


class TrialDisplay(Display):
    """Says everything to the run's log alone: the terminal belongs to the sweep."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def warn(self, text: str) -> None:
        self.note(f"warning: {text}")

    def result(self, text: str) -> None:
        self.note(text)


class Heartbeat:
    """While it is entered, a thread keeps the trial's lease alive; a lease that is lost stops the trial."""

    def __init__(self, study: Study, number: int, stop: StopRequest) -> None:
        self._study, self._number, self._stop = study, number, stop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name=f"heartbeat of trial {number}")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._study.lease_seconds / 4):
            try:
                self._study.beat(self._number)
            except LeaseLostError:
                self._stop.ask(TAKEN_OVER)
                return
            except Exception as error:
                if not is_storage_trouble(error):
                    raise


class TrialObserver(Observer):
    """Tells the study of every epoch, and the training when Hyperband wants it to end."""

    def __init__(self, study: Study, trial: Trial, stop: StopRequest) -> None:
        self._study, self._number, self._stop = study, trial.number, stop
        self._epochs = 0
        self.run: RunDirectory | None = None
        self.chance: float | None = None
        """The largest accuracy that tells nothing; None when nothing is classified."""

    def begin(self, training: Training) -> None:
        self.run, self._epochs = training.run, training.config.training.epochs
        self.chance = chance_level(training.splits)
        with suppress(LeaseLostError):
            patiently(lambda: self._study.set_run(self._number, training.run.path), self._stop)

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        value = result.values.get(self._study.definition.metric.name)
        if value is None:
            return
        try:
            band = self._study.report(self._number, result.epoch, value)
        except LeaseLostError:
            self._stop.ask(TAKEN_OVER)
        except Exception as error:
            if not is_storage_trouble(error):
                raise
        else:
            if band is not None and result.epoch < self._epochs:
                self._stop.ask("pruned")


def run_trial(
    study: Study, trial: Trial, folder: Path, workplace: Workplace, wandb: str | None, sweep_stop: StopRequest
) -> None:
    """Trains a claimed trial, or goes on with it, and records what came of it."""
    stop = TrialStop(sweep_stop)
    observer = TrialObserver(study, trial, stop)
    status, note = "completed", ""
    with Heartbeat(study, trial.number, stop):
        try:
            _train(study, trial, replace(workplace, runs_dir=folder / "trials"), wandb, observer, stop)
        except DivergenceError as error:
            status, note = "diverged", error.message
        except Interrupted:
            status = stop.reason or "interrupted"
        except KeyboardInterrupt:
            sweep_stop.ask("interrupted")
            status = "interrupted"
        except UserError as error:
            status, note = "failed", error.message
        except Exception as error:  # one trial's failure is a row, not the end of the sweep
            where = folder / "trials" / f"trial-{trial.number:04d}-error.txt"
            write_atomically(where, "".join(traceback.format_exception(error)).encode())
            status, note = "failed", f"{type(error).__name__}: {error} (see {where.name})"
    if status == TAKEN_OVER:
        return
    history = observer.run.read_history() if observer.run is not None else []
    metric = study.definition.metric
    value = metric.best(row.get(metric.name, math.nan) for row in history)
    if status == "completed" and value is None:
        status, note = "failed", f"it has no {metric.name} (no validation data, or no epochs?)"
    collapsed = status == "completed" and _collapsed(history, observer.chance)
    if collapsed:
        note = "collapsed to chance level"
    note = note.splitlines()[0][:300] if note else ""
    with suppress(LeaseLostError):
        patiently(lambda: study.finish(trial.number, status, value, note, collapsed), sweep_stop)


def trial_changes(definition: SweepDefinition, trial: Trial, seed: int) -> tuple[str, ...]:
    """The overrides that make the base config the trial's; equal on every machine."""
    own_seed = trial_seed(seed, trial.number, "training")
    changes = [] if "seed" in trial.parameters else [f"seed={own_seed}"]
    return (*changes, *(override(path, value) for path, value in trial.parameters.items()))


def trial_config(definition: SweepDefinition, trial: Trial, seed: int) -> Config:
    """The config of a trial. Raises ConfigError when its values do not go together."""
    changes = [*trial_changes(definition, trial, seed), f"name=trial-{trial.number:04d}"]
    base = definition.command.load()
    if base.wandb.group is None:
        changes.append(override("wandb.group", definition.name))
    for field, value in (("project", definition.project), ("entity", definition.entity)):
        if value is not None and getattr(base.wandb, field) is None:
            changes.append(override(f"wandb.{field}", value))
    return definition.command.load(tuple(changes))


def _train(
    study: Study, trial: Trial, workplace: Workplace, wandb: str | None, observer: Observer, stop: StopRequest
) -> None:
    config = trial_config(study.definition, trial, study.seed)
    display = TrialDisplay()
    expected = workplace.runs_dir / config.name
    if expected.is_dir() and not RunDirectory(expected).config.exists():
        RunDirectory(expected).discard()  # killed before there was anything in it
    for path in dict.fromkeys([Path(trial.run) if trial.run else expected, expected]):
        if _is_run_of(path, config, study.definition.command.config.parent):
            resume(path, None, workplace, display, wandb=wandb, observers=[observer], stop=stop)
            return
    train(config, workplace, display, wandb=wandb, observers=[observer], stop=stop)


def _is_run_of(path: Path, config: Config, folder: Path) -> bool:
    """True for this trial's run, unless a process still trains it that has lost the trial.

    `folder` is where the config's plugins are; the run's are copies in the run.
    """
    try:
        kept = load_config(RunDirectory(path).config)
        same_plugins = plugin_digests(kept.plugins, path) == plugin_digests(config.plugins, folder)
    except UserError:
        return False
    ignored = ("name", "wandb.", "plugins")
    same = all(where.startswith(ignored) for where in differences(kept, config))
    return same and same_plugins and not RunDirectory(path).is_being_trained()


def chance_level(splits: Splits) -> float | None:
    """The accuracy of always guessing the largest class, with a margin for luck; None for regression."""
    examples = splits.validation if splits.validation is not None else splits.train
    targets = examples.targets[examples.rows]
    if targets.ndim != 1:
        return None
    p = float(np.bincount(targets).max() / len(targets))
    return p + min(3.0 * math.sqrt(p * (1.0 - p) / len(targets)), CHANCE_MARGIN)


def _collapsed(history: list[dict[str, float]], chance: float | None) -> bool:
    """True when the last epoch tells no class from another."""
    if not history or chance is None:
        return False
    accuracy = history[-1].get("val_accuracy", history[-1].get("train_accuracy"))
    return accuracy is not None and accuracy <= chance


def is_storage_trouble(error: Exception) -> bool:
    """True for a database or a file system that does not answer: it may again."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, StorageInternalError | SQLAlchemyError | OSError)


def patiently(work: Callable[[], Result], stop: StopRequest) -> Result:
    """The result of `work`, tried again while the storage is away; raises UserError when it stays away."""
    deadline = time.monotonic() + RETRY_SECONDS
    pause = 0.5
    while True:
        try:
            return work()
        except Exception as error:
            if not is_storage_trouble(error):
                raise
            if time.monotonic() > deadline or stop.wanted:
                reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
                raise UserError(
                    f"the sweep's storage does not answer: {reason}", "start the sweep again when it does"
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, 15.0)
