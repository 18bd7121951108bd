"""Which epoch is best, when to stop, and what is remembered."""

from __future__ import annotations

import json
import math

from nnscratch.training.progress import EarlyStopping, Monitor, Progress


def rows(name: str, values: list[float]) -> list[dict[str, float]]:
    return [{name: value} for value in values]


def test_the_best_epoch_is_the_earliest_with_the_highest_accuracy() -> None:
    assert Monitor("val_accuracy").best_epoch(rows("val_accuracy", [0.1, 0.5, 0.5, 0.4])) == 2


def test_of_epochs_with_the_same_accuracy_the_one_with_the_lowest_loss_is_best() -> None:
    history = [
        {"val_accuracy": accuracy, "val_loss": loss}
        for accuracy, loss in [(0.8, 0.9), (0.8, 0.5), (0.7, 0.1), (0.8, 0.5), (0.8, math.nan), (0.8, 0.6)]
    ]
    assert Monitor("val_accuracy").best_epoch(history) == 2


def test_an_equal_accuracy_with_a_lower_loss_keeps_early_stopping_away() -> None:
    history = [{"val_accuracy": 1.0, "val_loss": loss} for loss in (0.9, 0.8, 0.7, 0.7)]
    monitor = Monitor("val_accuracy")
    assert monitor.epochs_without_improvement(history) == 1
    assert monitor.epochs_without_improvement(history, minimum_change=0.01) == 3


def test_a_monitored_loss_is_to_fall() -> None:
    assert Monitor("val_loss").best_epoch(rows("val_loss", [3, 1, 2, 1])) == 2


def test_an_epoch_that_is_not_a_number_is_never_best() -> None:
    assert Monitor("val_loss").best_epoch(rows("val_loss", [math.nan, 2])) == 2
    assert Monitor("val_loss").best_epoch([]) is None


def test_early_stopping_is_due_after_patience_epochs_without_improvement() -> None:
    stopping, monitor = EarlyStopping(patience=2), Monitor("val_accuracy")
    assert not stopping.is_due(monitor, rows("val_accuracy", [0.5, 0.4]))
    assert stopping.is_due(monitor, rows("val_accuracy", [0.5, 0.4, 0.5]))


def test_an_improvement_below_the_minimum_change_does_not_count() -> None:
    stopping, monitor = EarlyStopping(patience=2, minimum_change=0.1), Monitor("val_loss")
    assert stopping.is_due(monitor, rows("val_loss", [1.0, 0.95, 0.92]))
    assert not stopping.is_due(monitor, rows("val_loss", [1.0, 0.95, 0.85]))


def test_progress_survives_json_unchanged() -> None:
    row = {"epoch": 1, "train_loss": 1 / 3, "train_seconds": 0.5}
    progress = Progress(epoch=1, step=3, updates=13, loss_sum=0.1 + 0.2, history=[row])
    assert Progress.from_dict(json.loads(json.dumps(progress.to_dict()))) == progress


def test_a_metric_that_had_no_meaning_in_an_epoch_does_not_keep_a_run_from_going_on() -> None:
    row = {"epoch": 1.0, "train_loss": 0.5, "train_seconds": 1.0, "val_cohen_kappa": float("nan")}
    values = {**Progress().to_dict(), "epoch": 1, "history": [row]}
    assert math.isnan(Progress.from_dict(values).history[0]["val_cohen_kappa"])
