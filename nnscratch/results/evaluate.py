"""`nnscratch evaluate`: how good a run's network is on a split, in figures, tables and plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from nnscratch.config.assembly import Splits, build_recipe, load_dataset, split_dataset
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import UsageError, UserError, did_you_mean
from nnscratch.host.display import Display
from nnscratch.host.json_text import json_text
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.drawing import pictures_may_fail
from nnscratch.results.evaluation import Evaluation
from nnscratch.results.measured import Classified, Regressed
from nnscratch.results.pictures import draw_evaluation
from nnscratch.runs import layout
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of
from nnscratch.training.batches import Batches
from nnscratch.training.evaluation import Score, evaluate
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import scale_targets

SPLITS = ("test", "val", "train")


def evaluate_run(path: Path, split: str, checkpoint: str, workplace: Workplace, display: Display) -> Evaluation:
    """Evaluates a run's network on one of its splits and writes evaluation/<split>/ into the run."""
    if split not in SPLITS:
        raise UsageError(f"there is no split {split}{did_you_mean(split, SPLITS)}", f"one of {', '.join(SPLITS)}")
    loaded = load_run(path, checkpoint)
    use_threads_of(loaded, workplace.threads)
    dataset, splits = load_data(loaded, workplace, display)
    evaluation = evaluate_split(loaded, dataset, splits, split)
    write_evaluation(loaded, evaluation)
    if workplace.plots:
        with pictures_may_fail(display, f"the figures are in {loaded.run.evaluation(split)}"):
            draw_evaluation(evaluation, loaded.run)
    return evaluation


def load_data(loaded: LoadedRun, workplace: Workplace, display: Display) -> tuple[Dataset, Splits]:
    """The run's own data and splits; DataError when what is there now does not fit the network.

    Data that fits but is not the same is used, with a warning.
    """
    dataset = load_dataset(loaded.config, workplace.data_dir, display.detail, display.download, workplace.download)
    loaded.check_fits(dataset)
    trained_on = loaded.run.read_meta().dataset.digest
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
        measured = Classified.of(loaded.classes, t, outputs, loaded.record.includes_softmax)
    else:
        measured = Regressed(loaded.target_names, t, loaded.target_affine.undo(outputs))
    note = _difference_from_training(loaded, split)
    return Evaluation(loaded.run.path, loaded.checkpoint, loaded.epoch, split, examples, score, measured, note)


def _difference_from_training(loaded: LoadedRun, split: str) -> str:
    """Why the val figures are not training's own; empty where they are."""
    views = loaded.record.views
    if split != "val" or views == "none":
        return ""
    return f"averaged over the views of test_time_augmentation: {views}, as val_loss during training is not"


def write_evaluation(loaded: LoadedRun, evaluation: Evaluation) -> None:
    """metrics.json, predictions.csv and, of a classifier, confusion_matrix.csv; each whole or not at all."""
    run, folder = loaded.run, f"{layout.EVALUATION}/{evaluation.split}"
    run.write_text(f"{folder}/metrics.json", json_text(evaluation.to_dict(), indent=2) + "\n")
    run.write_text(f"{folder}/predictions.csv", _predictions(evaluation))
    if isinstance(evaluation.measured, Classified):
        classes, counts = evaluation.measured.classes, evaluation.measured.counts.tolist()
        rows = ([name, *row] for name, row in zip(classes, counts, strict=True))
        run.write_text(f"{folder}/confusion_matrix.csv", _csv(["true \\ predicted", *classes], rows))


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
