"""A network on a split: the figures of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.report.formats import count, decimal
from nnscratch.report.tables import Column, Table, per_class_table, plain_table
from nnscratch.results.figures import figures_table
from nnscratch.results.measured import Classified, Regressed
from nnscratch.runs.directory import RunDirectory
from nnscratch.training.evaluation import Score
from nnscratch.training.examples import Examples


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network on a split: the outputs' figures, and what they are of."""

    run: Path
    checkpoint: Path
    epoch: int
    split: str
    examples: Examples
    score: Score
    measured: Classified | Regressed
    note: str = ""
    """Why the figures are not those that training had for this split."""
    failure = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in metrics.json and for --json."""
        accuracy = {} if self.score.accuracy is None else {"accuracy": self.score.accuracy}
        return {
            "run": str(self.run),
            "checkpoint": str(self.checkpoint),
            "epoch": self.epoch,
            "split": self.split,
            "examples": self.score.examples,
            "loss": self.score.loss,
            **accuracy,
            **self.measured.to_dict(),
            **({"note": self.note} if self.note else {}),
        }

    def to_text(self) -> str:
        """The figures in one line, the table of classes or targets, and where everything is."""
        measured = self.measured
        parts = [plain_table(figures_table(measured.figures))]
        if isinstance(measured, Classified):
            parts.append(plain_table(per_class_table(measured.class_scores)))
        elif len(measured.target_names) > 1:
            parts.append(plain_table(_targets_table(measured)))
        note = f"\n{self.note}" if self.note else ""
        head = f"{self.run}, {self.checkpoint.name} (epoch {self.epoch}), {self.split}: "
        return (
            f"{head}{count(self.score.examples)} examples, loss {decimal(self.score.loss)}{note}\n\n"
            + "\n".join(parts)
            + f"\nwritten to {RunDirectory(self.run).evaluation(self.split)}"
        )


def _targets_table(regressed: Regressed) -> Table:
    titles = ("MSE", "RMSE", "MAE", "median error", "R2")
    columns = (Column("target"), *(Column(title, True) for title in titles))
    rows = [[row["target"], *(decimal(row[figure.metric.name]) for figure in regressed.figures)]
            for row in regressed.per_target]  # fmt: skip
    return Table(columns, tuple(map(tuple, rows)))
