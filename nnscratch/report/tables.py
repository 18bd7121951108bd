"""Tables of plain text: one value, shown in a terminal, in a pipe or on a page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nnscratch.report.formats import (
    count,
    duration,
    labelled,
    metric_value,
    percent,
    printable,
    setting,
    shorten,
)
from nnscratch.report.values import ClassScores, Goal, RunSummary, TrialSummary


@dataclass(frozen=True)
class Column:
    """A heading; numbers stand flush right."""

    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """Headings and rows of text, one cell per column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.columns)} columns: {row}")


def plain_table(table: Table) -> str:
    """The table for a pipe: aligned columns two spaces apart, a heading line, nothing else; ends with a newline."""
    lines = [[printable(column.title) for column in table.columns]]
    lines += [[printable(cell) for cell in row] for row in table.rows]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(table.columns))]
    return "".join(f"{'  '.join(_aligned(line, table.columns, widths)).rstrip()}\n" for line in lines)


def _aligned(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    for cell, column, width in zip(cells, columns, widths, strict=True):
        padding = " " * (width - _width(cell))
        yield padding + cell if column.is_number else cell + padding


def _width(text: str) -> int:
    """Terminal cells: East Asian letters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) != 0 for character in text)


def per_class_table(scores: Sequence[ClassScores]) -> Table:
    """One row per class, and at the end the unweighted mean of those that have examples."""
    columns = (Column("class"), *(Column(name, True) for name in ("precision", "recall", "F1", "examples")))
    rows: list[tuple[str, ...]] = [
        (s.name, *(percent(each) if s.support else "-" for each in (s.precision, s.recall, s.f1)), count(s.support))
        for s in scores
    ]
    there = [s for s in scores if s.support]
    if there:
        means = (sum(getattr(s, name) for s in there) / len(there) for name in ("precision", "recall", "f1"))
        name = "mean" if len(there) == len(scores) else f"mean of {len(there)}"
        rows.append((name, *(percent(mean) for mean in means), count(sum(s.support for s in scores))))
    return Table(columns, tuple(rows))


def most_confused(counts: ArrayLike, classes: Sequence[str]) -> Table:
    """The off-diagonal cells of a confusion matrix with the most examples, largest first; ten at most."""
    table = np.array(counts, dtype=np.int64)
    sums = np.maximum(table.sum(axis=1), 1)
    np.fill_diagonal(table, 0)
    rows = []
    for place in np.argsort(-table, axis=None, kind="stable")[:10]:
        true, predicted = divmod(int(place), len(classes))
        number = int(table[true, predicted])
        if number:
            rows.append((classes[true], classes[predicted], count(number), percent(number / sums[true], 1)))
    headings = (Column("true"), Column("taken for"), Column("times", True), Column("of its class", True))
    return Table(headings, tuple(rows))


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """One row per run: name, data, parameters, epochs done and planned, the best, validation, test, time, status."""
    rows = []
    for run in runs:
        best = "-" if run.best_epoch is None else str(run.best_epoch)
        planned = f" of {run.planned_epochs}" if run.planned_epochs is not None else ""
        done = f"{run.epochs or 0}{planned}" if run.epochs or planned else "-"
        validation, test = labelled(run.metric, run.validation), labelled(*run.told_test, run.test_deviation)
        time = duration(run.seconds)
        rows.append((run.name, run.data, count(run.parameters), done, best, validation, test, time, run.status))
    headings = (
        Column("run"), Column("data"), Column("parameters", True), Column("epochs", True), Column("best", True),
        Column("validation", True), Column("test", True), Column("time", True), Column("status"),
    )  # fmt: skip
    return Table(headings, tuple(rows))


def leaderboard(trials: Sequence[TrialSummary], *, goal: Goal, metric: str) -> Table:
    """Trials with the best first: completed ones by value, then the others by number; a column per parameter."""
    sign = -1.0 if goal == "maximize" else 1.0

    def rank(trial: TrialSummary) -> tuple[int, float, int]:
        if trial.status == "completed" and trial.value is not None and math.isfinite(trial.value):
            return (0, sign * trial.value, trial.number)
        return (1, 0.0, trial.number)

    names = list(dict.fromkeys(name for trial in trials for name in trial.parameters))
    has_notes = any(trial.note for trial in trials)
    rows = []
    for trial in sorted(trials, key=rank):
        settings = (setting(trial.parameters[name]) if name in trial.parameters else "-" for name in names)
        cells = (count(trial.number), metric_value(metric, trial.value), trial.status, *settings)
        rows.append((*cells, *([trial.note] if has_notes else [])))
    headings = [Column("trial", True), Column(metric, True), Column("status")]
    headings += [Column(name.removesuffix(".name").rpartition(".")[2] or name) for name in names]
    return Table((*headings, *([Column("note")] if has_notes else [])), tuple(rows))


def differences(settings: Mapping[str, Mapping[str, object]]) -> Table:
    """The settings in which runs differ: a row per dotted path, a column per run; `-` where a run lacks the setting.

    `settings` maps each run's name to its (nested) config. Where one run has nothing and another a mapping, there are
    rows for what is in that alone.
    """
    flat = {run: dict(_paths(config)) for run, config in settings.items()}
    paths = dict.fromkeys(path for values in flat.values() for path in values)
    rows = []
    for path in paths:
        cells = tuple(values.get(path, "-") for values in flat.values())
        is_within = set(cells) <= {"-", "{}", "null"} and any(each.startswith(f"{path}.") for each in paths)
        if len(set(cells)) > 1 and not is_within:
            rows.append((path, *(shorten(cell, 60) for cell in cells)))
    return Table((Column("setting"), *(Column(run) for run in flat)), tuple(rows))


def _paths(config: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, f"{prefix}{key or repr(key)}.")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            numbered = {str(index): item for index, item in enumerate(value)}
            yield from _paths(numbered, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key or repr(key)}", setting(value)
