"""What a sweep shows while it runs: a live table in a terminal, a line per finished trial anywhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from nnscratch.errors import UserError
from nnscratch.host.display import Display
from nnscratch.report.formats import decimal, metric_value, setting, shorten
from nnscratch.report.tables import Column, Table, rich_table
from nnscratch.sweeps.study import FINISHED, Study, Trial
from nnscratch.sweeps.trouble import is_storage_trouble

if TYPE_CHECKING:
    from rich.live import Live

INTERVAL = 1.0


class Board:
    """While it is entered, a thread looks at the study, whoever works on it, and shows what has changed."""

    def __init__(self, study: Study, display: Display, also: Callable[[list[Trial]], None] | None = None) -> None:
        """`also` is told of the trials at every look."""
        self._study, self._display, self._also = study, display, also
        self._told: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="board")
        self._live: Live | None = None

    def __enter__(self) -> Board:
        self._told = {trial.number for trial in self._study.trials() if trial.status in FINISHED}
        if self._display.live:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=self._display.json)  # the display's own stream
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        if self._live is not None:
            self._live.stop()

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        try:
            trials = self._study.trials()
        except UserError:
            return  # a damaged journal: who works on it says so
        except Exception as error:
            if is_storage_trouble(error):
                return
            raise
        for trial in trials:
            if trial.status in FINISHED and trial.number not in self._told:
                self._told.add(trial.number)
                if self._live is None:
                    self._display.say(finished_line(trial, self._study))
        if self._also is not None:
            self._also(trials)
        if self._live is not None:
            self._live.update(rich_table(live_table(trials, self._study)), refresh=True)


def finished_line(trial: Trial, study: Study) -> str:
    """What became of a trial: `trial 3 of 10  completed  val_accuracy 51.96 %  optimizer.name adam ...`."""
    metric = study.definition.metric.name
    width = len(str(study.total - 1))
    parts = [f"trial {trial.number:>{width}} of {study.total}", trial.status]
    if trial.value is not None:
        parts.append(f"{metric} {metric_value(metric, trial.value)}")
    parts += [f"{path} {_short(trial, path)}" for path in study.definition.varied if path in trial.parameters]
    return "  ".join(parts) + (f"  ({trial.note})" if trial.note else "")


def live_table(trials: list[Trial], study: Study) -> Table:
    """Every trial with how far it is, and what varies between them."""
    metric, paths = study.definition.metric, study.definition.varied
    best = best_trial(trials, study)
    has_notes = any(trial.note for trial in trials)
    rows = []
    for trial in trials:
        value = trial.value if trial.value is not None else metric.best(trial.curve.values())
        status = "best" if best is not None and trial.number == best.number else trial.status
        cells = [str(trial.number), status, metric_value(metric.name, value), epochs_of(trial)]
        cells += [_short(trial, path) for path in paths]
        rows.append((*cells, *([shorten(trial.note, 30)] if has_notes else [])))
    columns = [Column("trial", True), Column("status"), Column(metric.name, True), Column("epoch", True)]
    for path in paths:
        numbers = all(isinstance(trial.parameters.get(path, 0), int | float) for trial in trials)
        columns.append(Column(path.removesuffix(".name").rpartition(".")[2], numbers))
    columns += [Column("note")] if has_notes else []
    done = sum(trial.status in FINISHED for trial in trials)
    title = f"{study.definition.name}: {done} of {study.total} trials"
    return Table(tuple(columns), tuple(rows), title)


def epochs_of(trial: Trial) -> str:
    """`5/50`: the epochs that it has, and those that it is to have once that is known."""
    done = max(trial.curve, default=0)
    return f"{done}/{trial.epochs}" if trial.epochs is not None else str(done)


def _short(trial: Trial, path: str) -> str:
    if path not in trial.parameters:
        return "-"  # what it chose has no such field
    value = trial.parameters[path]
    return decimal(value, 3) if isinstance(value, float) else shorten(setting(value), 30)


def best_trial(trials: list[Trial], study: Study) -> Trial | None:
    """The completed trial with the best value, the earliest of equals."""
    metric = study.definition.metric
    best: Trial | None = None
    for trial in trials:
        if trial.status == "completed" and trial.value is not None:
            better = best is None or best.value is None or metric.is_better(trial.value, best.value)
            best = trial if better else best
    return best
