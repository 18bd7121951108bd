"""`nnscratch runs compare`: runs side by side, or groups of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from nnscratch.config.config import load_config
from nnscratch.config.document import read_yaml
from nnscratch.config.node import Value
from nnscratch.errors import ConfigError, UsageError, UserError, cause
from nnscratch.report.picture_files import BEGINNINGS, picture_suffix
from nnscratch.report.style import own_looks
from nnscratch.report.table_formats import TABLE_FORMATS
from nnscratch.report.tables import Table, differences, plain_table, runs_table
from nnscratch.report.values import Row, RunSummary, TimedAccuracy
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.group import RunGroup
from nnscratch.runs.group_comparison import GroupComparison, compare_groups, told_picture
from nnscratch.runs.names import find_group, find_run
from nnscratch.runs.summary import plain_summary, summarize


@dataclass(frozen=True)
class Comparison:
    """Runs side by side: their figures, the settings in which they differ, and the picture of their curves."""

    runs: tuple[tuple[Path, RunSummary], ...]
    differences: Table
    picture: Path | None
    format: str = "text"
    """Of the figures: a key of TABLE_FORMATS; beside text, nothing else is shown."""
    failure: UserError | None = None
    """Why there is no picture, when it was to be drawn."""
    not_drawn: Mapping[str, str] = field(default_factory=dict)
    """The runs that the picture does not show, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json; differences by setting, then by run, as YAML writes them."""
        names = [column.title for column in self.differences.columns[1:]]
        return {
            "runs": [plain_summary(path, summary) for path, summary in self.runs],
            "differences": {row[0]: dict(zip(names, row[1:], strict=True)) for row in self.differences.rows},
            "picture": str(self.picture) if self.picture else None,
            "not_drawn": dict(self.not_drawn),
        }

    def to_text(self) -> str:
        """Figures, then differences, then where the picture is."""
        figures = runs_table([summary for _, summary in self.runs])
        if self.format != "text":
            return TABLE_FORMATS[self.format](figures).rstrip("\n")
        parts = [plain_table(figures)]
        parts.append(plain_table(self.differences) if self.differences.rows else "the configurations are the same\n")
        if self.failure is None:
            parts.append(told_picture(self.picture, self.not_drawn))
        return "\n".join(parts)


def compare_runs(
    names: Sequence[str],
    runs_dir: Path,
    output: Path | None = None,
    *,
    against_time: bool = False,
    format: str = "text",
) -> Comparison | GroupComparison:
    """Compares runs, or groups of runs, given by path, or by name in runs_dir. The picture goes to `output`.

    Without it, to comparisons/ in the folder of the first run; in another format than text there is none then. It shows
    the curves, or with `against_time` what accuracy each run reached in how many minutes. Raises UsageError when a run
    does not exist.
    """
    groups = [find_group(name, runs_dir) for name in names]
    if any(groups):
        return _compare_groups(names, groups, output, format, against_time=against_time)
    if len(names) < 2:
        raise UsageError("at least two runs are needed to compare", "nnscratch runs compare runs/a runs/b")
    runs = [RunDirectory.open(find_run(name, runs_dir)) for name in names]
    by_label = dict(zip(_labels(runs), runs, strict=True))
    if len(by_label) < len(runs):
        raise UsageError("a run is given twice")
    settings = {label: {**_settings(run), "name": None} for label, run in by_label.items()}
    summaries = tuple(
        (run.path, replace(summarize(run), name=label, data=data))
        for (label, run), data in zip(by_label.items(), _data(runs), strict=True)
    )
    name = "-".join(run.name for run in runs)[:100] + ("-against-time" if against_time else "")
    picture = output or (runs[0].path.parent / "comparisons" / f"{name}.png" if format == "text" else None)
    not_drawn = {run.name: why for _, run in summaries if (why := _why_not_drawn(run, against_time=against_time))}
    if against_time:
        shown = [(run, settings[run.name]) for _, run in summaries if run.name not in not_drawn]
        draw = partial(_draw_against_time, shown)
    else:
        draw = partial(_draw_curves, {label: run for label, run in by_label.items() if label not in not_drawn})
    picture, failure = _drawn(picture, draw)
    return Comparison(summaries, differences(settings), picture, format, failure, not_drawn)


def _compare_groups(
    names: Sequence[str], paths: Sequence[Path | None], output: Path | None, format: str, *, against_time: bool
) -> GroupComparison:
    groups = [RunGroup.open(path) for path in paths if path is not None]
    if len(groups) < len(names):
        single = next(name for name, path in zip(names, paths, strict=True) if path is None)
        raise UsageError(
            f"{single} is not a group of runs, {groups[0].path} is one: they are not compared",
            "compare groups with groups, or name single runs of them",
        )
    if against_time:
        raise UsageError("--against-time shows single runs", "name the runs of the groups instead")
    labels = _labels(groups)
    if len(set(labels)) < len(groups):
        raise UsageError("a group is given twice")
    compared = compare_groups(groups, labels, format)
    name = "-".join(group.name for group in groups)[:100]
    picture = output or (groups[0].path.parent / "comparisons" / f"{name}.png" if format == "text" else None)
    histories = {
        label: [history for member in group.members if (history := member.run.read_history())]
        for label, group in zip(labels, groups, strict=True)
    }
    not_drawn = {
        label: f"{len(group.members) - len(histories[label])} of {len(group.members)} have no epoch"
        for label, group in zip(labels, groups, strict=True)
        if len(histories[label]) < len(group.members)
    }
    shown = {label: rows for label, rows in histories.items() if rows}
    picture, failure = _drawn(picture, partial(_draw_bands, shown))
    return replace(compared, picture=picture, failure=failure, not_drawn=not_drawn)


def _why_not_drawn(run: RunSummary, *, against_time: bool) -> str:
    """Why a picture does not show that run; empty for one that it shows."""
    if not run.epochs:
        return f"no epoch, {run.status}"
    if not against_time:
        return ""
    if run.metric != "accuracy":
        return "no accuracy: a regression"
    return "" if run.test is not None and run.seconds else "no test accuracy"


def _drawn(path: Path | None, draw: Callable[[Path], bool]) -> tuple[Path | None, UserError | None]:
    """The picture, None when there is nothing to draw, and what went wrong: the figures stand all the same.

    Raises UserError when something else lies there, or it cannot be written.
    """
    if path is None:
        return None, None
    beginning = BEGINNINGS[picture_suffix(path)]
    try:
        if path.exists() and not _begins_with(beginning, path):
            kind = path.suffix[1:].upper()
            raise UserError(f"{path} exists and is no {kind}: it is not overwritten", "choose another name by --output")
        with own_looks():
            return (path if draw(path) else None), None
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {cause(error)}", "--output says where") from None
    except (Exception, SystemExit) as error:  # whatever a broken library raises
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        return None, UserError(f"cannot draw {path}: {said}", "the figures above stand without it")


def _begins_with(beginning: bytes, path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(beginning)) == beginning


def _draw_bands(histories: Mapping[str, Sequence[Sequence[Row]]], picture: Path) -> bool:
    """The curves of groups with their bands; False when no run of them has an epoch yet."""
    if histories:
        from nnscratch.report.curves import band_curves

        band_curves(histories, picture)
    return bool(histories)


def _draw_curves(runs: Mapping[str, RunDirectory], picture: Path) -> bool:
    """The runs' curves by epoch; False without any."""
    if runs:
        from nnscratch.report.curves import compare_curves

        compare_curves({label: run.read_history() for label, run in runs.items()}, picture)
    return bool(runs)


