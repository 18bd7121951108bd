"""report.html while a training runs: made again and again from the run's own files, until it is the report."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnscratch.report.elements import LIVE, Headline, Live
from nnscratch.report.formats import count, duration, metric_value
from nnscratch.report.live_curves import live_curves
from nnscratch.report.page import ReportContents, render_report
from nnscratch.report.tables import Column, Table
from nnscratch.results.environment import environment_of
from nnscratch.runs import layout
from nnscratch.runs.continuing import command_to_continue
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Meta
from nnscratch.runs.status import status_of
from nnscratch.runs.summary import best_epoch
from nnscratch.training.progress import Monitor

REFRESH = 5
"""Seconds after which a browser loads the page again."""
MOST_WARNINGS, MOST_ROWS = 5, 10
LONGEST_TAIL = 1 << 16
"""Bytes of the log's end in which warnings are looked for."""
SHOWN = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")


@dataclass(frozen=True)
class Moment:
    """How far a training is, as it tells between its epochs.

    `done` are updates, of which `before` were made by processes before this one, in `seconds` the others; `batches`
    the mean losses of its batches by how many epochs had passed.
    """

    epochs: int
    steps_per_epoch: int
    done: int = 0
    before: int = 0
    seconds: float = 0.0
    monitor: str | None = None
    batches: Sequence[tuple[float, float]] = ()

    @property
    def total(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def left(self) -> float | None:
        """Seconds to the end, as fast as it has been."""
        made = self.done - self.before
        return self.seconds / made * (self.total - self.done) if made > 0 else None


def write_live_page(run: RunDirectory, moment: Moment, note: str = "", *, goes_on: bool) -> None:
    """Writes the page as things are. Raises UserError when the run is no longer in its place."""
    run.write_text(layout.REPORT, render_report(_contents(run, moment, note, goes_on=goes_on)))


def is_report(path: Path) -> bool:
    """Whether the report of a training that is over is there, and no page of its course."""
    try:
        with path.open("rb") as file:
            return LIVE.encode() not in file.read(2048)
    except OSError:
        return False


def _contents(run: RunDirectory, moment: Moment, note: str, *, goes_on: bool) -> ReportContents:
    meta, history = run.read_meta(), run.read_history()
    moment = replace(moment, done=max(moment.done, len(history) * moment.steps_per_epoch))  # told before the last one
    said = "training" if goes_on and meta.status == "running" else status_of(run, meta)
    is_over = not goes_on and said != "running"
    monitor = Monitor(moment.monitor) if moment.monitor else None
    best = best_epoch(run, meta, history) if is_over else monitor.best_epoch(history) if monitor is not None else None
    notes = [*([note] if note else []), *([meta.error] if meta.error is not None else []), *_warnings(run)]
    command, label = _next_command(run, meta, said) if is_over else ("", "")
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return ReportContents(
        name=run.name,
        subtitle=_subtitle(meta),
        status=said,
        headlines=(*_progress(moment, is_over=is_over), *_figures(history, monitor, best)),
        notes=tuple(notes),
        command=command,
        command_label=label,
        live=Live(moment.done / max(moment.total, 1), REFRESH if goes_on else 0),
        drawings=tuple(live_curves(history, moment.epochs, batches=moment.batches, best_epoch=best)),
        latest=_latest(history),
        config=run.config.read_text(encoding="utf-8") if run.config.is_file() else "",
        environment=environment_of(meta),
        footer=f"As of {now}"
        + (f"; made again after every epoch, and loaded again every {REFRESH} seconds" if goes_on else "")
        + ". This page loads nothing from the network.",
    )


def _subtitle(meta: Meta) -> str:
    data = meta.dataset
    sizes = {"train": data.train, "validation": data.validation, "test": data.test}
    shown = ", ".join(f"{count(size)} {split}" for split, size in sizes.items() if size)
    return f"{data.name or '-'}: {shown} examples; {count(meta.parameters)} parameters"


def _progress(moment: Moment, *, is_over: bool) -> list[Headline]:
    epoch, step = divmod(moment.done, moment.steps_per_epoch)
    if is_over or moment.done >= moment.total:
        within = f"and {count(step)} steps" if step else ""
        return [Headline("Epochs done", f"{epoch} of {moment.epochs}", within)]
    lines = [Headline("Epoch", f"{epoch + 1} of {moment.epochs}", f"step {count(step)} of {moment.steps_per_epoch:,}")]
    if moment.left is not None:
        end = time.localtime(time.time() + moment.left)
        clock = time.strftime("%H:%M" if moment.left < 43_200 else "%a %H:%M", end)
        lines.append(Headline("Time left", duration(moment.left), f"until about {clock}"))
    return lines


def _figures(history: Sequence[Mapping[str, float]], monitor: Monitor | None, best: int | None) -> list[Headline]:
    if not history:
        return []
    lines, last = [], history[-1]
    if monitor is not None and best is not None and monitor.value in history[best - 1]:
        value = monitor.value
        name = value.removeprefix("val_").replace("_", " ")
        latest = "the latest" if best == len(history) else f"the latest: {metric_value(value, last.get(value))}"
        lines.append(
            Headline(
                f"Best validation {name}", metric_value(value, history[best - 1][value]), f"epoch {best}; {latest}"
            )
        )
    shown = "train_accuracy" if "train_accuracy" in last else "train_loss"
    lines.append(
        Headline(f"Training {shown.partition('_')[2]}", metric_value(shown, last.get(shown)), f"epoch {len(history)}")
    )
    seconds = last.get("train_seconds", 0.0) + last.get("val_seconds", 0.0)
    speed = last.get("samples_per_second")
    lines.append(Headline("An epoch", duration(seconds), f"{count(round(speed))} examples a second" if speed else ""))
    return lines


def _warnings(run: RunDirectory) -> list[str]:
    """The last warnings of the run's log."""
    try:
        with run.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = [line.partition("  ")[2] for line in lines]
    return [each for each in found if each.startswith("warning: ")][-MOST_WARNINGS:]


def _latest(history: Sequence[Mapping[str, float]]) -> Table:
    names = [name for name in SHOWN if any(name in row for row in history)]
    rows = [
        (str(number), *(metric_value(name, row.get(name)) for name in names))
        for number, row in list(enumerate(history, 1))[: -MOST_ROWS - 1 : -1]
    ]
    return Table((Column("epoch", True), *(Column(name, True) for name in names)), tuple(rows))


def _next_command(run: RunDirectory, meta: Meta, said: str) -> tuple[str, str]:
    if said == "completed":
        return shlex.join(["nnscratch", "plot", str(run.path)]), "Draw its report"
    if said == "diverged":
        return shlex.join(["nnscratch", "diagnose", str(run.path)]), "Find out why"
    return command_to_continue(run, meta), "Go on with it"
