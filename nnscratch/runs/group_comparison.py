"""Groups of runs side by side: by how much each differs from the first, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nnscratch.config.config import differences as config_differences
from nnscratch.errors import UserError
from nnscratch.report.formats import count, digits_of, duration, is_share, metric_value, with_deviation
from nnscratch.report.table_formats import TABLE_FORMATS
from nnscratch.report.tables import Column, Table, differences
from nnscratch.runs.group import RunGroup
from nnscratch.runs.group_summary import GroupSummary, summarize_group
from nnscratch.training.metrics.student import Interval, interval, repetitions_needed

SAME_FOLDS = ("seed", "data.limit", "data.dataset.", "data.path")
"""What decides which examples a fold has."""


@dataclass(frozen=True)
class Difference:
    """One group less the first."""

    group: str
    base: str
    kind: str
    metric: str
    interval: Interval | None
    """Of the paired difference; None when there are no pairs. It has no ends when all pairs differ alike."""
    needed: int | None
    """How many pairs would make a difference clear that is not."""
    unpaired: str = ""
    """Why there are no pairs."""

    def to_text(self) -> str:
        """`b - a: +1.2 points (paired by seed, 3 pairs, 95 % interval 0.3 to 2.1): b is better`."""
        name, found = f"{self.group} - {self.base}", self.interval
        scale, unit = (100, " points") if is_share(self.metric) else (1, f" ({self.metric})")
        if found is None:
            return f"{name}: no interval, {self.unpaired}"
        if found.deviation is None or found.low is None or found.high is None:
            return f"{name}: {scale * found.mean:+.4g}{unit} ({found.count} pairs): no interval, {found.why_none}"
        digits = digits_of(scale * found.deviation)
        mean, low, high = (f"{scale * value:+.{digits}f}" for value in (found.mean, found.low, found.high))
        shown = f"{name}: {mean}{unit} (paired by {self.kind[:-1]}, {found.count} pairs, 95 % interval {low} to {high})"
        if found.is_clear:
            return f"{shown}: {self.group if (found.mean > 0) == (self.metric != 'loss') else self.base} is better"
        if self.kind == "folds":
            return f"{shown}: not clear; more data, or --seeds, would tell"
        enough = f"about {self.needed} {self.kind}" if self.needed else f"more than a thousand {self.kind}"
        return f"{shown}: not clear; {enough} would show such a difference four times in five"


@dataclass(frozen=True)
class GroupComparison:
    """The groups' figures, the settings in which they differ, the differences of their figures, and their curves."""

    groups: tuple[tuple[str, GroupSummary], ...]
    settings: Table
    found: tuple[Difference, ...]
    picture: Path | None
    format: str = "text"
    failure: UserError | None = None
    """Why there is no picture, when it was to be drawn."""
    not_drawn: Mapping[str, str] = field(default_factory=dict)
    """The groups of which the picture does not show all runs, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "groups": [{"name": name, **summary.to_dict()} for name, summary in self.groups],
            "differences": [
                {**asdict(each), "no_interval": each.unpaired if each.interval is None else each.interval.why_none}
                for each in self.found
            ],
            "picture": str(self.picture) if self.picture else None,
            "not_drawn": dict(self.not_drawn),
        }

    def to_text(self) -> str:
        """The figures, and as text also the settings, the differences and where the picture is."""
        figures = TABLE_FORMATS[self.format](self._figures())
        if self.format != "text":
            return figures.rstrip("\n")
        parts = [figures]
        parts.append(
            TABLE_FORMATS["text"](self.settings) if self.settings.rows else "the configurations are the same\n"
        )
        parts += [each.to_text() for each in self.found]
        if self.failure is None:
            parts.append(told_picture(self.picture, self.not_drawn))
        return "\n".join(parts)

    def _figures(self) -> Table:
        rows = []
        for name, summary in self.groups:
            line, found = summary.as_row(name), summary.interval
            shown = metric_value(summary.metric, found.mean if found is not None else None)
            limits = found.why_none or "-" if found is not None else "-"
            if found is not None and found.deviation is not None and found.low is not None and found.high is not None:
                scale = 100 if is_share(summary.metric) else 1
                digits = digits_of(scale * found.deviation)
                shown = with_deviation(summary.metric, found.mean, found.deviation)
                limits = f"{scale * found.low:.{digits}f} to {scale * found.high:.{digits}f}"
            cells = (name, line.data, count(line.parameters), line.status, shown, limits)
            rows.append((*cells, duration(line.seconds)))
        titles = {summary.title for _, summary in self.groups}
        headings = (
            Column("group"), Column("data"), Column("parameters", True), Column("runs"),
            Column(" or ".join(sorted(titles)), True), Column("95 % interval", True), Column("time", True),
        )  # fmt: skip
        return Table(headings, tuple(rows))


def told_picture(picture: Path | None, not_drawn: Mapping[str, str]) -> str:
    """Where the picture is, if there was something to draw, and what it does not show."""
    left_out = ", ".join(f"{name} ({why})" for name, why in not_drawn.items())
    if picture is None:
        return f"nothing to draw: {left_out}"
    return f"picture in {picture}" + (f"\nnot in it: {left_out}" if left_out else "")


def compare_groups(groups: Sequence[RunGroup], labels: Sequence[str], format: str) -> GroupComparison:
    """The comparison, before its picture is drawn. Raises UserError when a group cannot be read."""
    summaries = [summarize_group(group) for group in groups]
    settings = {label: {**group.config.to_dict(), "name": None} for label, group in zip(labels, groups, strict=True)}
    found = tuple(
        _difference((labels[0], groups[0], summaries[0]), other)
        for other in list(zip(labels, groups, summaries, strict=True))[1:]
    )
    return GroupComparison(tuple(zip(labels, summaries, strict=True)), differences(settings), found, None, format)


Named = tuple[str, RunGroup, GroupSummary]


def _difference(base: Named, other: Named) -> Difference:
    a, b = base[2], other[2]
    pairs = [(a.scores[label], b.scores[label]) for label in a.scores if label in b.scores]
    reason = _not_paired(base, other) or (
        f"they have {len(pairs)} {b.kind} in common: train both with the same" if len(pairs) < 2 else ""
    )
    if reason:
        return Difference(other[0], base[0], b.kind, b.metric, None, None, reason)
    ends = (-1, 1) if b.metric == "accuracy" else ()  # differences of R2 have none
    found = interval([second - first for first, second in pairs], b.overlap, *ends)
    is_open = not found.is_clear and b.folds is None and found.mean and found.deviation
    needed = repetitions_needed(found.mean, found.deviation) if is_open and found.deviation else None
    return Difference(other[0], base[0], b.kind, b.metric, found, needed)


def _not_paired(base: Named, other: Named) -> str:
    a, b = base[2], other[2]
    if (a.kind, a.folds) != (b.kind, b.folds):
        return f"{base[0]} has {a.total} {a.kind}, {other[0]} {b.total} {b.kind}"
    if (a.metric, a.split) != (b.metric, b.split):
        return f"{base[0]} says {a.split} {a.metric}, {other[0]} {b.split} {b.metric}"
    digests = {run.run.read_meta().dataset.digest for group in (base[1], other[1]) for run in group.members} - {None}
    if len(digests) > 1:
        return "they were trained on different data"
    if a.folds is not None:
        try:
            changed = [
                path for path in config_differences(base[1].config, other[1].config) if path.startswith(SAME_FOLDS)
            ]
        except UserError as error:
            return error.message
        if changed:
            return f"their folds are different: {', '.join(changed)}"
    return ""