def _draw_against_time(runs: Sequence[tuple[RunSummary, Mapping[str, Value]]], picture: Path) -> bool:
    """A point per tested run, or per set of them that differ in their seed alone: their means. False without any."""
    from nnscratch.report.sweeps import accuracy_against_time

    alike: dict[str, list[RunSummary]] = {}
    for run, values in runs:
        alike.setdefault(str({**values, "seed": None}), []).append(run)
    points = [
        TimedAccuracy(
            label=same[0].name + (f", mean of {len(same)}" if len(same) > 1 else ""),
            minutes=fmean(run.seconds or 0.0 for run in same) / 60,
            accuracy=fmean(run.test or 0.0 for run in same),
            group=same[0].data,
            spread=_spread([run.test or 0.0 for run in same]),
        )
        for same in alike.values()
    ]
    if points:
        accuracy_against_time(points, picture)
    return bool(points)


def _spread(values: Sequence[float]) -> tuple[float, float] | None:
    return (min(values), max(values)) if len(values) > 1 else None


def _settings(run: RunDirectory) -> dict[str, Value]:
    """Every setting of a run; as it is written where plugins, which comparing does not run, are needed to read it."""
    try:
        return load_config(run.config).to_dict()
    except ConfigError:
        written = read_yaml(run.config).value
        if not isinstance(written, dict) or not written.get("plugins"):
            raise
        return written


def _data(runs: Sequence[RunDirectory]) -> list[str]:
    """What each run was trained on; where it lies, too, where different files have one name."""
    found = [run.read_meta().dataset for run in runs]
    digests: dict[str, set[str | None]] = {}
    for each in found:
        digests.setdefault(each.label, set()).add(each.digest)
    return [each.label if len(digests[each.label]) == 1 else each.place for each in found]


def _labels(runs: Sequence[RunDirectory | RunGroup]) -> list[str]:
    """The runs' names; their paths where two have one name."""
    names = [run.name for run in runs]
    return [name if names.count(name) == 1 else str(run.path) for name, run in zip(names, runs, strict=True)]
