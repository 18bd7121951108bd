"""sweep.html, kept while a sweep runs: made again when its trials get on, and when it is over once more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from nnscratch.files import write_atomically
from nnscratch.host.display import Display
from nnscratch.report.elements import Headline, Live
from nnscratch.report.formats import metric_value
from nnscratch.report.sweep_drawings import Dot
from nnscratch.report.sweep_page import SweepContents, render_sweep
from nnscratch.report.tables import leaderboard
from nnscratch.report.values import TrialSummary
from nnscratch.sweeps.board import best_trial, epochs_of
from nnscratch.sweeps.importance import importances, rated
from nnscratch.sweeps.outcome import SweepSummary, chosen
from nnscratch.sweeps.study import FINISHED, Study, Trial

REFRESH = 5
"""Seconds after which a browser loads the page again."""
SHORTEST, LONGEST, REST = 1.0, 10.0, 100.0
"""Seconds from one page to the next; how many times as long as a page took of the processor is rested after it."""
PAGE = "sweep.html"


class SweepPage:
    """The page of a sweep. One that cannot be made is one warning: no trial waits for it."""

    def __init__(self, study: Study, folder: Path, display: Display) -> None:
        self._study, self._path, self._display = study, folder / PAGE, display
        self._trials: list[Trial] = []
        self._shares: tuple[int, dict[str, float]] = (0, {})
        self._due = 0.0
        self._has_failed = False

    def show(self, trials: list[Trial]) -> None:
        """Writes the page of these trials, when it is time."""
        now = time.monotonic()
        is_new, self._trials = trials != self._trials, trials
        if now < self._due + (0.0 if is_new else LONGEST - SHORTEST):
            return
        started = time.thread_time()
        self._write(goes_on=True)
        self._due = now + min(max(REST * (time.thread_time() - started), SHORTEST), LONGEST)

    def end(self, summary: SweepSummary | None) -> None:
        """The last page, which stays; without a summary when there could be none."""
        self._trials = list(summary.trials) if summary is not None else self._trials
        self._write(goes_on=False, summary=summary)

    def _write(self, *, goes_on: bool, summary: SweepSummary | None = None) -> None:
        if self._has_failed:
            return
        try:
            contents = self._contents(goes_on=goes_on, summary=summary)
            write_atomically(self._path, render_sweep(contents))
        except Exception as error:
            self._has_failed = True
            self._display.warn(f"{self._path} is not kept: {error}; the sweep goes on")

    def _contents(self, *, goes_on: bool, summary: SweepSummary | None = None) -> SweepContents:
        study, trials = self._study, self._trials
        definition, metric = study.definition, study.definition.metric
        best = best_trial(trials, study)
        done = sum(trial.status in FINISHED for trial in trials)
        status = "running" if goes_on else "stopped" if summary is None or summary.stopped else "completed"
        stopped = (summary.stopped.message,) if summary is not None and summary.stopped is not None else ()
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        again = f"; made again every few seconds while the sweep runs, and loaded again every {REFRESH}"
        return SweepContents(
            name=definition.name,
            subtitle=f"{definition.method} search with {definition.command.config}, for the "
            f"{'highest' if metric.goal == 'maximize' else 'lowest'} {metric.name}",
            status=status,
            headlines=tuple(_headlines(trials, study, best, done)),
            notes=(*stopped, *(summary.remarks if summary is not None else ())),
            command=summary.train_again if summary is not None else "",
            command_label="Train the best again",
            live=Live(1.0 if status == "completed" else done / max(study.total, 1), REFRESH if goes_on else 0),
            metric=metric.name,
            goal=metric.goal,
            trials=tuple(_dot(trial, study, best) for trial in trials),
            parameters=tuple(study.varied),
            importances=self._importances(trials),
            leaderboard=leaderboard([_row(trial, study) for trial in trials], goal=metric.goal, metric=metric.name),
            config=self._sweep_file(),
            footer=f"As of {now}{again if goes_on else ''}. This page loads nothing from the network.",
        )

    def _sweep_file(self) -> str:
        """The folder's own copy, which has what the command line changed."""
        files = (self._path.with_name("sweep.yaml"), self._study.definition.path)
        return next((each.read_text(encoding="utf-8", errors="replace") for each in files if each.is_file()), "")

    def _importances(self, trials: Sequence[Trial]) -> dict[str, float]:
        """How much each parameter mattered; found anew when another trial is completed."""
        completed = len(rated(trials))
        if completed != self._shares[0]:
            self._shares = (completed, importances(self._study, trials))
        return self._shares[1]


def _headlines(trials: Sequence[Trial], study: Study, best: Trial | None, done: int) -> list[Headline]:
    lines = [Headline("Trials done", f"{done} of {study.total}")]
    name = study.definition.metric.name
    if best is not None:
        lines.append(Headline(f"Best {name}", metric_value(name, best.value), f"trial {best.number}"))
    running = [trial for trial in trials if trial.status == "running"]
    if running:
        epochs = ", ".join(f"trial {trial.number}: epoch {epochs_of(trial)}" for trial in running[:4])
        lines.append(Headline("In training", str(len(running)), epochs))
    lost = [trial for trial in trials if trial.status in ("failed", "diverged")]
    if lost:
        numbers = ", ".join(str(trial.number) for trial in lost[:8])
        lines.append(Headline("Failed or diverged", str(len(lost)), f"trial {numbers}"))
    return lines


def _value(trial: Trial, study: Study) -> float | None:
    """Its value, or the best so far of one that has none yet."""
    return trial.value if trial.value is not None else study.definition.metric.best(trial.curve.values())


def _dot(trial: Trial, study: Study, best: Trial | None) -> Dot:
    parameters = chosen(trial, study.varied)
    is_best = best is not None and best.number == trial.number
    return Dot(trial.number, trial.status, _value(trial, study), parameters, is_best)


def _row(trial: Trial, study: Study) -> TrialSummary:
    parameters = {"epochs": epochs_of(trial), **chosen(trial, study.varied)}
    return TrialSummary(trial.number, trial.status, _value(trial, study), parameters, trial.run, trial.note)
