"""What a sweep leaves behind: leaderboard, best config, plots, and one JSON object."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.config.node import Value
from nnscratch.config.override import override
from nnscratch.errors import UserError
from nnscratch.files import write_atomically
from nnscratch.host.display import Display
from nnscratch.host.json_text import json_text
from nnscratch.host.workplace import Workplace
from nnscratch.report.formats import metric_value
from nnscratch.report.style import own_looks
from nnscratch.report.tables import leaderboard, plain_table
from nnscratch.report.values import Goal, TrialSummary
from nnscratch.results.drawing import pictures_may_fail
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.kept_plugins import keep_plugins
from nnscratch.sweeps.board import best_trial
from nnscratch.sweeps.importance import importances, rated
from nnscratch.sweeps.study import Study, Trial
from nnscratch.sweeps.trial import trial_changes


@dataclass(frozen=True)
class SweepSummary:
    """The end of a sweep."""

    name: str
    folder: Path
    method: str
    metric: str
    goal: Goal
    best: Trial | None
    trials: Sequence[Trial]
    varied: Sequence[str] = ()
    """The parameters worth a column."""
    train_again: str = ""
    """The command that trains the best config."""
    overrides: Sequence[str] = ()
    """What was given beside the sweep file."""
    remarks: Sequence[str] = ()
    """What else there is to know of how it went."""
    stopped: UserError | None = None
    """Why it ended before its last trial."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        config = {"config": str(self.folder / "best.yaml")}
        return {
            "name": self.name,
            "folder": str(self.folder),
            "method": self.method,
            "metric": {"name": self.metric, "goal": self.goal},
            "best": self.best.to_dict() | config if self.best is not None else None,
            "overrides": list(self.overrides),
            "remarks": list(self.remarks),
            "trials": [trial.to_dict() for trial in self.trials],
        }

    @property
    def failure(self) -> UserError | None:
        if self.stopped is not None or self.best is not None:
            return self.stopped
        return UserError(f"no trial of {self.name} completed", f"see the notes above and {self.folder / 'trials'}")

    def to_text(self) -> str:
        """The leaderboard, and where the best config is."""
        rows = [
            TrialSummary(each.number, each.status, each.value, chosen(each, self.varied), each.run, each.note)
            for each in self.trials
        ]
        table = plain_table(leaderboard(rows, goal=self.goal, metric=self.metric))
        table += "".join(f"{remark}\n" for remark in self.remarks)
        if self.best is None:
            return f"{table}\nno trial completed; results in {self.folder}"
        value = metric_value(self.metric, self.best.value)
        return f"{table}\nbest: trial {self.best.number}, {self.metric} {value}; train it again: {self.train_again}"


def chosen(trial: Trial, paths: Sequence[str]) -> dict[str, object]:
    """The trial's values at some paths."""
    return {path: trial.parameters[path] for path in paths if path in trial.parameters}


def conclude(study: Study, folder: Path, workplace: Workplace) -> SweepSummary:
    """Writes everything of the sweep's folder that depends on all trials, but for the plots."""
    definition, trials = study.definition, study.trials()
    best = best_trial(trials, study)
    metric = definition.metric
    train_again = _write_best(study, best, len(trials), folder, workplace) if best is not None else ""
    summary = SweepSummary(
        definition.name, folder, definition.method, metric.name, metric.goal, best, trials, study.varied,
        train_again, definition.overrides, study.remarks(trials),
    )  # fmt: skip
    write_atomically(folder / "sweep.json", json_text(summary.to_dict(), indent=2) + "\n")
    write_atomically(folder / "leaderboard.csv", _table(study, trials))
    return summary


def draw(study: Study, trials: Sequence[Trial], folder: Path, display: Display) -> None:
    """Writes the plots of a sweep; a warning when they cannot be drawn."""
    with pictures_may_fail(display, f"the leaderboard is in {folder}"), own_looks():
        _draw(study, trials, folder / "plots")
        display.say(f"plots in {folder / 'plots'}")


def _write_best(study: Study, best: Trial, trials: int, folder: Path, workplace: Workplace) -> str:
    """The command that trains best.yaml, which it writes, with copies of the plugins that it names."""
    definition, metric = study.definition, study.definition.metric.name
    changes = (*trial_changes(definition, best, study.seed), override("name", f"{definition.name[:95]}-best"))
    config, _ = keep_plugins(RunDirectory(folder), definition.command.load(changes))
    head = f"# The best of {trials} trials of the sweep {definition.name}: trial {best.number}, "
    text = f"{head}{metric} {metric_value(metric, best.value)}.\n{config.to_yaml()}"
    write_atomically(folder / "best.yaml", text)
    words = ["nnscratch", "train", str(folder / "best.yaml"), *workplace.words_to_repeat()]
    return shlex.join([*words, "--allow-plugins"] if config.plugins else words)


def _draw(study: Study, trials: Sequence[Trial], folder: Path) -> None:
    from nnscratch.report.parallel_coordinates import parallel_coordinates
    from nnscratch.report.sweeps import parameter_importance, sweep_history

    metric, name = study.definition.metric, study.definition.name
    values = [trial.value for trial in trials]
    statuses = [trial.status for trial in trials]
    sweep_history(values, statuses, folder / "history.png", goal=metric.goal, metric=metric.name, title=name)
    parallel_coordinates(
        [chosen(trial, study.varied) for trial in trials],
        values,
        folder / "parallel_coordinates.png",
        goal=metric.goal,
        metric=metric.name,
        statuses=statuses,
        title=name,
    )
    shares, picture = importances(study, trials), folder / "importance.png"
    if shares:
        title = f"{name}: how much each parameter mattered, from {len(rated(trials))} trials"
        parameter_importance(list(shares), list(shares.values()), picture, title=title)
    else:
        picture.unlink(missing_ok=True)  # drawn from other trials


def _table(study: Study, trials: Sequence[Trial]) -> str:
    paths = [parameter.path for parameter in study.definition.parameters]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "status", study.definition.metric.name, *paths, "collapsed", "epochs", "run", "note"])
    for trial in trials:
        values = [_cell(trial.parameters[path]) if path in trial.parameters else "" for path in paths]
        value = "" if trial.value is None else repr(trial.value)
        row = [trial.number, trial.status, value, *values, str(trial.collapsed).lower()]
        writer.writerow([*row, max(trial.curve, default=0), trial.run, trial.note])
    return text.getvalue()


def _cell(value: Value) -> str:
    """The value as YAML writes it on a line, numbers in full; without quotes, which a table would double."""
    if isinstance(value, list):
        return f"[{', '.join(map(_cell, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_cell(item)}' for key, item in value.items())}}}"
    return value if isinstance(value, str) else json.dumps(value)
