"""`nnscratch runs watch`: the runs in a folder as they are just now, each on a line with its curve."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.report.formats import duration, labelled, printable, shorten
from nnscratch.report.sparkline import sparkline
from nnscratch.report.values import RunSummary
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.listing import run_folders, summarized
from nnscratch.runs.names import is_group
from nnscratch.runs.summary import plain_summary

INTERVAL = 2.0
"""Seconds between two looks."""
LATEST = 5
"""So many epochs tell how long one takes."""
SHOWN = ("val_accuracy", "train_accuracy", "val_loss", "train_loss")
"""Of these the first that a run has is its curve."""
NAME, SHORT_NAME, STATUS = 28, 13, 17
"""So many letters of each are shown."""
NARROW = 64
"""With fewer columns, a sign before its name says that a run trains, and nothing how it ended."""


@dataclass(frozen=True)
class WatchedRun:
    """A run as it is: its line of `runs list`, its curve, and the seconds that are left when it is being trained."""

    path: Path
    summary: RunSummary
    curve: tuple[float, ...]
    left: float | None
    changed: float
    """When its metrics last changed, in seconds since 1970."""

    @property
    def is_training(self) -> bool:
        return self.summary.status == "running"


@dataclass(frozen=True)
class Watched:
    """All runs at one moment: those that train first, then those that changed last."""

    runs_dir: Path
    runs: tuple[WatchedRun, ...]
    failure = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        rows = [plain_summary(run.path, run.summary) | {"curve": run.curve, "left": run.left} for run in self.runs]
        return {"runs_dir": str(self.runs_dir), "runs": rows}

    def to_text(self) -> str:
        return "\n".join(self.lines(80))

    def lines(self, columns: int, rows: int | None = None) -> list[str]:
        """The runs in lines of at most so many letters; as many of them as there are rows for, and how many more."""
        training = sum(run.is_training for run in self.runs)
        head = f"{time.strftime('%H:%M:%S')}  {training} of {len(self.runs)} in training, {self.runs_dir}"
        if not self.runs:
            return [shorten(head, columns), "make one: nnscratch train CONFIG"]
        shown = self.runs if rows is None else self.runs[: max(rows - 3, 1)]
        hidden = len(self.runs) - len(shown)
        more = [f"and {hidden} more"] if hidden else []
        return [shorten(head, columns), *_table(shown, columns), *more]


def _table(runs: Sequence[WatchedRun], columns: int) -> Iterator[str]:
    """A line for each; the curve has the room that the others leave."""
    is_wide = columns >= NARROW
    cells: list[tuple[str, str, str, str, Sequence[float]]] = [("run", "epoch", "best", "", ())]
    cells += [(*_cells(run, is_wide=is_wide), run.curve) for run in runs]
    name, epoch, best, end = (max(len(row[at]) for row in cells) for at in range(4))
    curve = max(columns - name - epoch - best - end - 2 * (4 if end else 3), 1)
    for at, row in enumerate(cells):
        drawn = sparkline(row[4], curve) if at else "curve"[:curve]
        parts = [row[0].ljust(name), row[1].rjust(epoch), drawn.ljust(curve), row[2].rjust(best), row[3]]
        yield "  ".join(parts).rstrip()


def _cells(run: WatchedRun, *, is_wide: bool) -> tuple[str, str, str, str]:
    """Name, epochs, best value, and how it stands: in a narrow terminal a sign before the name."""
    summary = run.summary
    epoch = f"{summary.epochs or 0}/{summary.planned_epochs or '?'}"
    best = labelled(summary.metric, summary.validation)
    if not is_wide:
        return ("▶ " if run.is_training else "  ") + _in_short(summary.name, SHORT_NAME), epoch, best, ""
    end = f"{duration(run.left)} left" if run.left is not None else shorten(summary.status, STATUS)
    return _in_short(summary.name, NAME), epoch, best, end


def _in_short(name: str, most: int) -> str:
    """The name with its end, by which runs of one config differ."""
    name, tail = printable(name), most // 2
    return name if len(name) <= most else f"{name[: most - tail - 1]}…{name[-tail:]}"


class Watch:
    """Looks at the runs in a folder; one whose files have not changed is not read again."""

    def __init__(self, runs_dir: Path, *, everything: bool) -> None:
        self._runs_dir, self._everything = runs_dir, everything
        self._known: dict[Path, tuple[object, WatchedRun]] = {}

    def look(self) -> Watched:
        """All runs as they are now. Raises UserError when there is no such folder."""
        folders = run_folders(self._runs_dir, everything=self._everything)
        found = [self._run(path) for path in folders]
        found.sort(key=lambda run: (not run.is_training, -run.changed))
        return Watched(self._runs_dir, tuple(found))

    def _run(self, path: Path) -> WatchedRun:
        state = tuple(_stamp(path / name) for name in (layout.META, layout.METRICS, layout.CONFIG, layout.GROUP))
        known = self._known.get(path)
        # What of a group changes are the files of its runs.
        if known is not None and known[0] == state and not known[1].is_training and not is_group(path):
            return known[1]
        run = RunDirectory(path)
        _, summary = summarized(path, str(path.relative_to(self._runs_dir)))
        history = run.read_history() if summary.epochs else []
        changed = _stamp(run.metrics)[0]
        left = _left(summary, history, changed) if summary.status == "running" else None
        watched = WatchedRun(path, summary, tuple(_curve(history)), left, changed)
        self._known[path] = (state, watched)
        return watched


def _stamp(path: Path) -> tuple[float, int]:
    try:
        found = path.stat()
    except OSError:
        return 0.0, 0
    return found.st_mtime, found.st_size


def _curve(history: Sequence[Mapping[str, float]]) -> Iterator[float]:
    name = next((name for name in SHOWN if any(name in row for row in history)), "")
    return (row.get(name, float("nan")) for row in history)


def _left(summary: RunSummary, history: Sequence[Mapping[str, float]], changed: float) -> float | None:
    """The epochs that are left, as long as the latest took, less what has passed of the present one."""
    latest = history[-LATEST:]
    if not latest or summary.planned_epochs is None:
        return None
    seconds = sum(row.get("train_seconds", 0.0) + row.get("val_seconds", 0.0) for row in latest) / len(latest)
    passed = min(max(time.time() - changed, 0.0), seconds)
    return max((summary.planned_epochs - len(history)) * seconds - passed, 0.0)


def keep_watching(watch: Watch) -> None:
    """Shows the runs in the terminal, again and again, until Ctrl-C; the last look stays there."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=sys.stdout)

    def shown() -> Text:
        lines = watch.look().lines(console.width, console.height)
        return Text("\n".join(lines), no_wrap=True, overflow="crop")

    try:
        with Live(shown(), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(INTERVAL)
                live.update(shown(), refresh=True)
    except KeyboardInterrupt:
        return
