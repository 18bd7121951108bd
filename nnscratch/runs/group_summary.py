"""What a group of runs came to: a line for each run, and their mean with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from nnscratch.errors import UserError
from nnscratch.report.formats import digits_of, duration, is_share, labelled, metric_value, with_deviation
from nnscratch.report.tables import Column, Table, plain_table
from nnscratch.report.values import RunSummary
from nnscratch.runs.group import Member, RunGroup
from nnscratch.runs.summary import plain_summary, summarize
from nnscratch.training.metrics.student import Interval, interval


@dataclass(frozen=True)
class GroupSummary:
    """The runs that have begun, by label, and the figures of those that were completed."""

    path: Path
    kind: str
    total: int
    runs: Mapping[str, tuple[Path, RunSummary]]
    split: str
    """Which figures count: test, or validation when no run looked at the test split."""
    folds: int | None = None
    failure: UserError | None = None

    @property
    def metric(self) -> str:
        runs = [run for _, run in self.runs.values()]
        if self.split == "test" and any(run.test_r2 is not None for run in runs):
            return "R2"
        return runs[0].metric if runs else "accuracy"

    @property
    def title(self) -> str:
        """What its figures are: `test`, which is an accuracy, or `test loss`."""
        return self.split if self.metric == "accuracy" else f"{self.split} {self.metric}"

    @property
    def scores(self) -> dict[str, float]:
        """The figure of each completed run, by label."""
        figure = "test_r2" if self.metric == "R2" else self.split
        found = {label: getattr(run, figure) for label, (_, run) in self.runs.items() if run.status == "completed"}
        return {label: value for label, value in found.items() if value is not None}

    @property
    def overlap(self) -> float:
        """How much of what two of its runs are trained on they share: see `student.interval`."""
        return 1 / (self.folds - 1) if self.folds else 0.0

    @property
    def interval(self) -> Interval | None:
        """Of the mean; None before a run is completed."""
        values = list(self.scores.values())
        if not values:
            return None
        least_loss = 0 if min(values) >= 0 else -math.inf  # one of a plugin may lie below
        ends = {"accuracy": (0, 1), "R2": (-math.inf, 1), "loss": (least_loss,)}.get(self.metric, ())
        return interval(values, self.overlap, *ends)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        found = self.interval
        return {
            "group": str(self.path),
            "kind": self.kind,
            "total": self.total,
            "split": self.split,
            "metric": self.metric.lower(),
            **({} if found is None else {name: value for name, value in asdict(found).items() if value is not None}),
            **({} if found is None or found.why_none is None else {"no_interval": found.why_none}),
            "runs": [{"label": label, **plain_summary(path, run)} for label, (path, run) in self.runs.items()],
        }

    def table(self) -> Table:
        """A row per run."""
        rows = []
        for label, (_, run) in self.runs.items():
            validation, test = labelled(run.metric, run.validation), labelled(*run.told_test)
            best = "-" if run.best_epoch is None else str(run.best_epoch)
            rows.append((label, best, validation, test, duration(run.seconds), run.status))
        headings = (
            Column("run"), Column("best epoch", True), Column("validation", True), Column("test", True),
            Column("time", True), Column("status"),
        )  # fmt: skip
        return Table(headings, tuple(rows))

    def headline(self) -> str:
        """`test 89.9 ± 0.3 % (3 seeds, 95 % interval 89.2 to 90.6)`."""
        found = self.interval
        if found is None:
            return f"no {self.split} figure yet ({self.total} {self.kind})"
        counted = (
            f"{found.count} {self.kind}" if found.count == self.total else f"{found.count} of {self.total} {self.kind}"
        )
        if found.deviation is None or found.low is None or found.high is None:
            return f"{self.title} {metric_value(self.metric, found.mean)} ({counted}, no interval: {found.why_none})"
        scale = 100 if is_share(self.metric) else 1
        digits = digits_of(scale * found.deviation)
        low, high = (f"{scale * value:.{digits}f}" for value in (found.low, found.high))
        shown = with_deviation(self.metric, found.mean, found.deviation)
        return f"{self.title} {shown} ({counted}, 95 % interval {low} to {high})"

    def to_text(self) -> str:
        """The table, the line, and what the figures mean."""
        if not self.scores:
            return f"{plain_table(self.table()) if self.runs else ''}{self.headline()}\nruns in {self.path}"
        spread = ""
        if self.interval is not None and self.interval.why_none is None:
            spread = f"\n± is the standard deviation between {self.kind}, the interval that of the mean (Student's t)"
            widened = "\nfolds share training examples, which widens the interval (Nadeau & Bengio 2003)"
            spread += widened if self.folds else ""
        unfinished = [label for label, (_, run) in self.runs.items() if run.status == "diverged"]
        left_out = f"\nleft out of the mean, since they diverged: {', '.join(unfinished)}" if unfinished else ""
        return f"{plain_table(self.table())}\n{self.headline()}{left_out}{spread}\nruns in {self.path}"

    def as_row(self, name: str) -> RunSummary:
        """The group as one line of `runs list`."""
        runs = [run for _, run in self.runs.values()]
        found = self.interval
        validations = [run.validation for run in runs if run.validation is not None]
        done = sum(run.status in ("completed", "diverged") for run in runs)
        diverged = sum(run.status == "diverged" for run in runs)
        status = f"{self.total} {self.kind}" if done == self.total else f"{done} of {self.total} {self.kind}"
        is_tested = self.split == "test" and found is not None
        return RunSummary(
            name,
            runs[0].data if runs else "-",
            status + (f", {diverged} diverged" if diverged else ""),
            runs[0].metric if runs else "accuracy",
            runs[0].parameters if runs else None,
            None,
            sum(run.epochs or 0 for run in runs) or None,
            fmean(validations) if validations else None,
            found.mean if is_tested and found and self.metric != "R2" else None,
            sum(run.seconds or 0.0 for run in runs) if runs else None,
            sum(run.planned_epochs or 0 for run in runs) * self.total // len(runs) if runs else None,
            found.deviation if is_tested and found and found.why_none is None else None,
            found.mean if is_tested and found and self.metric == "R2" else None,
        )


def summarize_group(group: RunGroup, failure: UserError | None = None) -> GroupSummary:
    """What there is of the group by now. Raises UserError when its runs were trained on different data."""
    begun = [member for member in group.members if member.run.config.is_file()]
    _require_same_data(group, begun)
    runs = {member.label: (member.run.path, summarize(member.run)) for member in begun}
    completed = [run for _, run in runs.values() if run.status == "completed"]
    is_tested = not completed or any(run.test is not None for run in completed)
    folds, kind = group.repetitions.folds, group.repetitions.kind
    return GroupSummary(
        group.path, kind, len(group.members), runs, "test" if is_tested else "validation", folds, failure
    )


def _require_same_data(group: RunGroup, begun: Sequence[Member]) -> None:
    digests: dict[str, str] = {}
    for member in begun:
        digest = member.run.read_meta().dataset.digest
        if digest is not None:
            digests.setdefault(digest, member.label)
    if len(digests) > 1:
        raise UserError(
            f"the runs of {group.path} were trained on different data: {' and '.join(digests.values())}",
            "their mean would say nothing: put the data back, delete what was trained on other data, and go on",
        )
