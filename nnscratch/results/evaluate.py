"""`nnscratch evaluate`: how good a run's network is on a split, in figures, tables and plots."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnscratch.config.assembly import build_recipe
from nnscratch.config.data import Splits, load_dataset, split_dataset
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.suspicions import seen_before
from nnscratch.errors import UsageError, UserError, did_you_mean
from nnscratch.host.display import Display
from nnscratch.host.json_text import json_text
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.losses import Loss
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.report.formats import printable
from nnscratch.results.decisions import Decision, Wanted
from nnscratch.results.drawing import pictures_may_fail
from nnscratch.results.evaluation import Evaluation, Subject, subject_of
from nnscratch.results.labelled import read_labelled
from nnscratch.results.measured import Calibration, Classified, Regressed
from nnscratch.results.pictures import draw_evaluation
from nnscratch.results.subgroups import Groups, cells_of_split, kind_of
from nnscratch.results.timing import time_predictions
from nnscratch.runs import layout
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of
from nnscratch.runs.looks import Look, note_look
from nnscratch.runs.trained_examples import trained_examples
from nnscratch.training.batches import Batches
from nnscratch.training.evaluation import Score, evaluate, require_finite
from nnscratch.training.examples import Examples
from nnscratch.training.metrics.probabilities import ExpectedCalibrationError
from nnscratch.training.recipe import evaluation_batch_size, prepare_loss
from nnscratch.training.scaling import scale_targets

SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class Request:
    """What `nnscratch evaluate` is asked for."""

    split: str = "test"
    checkpoint: str = "best"
    data: Path | None = None
    """Labelled data of one's own, in place of a split."""
    threshold_for: str | None = None
    by: str | None = None
    """A column of the table: figures for each of its groups, too."""
    timing: bool = False


def evaluate_run(
    path: Path, request: Request, workplace: Workplace, display: Display, communicator: Communicator = ALONE
) -> Evaluation:
    """Evaluates a run's network on one of its splits, or on other data, and writes evaluation/<name>/ into the run.

    Processes that call it together share out the examples; rank 0 writes.
    """
    if request.split not in SPLITS:
        close = did_you_mean(request.split, SPLITS)
        raise UsageError(f"there is no split {request.split}{close}", f"one of {', '.join(SPLITS)}")
    loaded = load_run(path, request.checkpoint)
    wanted = None if request.threshold_for is None else Wanted.parse(request.threshold_for, loaded.classes)
    threads = use_threads_of(loaded, workplace.threads)
    dataset, splits, decision = None, None, None
    if request.data is None or wanted is not None:
        dataset, splits = load_data(loaded, workplace, display)
        decision = None if wanted is None else _decide(loaded, wanted, dataset, splits, communicator)
    if request.data is not None:
        evaluation = evaluate_other(loaded, request.data, decision, request.by, communicator)
        seen = _trained_on(loaded, request.data, evaluation.examples, workplace)
        evaluation = replace(evaluation, note="\n".join(filter(None, [evaluation.note, seen])))
    else:
        assert dataset is not None
        assert splits is not None
        evaluation = evaluate_split(loaded, dataset, splits, request.split, decision, request.by, communicator)
    if communicator.rank:
        return evaluation
    if request.timing:
        evaluation = replace(evaluation, timing=time_predictions(loaded, evaluation.examples, threads))
    try:
        write_evaluation(loaded, evaluation)
    except UserError as error:  # as on a disk that is full or may only be read: what was computed is shown
        return replace(evaluation, failure=error)
    if workplace.plots:
        with pictures_may_fail(display, f"the figures are in {evaluation.folder}"):
            draw_evaluation(evaluation, loaded.run)
    return evaluation


def load_data(loaded: LoadedRun, workplace: Workplace, display: Display) -> tuple[Dataset, Splits]:
    """The run's own data and splits; DataError when what is there now does not fit the network.

    Data that fits but is not the same is used, with a warning.
    """
    dataset = load_dataset(
        loaded.config, workplace.data_dir, display.detail, display.download, workplace.download, loaded.trained_on
    )
    dataset = loaded.fitted(dataset)
    trained_on = loaded.run.read_meta().dataset.digest
    if trained_on is not None and trained_on != dataset.digest():
        display.warn(
            f"{dataset.name} in {dataset.origin} is not the data {loaded.run.path} was trained on: "
            "figures will differ, and what is now val or test may have been trained on"
        )
    return dataset, split_dataset(loaded.config, dataset)


