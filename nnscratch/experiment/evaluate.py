"""`nnscratch evaluate`: how good a run's network is on a split, in figures, tables and plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import UsageError, UserError, did_you_mean
from nnscratch.experiment.assembly import Splits, build_recipe, load_dataset, split_dataset
from nnscratch.experiment.display import Display
from nnscratch.experiment.json_text import json_text
from nnscratch.experiment.loaded_run import LoadedRun, load_run, use_threads_of
from nnscratch.experiment.measured import Classified, Regressed
from nnscratch.experiment.options import Options
from nnscratch.nn.buffers import Array
from nnscratch.report.formats import count, decimal, percent
from nnscratch.report.tables import Column, Table, per_class_table, plain_table
from nnscratch.training.batches import Batches
from nnscratch.training.evaluation import Score, evaluate
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import scale_targets

SPLITS = ("test", "val", "train")


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
        }

    def to_text(self) -> str:
        """The figures in one line, the table of classes or targets, and where everything is."""
        figures = [f"loss {decimal(self.score.loss)}"]
        if isinstance(self.measured, Classified):
            figures.insert(0, f"accuracy {percent(self.score.accuracy)}")
            if len(self.measured.classes) > 5:
                figures.insert(1, f"top-5 {percent(self.measured.top5_accuracy)}")
            figures.append(f"calibration error {percent(self.measured.reliability.expected_calibration_error)}")
            table = per_class_table(self.measured.class_scores)
        else:
            table = _targets_table(self.measured)
        head = f"{self.run}, {self.checkpoint.name} (epoch {self.epoch}), {self.split}: "
        return (
            f"{head}{count(self.score.examples)} examples\n{'  '.join(figures)}\n\n{plain_table(table)}\n"
            f"written to {self.run / 'evaluation' / self.split}"
        )


def evaluate_run(path: Path, split: str, checkpoint: str, options: Options, display: Display) -> Evaluation:
    """Evaluates a run's network on one of its splits and writes evaluation/<split>/ into the run."""
    if split not in SPLITS:
        raise UsageError(f"there is no split {split}{did_you_mean(split, SPLITS)}", f"one of {', '.join(SPLITS)}")
    loaded = load_run(path, checkpoint)
    use_threads_of(loaded, options.threads)
    dataset, splits = load_data(loaded, options, display)
    evaluation = evaluate_split(loaded, dataset, splits, split)
    folder = loaded.run.path / "evaluation" / split
    write_evaluation(loaded, evaluation, folder)
    if options.plots:
        from nnscratch.experiment.pictures import draw_evaluation

        draw_evaluation(evaluation, folder, title=f"{loaded.run.name}, {split}")
    return evaluation


def load_data(loaded: LoadedRun, options: Options, display: Display) -> tuple[Dataset, Splits]:
    """The run's own data and splits; DataError when what is there now does not fit the network.

    Data that fits but is not the same is used, with a warning.
    """
    dataset = load_dataset(loaded.config, options.data_dir, display.detail, display.download, options.download)
    loaded.check_fits(dataset)
    trained_on = loaded.run.read_meta().get("dataset", {}).get("digest")
    if trained_on is not None and trained_on != dataset.digest():
        display.warn(
            f"{dataset.name} in {dataset.origin} is not the data {loaded.run.path} was trained on: "
            "figures will differ, and what is now val or test may have been trained on"
        )
    return dataset, split_dataset(loaded.config, dataset)


def evaluate_split(loaded: LoadedRun, dataset: Dataset, splits: Splits, split: str) -> Evaluation:
    """The network's figures on that split, computed in the batches that training computes them in."""
    examples = splits.named(split)
    if examples is None:
        there = [name for name in SPLITS if splits.named(name) is not None]
        raise UserError(f"{loaded.run.path} has no {split} split", f"--split takes {' or '.join(there)}")
    recipe = build_recipe(loaded.config, dataset, splits)
    outputs = np.empty((len(examples), loaded.outputs), np.float32)
    scaled = scale_targets(examples, loaded.target_affine)
    batches = Batches(scaled, loaded.affine, recipe.evaluation_batch_size)
    score = evaluate(loaded.network, recipe.loss, batches, outputs, recipe.test_time_augmentation)
    return evaluation_of(loaded, split, examples, score, outputs)


def evaluation_of(loaded: LoadedRun, split: str, examples: Examples, score: Score, outputs: Array) -> Evaluation:
    """The Evaluation of the network's own outputs (N, K), which for a regression are of the scaled targets."""
    t = examples.targets[examples.rows]
    measured: Classified | Regressed
    if loaded.classes is not None:
        measured = Classified.of(loaded.config, loaded.classes, t, outputs)
    else:
        measured = Regressed(loaded.target_names, t, loaded.target_affine.undo(outputs))
    return Evaluation(loaded.run.path, loaded.checkpoint, loaded.epoch, split, examples, score, measured)


def write_evaluation(loaded: LoadedRun, evaluation: Evaluation, folder: Path) -> None:
    """metrics.json, predictions.csv and, of a classifier, confusion_matrix.csv; each whole or not at all."""
    run, place = loaded.run, folder.relative_to(loaded.run.path)
    run.write_text(str(place / "metrics.json"), json_text(evaluation.to_dict(), indent=2) + "\n")
    run.write_text(str(place / "predictions.csv"), _predictions(evaluation))
    if isinstance(evaluation.measured, Classified):
        classes, counts = evaluation.measured.classes, evaluation.measured.counts.tolist()
        rows = ([name, *row] for name, row in zip(classes, counts, strict=True))
        run.write_text(str(place / "confusion_matrix.csv"), _csv(["true \\ predicted", *classes], rows))


def _predictions(evaluation: Evaluation) -> str:
    """A row per example: its row in the dataset's arrays, the truth, the prediction."""
    measured, numbers = evaluation.measured, evaluation.examples.rows.tolist()
    if isinstance(measured, Classified):
        names = measured.classes
        columns = (measured.t.tolist(), measured.predicted.tolist(), measured.confidence, measured.true_probability)
        rows: Iterable[Sequence[object]] = (
            [number, names[true], names[predicted], int(true == predicted), f"{sure:.6f}", f"{of_true:.6f}"]
            for number, true, predicted, sure, of_true in zip(numbers, *columns, strict=True)
        )
        return _csv(["index", "true", "predicted", "correct", "probability", "probability_of_true"], rows)
    header = [f"{what}_{name}" for what in ("true", "predicted") for name in measured.target_names]
    rows = ([number, *t, *y] for number, t, y in zip(numbers, measured.t.tolist(), measured.y.tolist(), strict=True))
    return _csv(["index", *header], rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _targets_table(regressed: Regressed) -> Table:
    columns = (Column("target"), Column("MSE", True), Column("MAE", True), Column("R2", True))
    figures = regressed.to_dict()
    rows = [*figures["per_target"], *([{"target": "mean", **figures}] if len(regressed.target_names) > 1 else [])]
    keys = ("mean_squared_error", "mean_absolute_error", "r2")
    return Table(columns, tuple((row["target"], *(decimal(row[key]) for key in keys)) for row in rows))
