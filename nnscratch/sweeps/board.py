"""What a sweep shows while it runs: a live table in a terminal, a line per finished trial anywhere else."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from nnscratch.errors import UserError
from nnscratch.host.display import Display
from nnscratch.host.fitting import fitted
from nnscratch.host.repeating import repeated
from nnscratch.report.formats import decimal, metric_value, printable, setting, shorten
from nnscratch.report.tables import Column, Table, plain_table
from nnscratch.sweeps.study import FINISHED, Study, Trial
from nnscratch.sweeps.trouble import is_storage_trouble

if TYPE_CHECKING:
    from rich.live import Live

INTERVAL = 1.0


class Board:
    """Looks at the study, whoever works on it, and shows what has changed since."""

    def __init__(self, study: Study, display: Display, also: Callable[[list[Trial]], None] | None = None) -> None:
        """`also` is told of the trials at every look."""
        self._study, self._display, self._also = study, display, also
        self._told = {trial.number for trial in study.trials() if trial.status in FINISHED}
        self._live: Live | None = None
        if display.live:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=display.json)  # the display's own stream
            self._live = Live(console=console, auto_refresh=False, transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside, a thread looks at it; a last look is taken at the end."""
        with self._live or nullcontext():
            try:
                with repeated(self._look, INTERVAL, "board"):
                    yield
            finally:
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
            from rich.text import Text

            width, height = self._live.console.size
            self._live.update(Text(live_text(trials, self._study, width, height - 1)), refresh=True)


def finished_line(trial: Trial, study: Study) -> str:
    """What became of a trial: `trial 3 of 10  completed  val_accuracy 51.96 %  optimizer.name adam ...`."""
    metric = study.definition.metric.name
    width = len(str(study.total - 1))
    parts = [f"trial {trial.number:>{width}} of {study.total}", trial.status]
    if trial.value is not None:
        parts.append(f"{metric} {metric_value(metric, trial.value)}")
    parts += [f"{path} {_short(trial, path)}" for path in study.varied if path in trial.parameters]
    return "  ".join(parts) + (f"  ({trial.note})" if trial.note else "")


def live_text(trials: list[Trial], study: Study, width: int, height: int) -> str:
    """How far the sweep is, and a table with the best trial, those that run, and the latest others that have room."""
    best, done = best_trial(trials, study), [trial for trial in trials if trial.status in FINISHED]
    others = [trial.number for trial in done if trial is not best]

    def text(left_out: int) -> str:
        shown = [trial for trial in trials if trial.number not in others[:left_out]]
        title = f"{printable(study.definition.name)}: {len(done)} of {study.total} trials"
        title += f" ({left_out} of them not shown)" if left_out else ""
        notes = [f"trial {trial.number}: {trial.note}" for trial in shown if trial.note and not trial.collapsed]
        table = fitted(plain_table(live_table(shown, study)), width).rstrip("\n")
        return "\n".join([fitted(title, width), table, *(shorten(printable(note), width) for note in notes)])

    def has_room(left_out: int) -> bool:
        return text(left_out).count("\n") < height

    return text(bisect_left(range(len(others)), True, key=has_room))


def live_table(trials: list[Trial], study: Study) -> Table:
    """Every trial with how far it is, and what varies between them."""
    metric, paths = study.definition.metric, study.varied
    best = best_trial(trials, study)
    rows = []
    for trial in trials:
        value = trial.value if trial.value is not None else metric.best(trial.curve.values())
        status = "best" if trial is best else "collapsed" if trial.collapsed else trial.status
        cells = [str(trial.number), status, metric_value(metric.name, value), epochs_of(trial)]
        rows.append((*cells, *(_short(trial, path) for path in paths)))
    columns = [Column("trial", True), Column("status"), Column(_words(metric.name), True), Column("epoch", True)]
    for path in paths:
        numbers = all(isinstance(trial.parameters.get(path, 0), int | float) for trial in trials)
        columns.append(Column(_words(path.removesuffix(".name").rpartition(".")[2]), numbers))
    return Table(tuple(columns), tuple(rows))


def _words(name: str) -> str:
    """A heading that a narrow table breaks between its words."""
    return name.replace("_", " ")


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