def evaluate_split(
    loaded: LoadedRun,
    dataset: Dataset,
    splits: Splits,
    split: str,
    decision: Decision | None = None,
    by: str | None = None,
    communicator: Communicator = ALONE,
) -> Evaluation:
    """The network's figures on that split, computed in the batches that training computes them in."""
    examples = splits.named(split)
    if examples is None:
        there = [name for name in SPLITS if splits.named(name) is not None]
        raise UserError(f"{loaded.run.path} has no {split} split", f"--split takes {' or '.join(there)}")
    groups = None if by is None else Groups.by(by, *cells_of_split(loaded, dataset, splits, split, by))
    recipe = build_recipe(loaded.config, dataset, splits)
    score, outputs = _outputs(loaded, examples, recipe.loss, communicator)
    return evaluation_of(loaded, Subject(split), examples, score, outputs, decision, groups)


def evaluate_other(
    loaded: LoadedRun,
    path: Path,
    decision: Decision | None = None,
    by: str | None = None,
    communicator: Communicator = ALONE,
) -> Evaluation:
    """The network's figures on labelled data that is none of its splits.

    A loss with balanced class weights takes them from that data.
    """
    labelled = read_labelled(loaded, path, by)
    groups = None
    if by is not None and labelled.cells is not None:
        groups = Groups.by(by, labelled.cells, kind_of(by, loaded.encoding, labelled.cells))
    loss = loaded.config.loss.build()
    prepare_loss(loss, labelled.examples, loaded.outputs)
    score, outputs = _outputs(loaded, labelled.examples, loss, communicator)
    subject = subject_of(loaded.run, path)
    evaluation = evaluation_of(loaded, subject, labelled.examples, score, outputs, decision, groups)
    return replace(evaluation, note="\n".join(filter(None, [labelled.note, evaluation.note])))


def _trained_on(loaded: LoadedRun, path: Path, examples: Examples, workplace: Workplace) -> str:
    """How many of other examples the run trained on; empty for none, and where the data of training is not at hand."""
    train = None if loaded.config.data.place is None else trained_examples(loaded, path, workplace)
    number = None if train is None else seen_before((train.inputs, train.rows), (examples.inputs, examples.rows))
    if not number:
        return ""
    which = "this input" if len(examples) == 1 else f"{number:,} of these {len(examples):,} inputs"
    found = f"{which} {'is' if number == 1 else 'are'} among those that the run trained on"
    return f"{found}: the figures may look better than they are"


@np.errstate(all="ignore")  # what overflows is found in the outputs
def _outputs(loaded: LoadedRun, examples: Examples, loss: Loss, communicator: Communicator) -> tuple[Score, Array]:
    outputs = np.empty((len(examples), loaded.outputs), np.float32)
    batches = Batches(
        scale_targets(examples, loaded.target_affine),
        loaded.affine,
        evaluation_batch_size(loaded.config.training.batch_size),
    )
    views = loaded.config.evaluation.test_time_augmentation
    score = evaluate(loaded.network, loss, batches, outputs, views, communicator)
    require_finite(outputs)
    return score, outputs


def _decide(
    loaded: LoadedRun, wanted: Wanted, dataset: Dataset, splits: Splits, communicator: Communicator
) -> Decision:
    """The threshold that reaches what is wanted on the validation split."""
    examples = splits.validation
    if examples is None:
        again = shlex.join(["nnscratch", "train", str(loaded.run.config), "data.validation=0.1"])
        raise UserError(
            f"{loaded.run.path} has no validation split to choose a threshold on: it must be trained again with one",
            f"for example: {again}",
        )
    _, outputs = _outputs(loaded, examples, build_recipe(loaded.config, dataset, splits).loss, communicator)
    return Decision.choose(wanted, examples.targets[examples.rows], loaded.probabilities(outputs))


