"""A network on a split: the figures of its outputs."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.config.names import folder_name
from nnscratch.errors import UserError
from nnscratch.report.formats import counted, decimal
from nnscratch.report.tables import Column, Table, per_class_table, plain_table
from nnscratch.results.decisions import Decision
from nnscratch.results.figures import figures_table
from nnscratch.results.measured import Classified, Regressed
from nnscratch.results.subgroups import Subgroup, subgroups_table, subgroups_to_dict
from nnscratch.results.timing import Timing
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.reading import mapping_of
from nnscratch.training.evaluation import Score
from nnscratch.training.examples import Examples

NOT_KEPT = ("run", "confusion_matrix")
SPLIT_NAMES = {"test": "test", "val": "validation", "train": "training"}


@dataclass(frozen=True)
class Subject:
    """What a network is evaluated on: a split of its own data by name, or other data in a file or folder."""

    name: str
    source: Path | None = None
    """Where the other data is."""

    @property
    def folder(self) -> str:
        """What it is kept as below evaluation/."""
        is_other = self.source is not None and self.name in SPLIT_NAMES
        return f"data-{self.name}" if is_other else self.name

    @property
    def title(self) -> str:
        """`Validation`, or of other data its name."""
        return SPLIT_NAMES[self.name].capitalize() if self.source is None else self.name

    @property
    def examples(self) -> str:
        """`validation examples`, `examples of ward-b.csv`."""
        return f"{SPLIT_NAMES[self.name]} examples" if self.source is None else f"examples of {self.source.name}"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network on a split: the outputs' figures, and what they are of."""

    run: Path
    checkpoint: Path
    epoch: int
    subject: Subject
    examples: Examples
    score: Score
    measured: Classified | Regressed
    note: str = ""
    """Why the figures are not those that training had for this split."""
    decision: Decision | None = None
    """How two classes are told apart, where it is not by the larger probability."""
    timing: Timing | None = None
    by: str = ""
    """The column that the subgroups are made by."""
    subgroups: tuple[Subgroup, ...] = ()
    failure: UserError | None = None
    """Why it could not be written down."""

    @property
    def name(self) -> str:
        """What it is kept as below evaluation/: a split, with what a threshold was chosen for, or other data."""
        own = self.subject.folder
        if self.decision is None:
            return own
        wanted = self.decision.wanted
        return folder_name(f"{own}-{wanted.kind}-of-{wanted.classes[wanted.positive]}-{wanted.value:g}", own)

    @property
    def is_of_elsewhere(self) -> bool:
        """Whether the checkpoint is none of the run's folder, but of another training of its config."""
        return self.checkpoint.parent.resolve() != RunDirectory(self.run).checkpoints.resolve()

    @property
    def checkpoint_name(self) -> str:
        """What to call the checkpoint: by its name in the run, by its whole path elsewhere."""
        return str(self.checkpoint.absolute()) if self.is_of_elsewhere else self.checkpoint.name

    @property
    def folder(self) -> Path:
        return RunDirectory(self.run).evaluation(self.name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in metrics.json and for --json."""
        accuracy = {} if self.score.accuracy is None else {"accuracy": self.score.accuracy}
        return {
            "run": str(self.run),
            "checkpoint": str(self.checkpoint),
            "epoch": self.epoch,
            **({"checkpoint_of_elsewhere": True} if self.is_of_elsewhere else {}),
            **({"split": self.subject.name} if self.subject.source is None else {"data": str(self.subject.source)}),
            "examples": self.score.examples,
            "loss": self.score.loss,
            **accuracy,
            **self.measured.to_dict(),
            **({"decision": self.decision.to_dict()} if self.decision is not None else {}),
            **({"subgroups": subgroups_to_dict(self.by, self.subgroups)} if self.subgroups else {}),
            **({"timing": self.timing.to_dict()} if self.timing is not None else {}),
            **({"note": self.note} if self.note else {}),
        }

    def to_text(self) -> str:
        """The figures in one line, the table of classes or targets, and where everything is."""
        measured = self.measured
        parts = [plain_table(figures_table(measured.figures))]
        said = [self.note, "" if self.decision is None else str(self.decision)]
        if isinstance(measured, Classified):
            said += [] if measured.calibration is None else [str(measured.calibration)]
            parts.append(plain_table(per_class_table(measured.class_scores)))
        elif len(measured.target_names) > 1:
            parts.append(plain_table(_targets_table(measured)))
        if self.subgroups:
            parts.append(plain_table(subgroups_table(self.by, self.subgroups)))
        if self.timing is not None:
            parts.append(self.timing.to_text())
        on = self.subject.name if self.subject.source is None else f"other data, {self.subject.source}"
        head = f"{self.run}, {self.checkpoint_name} (epoch {self.epoch}), {on}:"
        size = f"{counted(self.score.examples, 'example')}, loss {decimal(self.score.loss)}"
        opening = f"{head} {size}" if len(head) + len(size) < 80 else f"{head}\n{size}"
        written = (
            f"written to {self.folder}"
            if self.failure is None
            else f"not all of this could be written to {self.folder}"
        )
        return "\n".join([*filter(None, [opening, *said]), "", *parts, written])


def evaluations_of(run: RunDirectory) -> Iterator[tuple[str, dict[str, Any]]]:
    """What `nnscratch evaluate` has written, by split or data: figures, intervals, classes and subgroups."""
    for file in sorted((run.path / layout.EVALUATION).glob("*/metrics.json")):
        if found := mapping_of(file):
            yield file.parent.name, {name: each for name, each in found.items() if name not in NOT_KEPT}


def subject_of(run: RunDirectory, path: Path) -> Subject:
    """Other data by its file's name, with a number where that is the name of other data that was evaluated before."""
    name = folder_name(path.stem, "data")
    before = {folder: found["data"] for folder, found in evaluations_of(run) if isinstance(found.get("data"), str)}
    for number in itertools.count(1):
        subject = Subject(name if number == 1 else f"{name}-{number}", path)
        own = re.compile(rf"{re.escape(subject.folder)}(-(recall|precision)-of-.*)?")
        sources = {os.path.abspath(data) for folder, data in before.items() if own.fullmatch(folder)}
        if sources <= {os.path.abspath(path)}:
            return subject
    raise AssertionError


def _targets_table(regressed: Regressed) -> Table:
    titles = ("MSE", "RMSE", "MAE", "median error", "R2")
    columns = (Column("target"), *(Column(title, True) for title in titles))
    rows = [[row["target"], *(decimal(row[figure.metric.name]) for figure in regressed.figures)]
            for row in regressed.per_target]  # fmt: skip
    return Table(columns, tuple(map(tuple, rows)))
