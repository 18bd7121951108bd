"""Every figure against a hand-made example, and against scikit-learn where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnscratch.training.metrics import (
    class_figures,
    confusion_matrix,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    reliability,
    top_k_accuracy,
)

T = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 1])


def test_confusion_matrix_counts_true_classes_down_and_predicted_across() -> None:
    assert confusion_matrix(T, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 1, 1], [0, 1, 0]]


def test_confusion_matrix_keeps_a_row_for_a_class_without_examples() -> None:
    assert confusion_matrix(T, PREDICTED, 4).shape == (4, 4)


def test_precision_recall_and_f1_of_the_example() -> None:
    figures = class_figures(confusion_matrix(T, PREDICTED, 4))
    assert figures.precision == pytest.approx([1, 1 / 3, 0, 0])
    assert figures.recall == pytest.approx([2 / 3, 1 / 2, 0, 0])
    assert figures.f1 == pytest.approx([4 / 5, 2 / 5, 0, 0])
    assert figures.support.tolist() == [3, 2, 1, 0]


def test_top_k_accuracy_counts_labels_among_the_k_largest() -> None:
    y = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    t = np.array([0, 1, 2])
    assert [top_k_accuracy(y, t, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_top_1_accuracy_breaks_ties_as_argmax_does() -> None:
    y = np.zeros((3, 3))
    t = np.array([0, 1, 2])
    assert top_k_accuracy(y, t, 1) == np.mean(np.argmax(y, axis=1) == t)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy_weighted_by_bin() -> None:
    # Bin (0.8, 0.9]: two at 0.85, one right: gap 0.35. Bin (0.5, 0.6]: two at 0.6, both right: gap 0.4.
    bins = reliability(np.array([0.85, 0.85, 0.6, 0.6]), np.array([True, False, True, True]), bins=10)
    assert bins.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 2, 0]
    assert bins.expected_calibration_error == pytest.approx(0.5 * 0.35 + 0.5 * 0.4)


def test_confidences_of_zero_and_one_fall_into_the_outer_bins() -> None:
    assert reliability(np.array([0.0, 1.0]), np.array([False, True]), bins=4).count.tolist() == [1, 0, 0, 1]


def test_perfectly_calibrated_predictions_have_no_calibration_error() -> None:
    bins = reliability(np.full(4, 0.75), np.array([True, True, True, False]))
    assert bins.expected_calibration_error == pytest.approx(0)


def test_regression_figures_are_per_target() -> None:
    t = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    y = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    assert mean_squared_error(t, y) == pytest.approx([2 / 3, 0])
    assert mean_absolute_error(t, y) == pytest.approx([2 / 3, 0])
    assert r2_score(t, y) == pytest.approx([1 - 2 / 8, 1])


def test_r2_of_a_constant_target_that_is_missed_is_zero() -> None:
    assert r2_score(np.ones((3, 1)), np.array([[1.0], [1.0], [1.1]])).tolist() == [0.0]


def test_classification_figures_equal_those_of_scikit_learn(oracle: Callable[[str], Any]) -> None:
    scikit_learn = oracle("sklearn.metrics")
    rng = np.random.default_rng(0)
    t = np.concatenate([np.arange(7), rng.integers(0, 6, 500)])  # class 6 is rare
    y = rng.normal(size=(len(t), 7)) + 1.5 * np.eye(7)[t]
    predicted = y.argmax(axis=1)
    counts = confusion_matrix(t, predicted, 7)
    assert np.array_equal(counts, scikit_learn.confusion_matrix(t, predicted))
    figures = class_figures(counts)
    expected = scikit_learn.precision_recall_fscore_support(t, predicted, zero_division=0.0)
    for ours, theirs in zip((figures.precision, figures.recall, figures.f1, figures.support), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-15)
    for k in (1, 2, 5):
        assert top_k_accuracy(y, t, k) == pytest.approx(scikit_learn.top_k_accuracy_score(t, y, k=k))


def test_reliability_bins_equal_those_of_scikit_learn(oracle: Callable[[str], Any]) -> None:
    calibration = oracle("sklearn.calibration")
    rng = np.random.default_rng(1)
    confidence = rng.uniform(size=400)
    correct = rng.uniform(size=400) < confidence**2
    bins = reliability(confidence, correct, bins=10)
    accuracy, mean = calibration.calibration_curve(correct, confidence, n_bins=10)
    assert bins.accuracy[bins.count > 0] == pytest.approx(accuracy)
    assert bins.confidence[bins.count > 0] == pytest.approx(mean)


def test_regression_figures_equal_those_of_scikit_learn(oracle: Callable[[str], Any]) -> None:
    scikit_learn = oracle("sklearn.metrics")
    rng = np.random.default_rng(2)
    t = rng.normal(50, 3, size=(200, 3)).astype(np.float32)
    y = (t + rng.normal(size=t.shape)).astype(np.float32)
    t[:, 2] = 7.0
    wide = (t.astype(np.float64), y.astype(np.float64))
    assert mean_squared_error(t, y) == pytest.approx(scikit_learn.mean_squared_error(*wide, multioutput="raw_values"))
    assert mean_absolute_error(t, y) == pytest.approx(scikit_learn.mean_absolute_error(*wide, multioutput="raw_values"))
    assert r2_score(t, y) == pytest.approx(scikit_learn.r2_score(*wide, multioutput="raw_values"))


def test_a_class_without_examples_does_not_lower_the_macro_averages() -> None:
    figures = class_figures(np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]]))
    assert figures.macro(figures.recall) == pytest.approx((1 + 1 / 2) / 2)
    assert figures.macro(figures.precision) == pytest.approx((2 / 3 + 1) / 2)