def evaluation_of(
    loaded: LoadedRun,
    subject: Subject,
    examples: Examples,
    score: Score,
    outputs: Array,
    decision: Decision | None = None,
    groups: Groups | None = None,
) -> Evaluation:
    """The Evaluation of the network's own outputs (N, K), which for a regression are of the scaled targets."""
    t, rng = examples.targets[examples.rows], RandomStreams(loaded.config.seed).stream("bootstrap")
    measured: Classified | Regressed
    if loaded.classes is not None:
        p, calibration = loaded.probabilities(outputs), _calibration(loaded, t, outputs)
        predicted = np.argmax(outputs, axis=1) if decision is None else decision.predict(p)
        measured = Classified.of(loaded.classes, t, predicted, p, rng, calibration)
        found = () if groups is None else groups.figures(t, p, rng, predicted)
    else:
        y = loaded.values(outputs)
        require_finite(y)
        measured = Regressed.of(loaded.target_names, t, y, rng)
        found = () if groups is None else groups.figures(t, y, rng)
    note = _notes(loaded, subject)
    return Evaluation(
        loaded.run.path,
        loaded.checkpoint,
        loaded.epoch,
        subject,
        examples,
        score,
        measured,
        note,
        decision,
        by="" if groups is None else groups.column,
        subgroups=found,
    )


def _calibration(loaded: LoadedRun, t: Array, y: Array) -> Calibration | None:
    if loaded.temperature == 1:
        return None
    before = loaded.config.loss.component.probabilities(y)
    return Calibration(loaded.temperature, ExpectedCalibrationError()(t, before))


def _notes(loaded: LoadedRun, subject: Subject) -> str:
    """What a reader would not expect of the figures."""
    is_raw = loaded.config.evaluation.calibrate != "none" and loaded.temperature == 1
    raw = "not calibrated: the temperature belongs to the weights in best.npz" if is_raw else ""
    return "\n".join(filter(None, [_difference_from_training(loaded, subject), raw]))


def _difference_from_training(loaded: LoadedRun, subject: Subject) -> str:
    """Why the val figures are not training's own; empty where they are."""
    views = loaded.record.views
    if subject.name != "val" or views == "none":
        return ""
    return f"averaged over the views of test_time_augmentation: {views}, as val_loss during training is not"


def write_evaluation(loaded: LoadedRun, evaluation: Evaluation) -> None:
    """metrics.json, predictions.csv and, of a classifier, confusion_matrix.csv; each whole or not at all."""
    run, folder = loaded.run, f"{layout.EVALUATION}/{evaluation.name}"
    note_look(run, Look(evaluation.name, "evaluate", evaluation.score.examples, evaluation.checkpoint_name))
    run.write_text(f"{folder}/metrics.json", json_text(evaluation.to_dict(), indent=2) + "\n")
    run.write_text(f"{folder}/predictions.csv", _predictions(evaluation))
    if isinstance(evaluation.measured, Classified):
        classes, counts = evaluation.measured.classes, evaluation.measured.counts.tolist()
        rows = ([name, *row] for name, row in zip(classes, counts, strict=True))
        run.write_text(f"{folder}/confusion_matrix.csv", _csv(["true \\ predicted", *classes], rows))


def _predictions(evaluation: Evaluation) -> str:
    """A row per example: its row in the dataset's arrays or its own name, as a file, the truth, the prediction."""
    measured, numbers = evaluation.measured, evaluation.examples.rows.tolist()
    names = evaluation.examples.names
    first = "index"
    if names is not None:
        first, numbers = (
            ("example" if evaluation.subject.source is not None else "file"),
            [printable(names[row]) for row in numbers],
        )
    if isinstance(measured, Classified):
        classes = measured.classes
        columns = (measured.t.tolist(), measured.predicted.tolist(), measured.confidence, measured.true_probability)
        rows: Iterable[Sequence[object]] = (
            [number, classes[true], classes[predicted], int(true == predicted), f"{sure:.6f}", f"{of_true:.6f}"]
            for number, true, predicted, sure, of_true in zip(numbers, *columns, strict=True)
        )
        return _csv([first, "true", "predicted", "correct", "probability", "probability_of_true"], rows)
    header = [f"{what}_{name}" for what in ("true", "predicted") for name in measured.target_names]
    rows = ([number, *t, *y] for number, t, y in zip(numbers, measured.t.tolist(), measured.y.tolist(), strict=True))
    return _csv([first, *header], rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
