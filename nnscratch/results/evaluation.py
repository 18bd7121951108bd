"""A network on a split: the figures of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.report.formats import count, decimal, percent
from nnscratch.report.tables import Column, Table, per_class_table, plain_table
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
        figures = [f"loss {decimal(self.score.loss)}"]
        if isinstance(self.measured, Classified):
            share = self.measured.majority_share
            beside = "" if share is None else f" (majority {percent(share, 1)})"
            figures.insert(0, f"accuracy {percent(self.score.accuracy)}{beside}")
            if len(self.measured.classes) > 5:
                figures.insert(1, f"top-5 {percent(self.measured.top5_accuracy)}")
            figures.append(f"calibration error {percent(self.measured.reliability.expected_calibration_error)}")
            table = per_class_table(self.measured.class_scores)
        else:
            table = _targets_table(self.measured)
        note = f"\n{self.note}" if self.note else ""
        head = f"{self.run}, {self.checkpoint.name} (epoch {self.epoch}), {self.split}: "
        return (
            f"{head}{count(self.score.examples)} examples\n{'  '.join(figures)}{note}\n\n{plain_table(table)}\n"
            f"written to {RunDirectory(self.run).evaluation(self.split)}"
        )


def _targets_table(regressed: Regressed) -> Table:
    columns = (Column("target"), Column("MSE", True), Column("MAE", True), Column("R2", True))
    figures = regressed.to_dict()
    rows = [*figures["per_target"], *([{"target": "mean", **figures}] if len(regressed.target_names) > 1 else [])]
    keys = ("mean_squared_error", "mean_absolute_error", "r2")
    return Table(columns, tuple((row["target"], *(decimal(row[key]) for key in keys)) for row in rows))
