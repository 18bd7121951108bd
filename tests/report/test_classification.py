from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import BarContainer
from numpy.typing import NDArray

from nnscratch.report.classification import (
    confusion_matrix,
    per_class,
    reliability,
    row_fractions,
)
from nnscratch.report.values import ClassScores


def test_rows_of_fractions_sum_to_one_and_empty_rows_stay_zero() -> None:
    np.testing.assert_array_equal(row_fractions([[3, 1], [0, 0]]), [[0.75, 0.25], [0.0, 0.0]])


def test_the_confusion_matrix_shows_counts_classes_and_accuracy(
    confusion: NDArray[np.int64], classes: tuple[str, ...], tmp_path: Path
) -> None:
    figure = confusion_matrix(confusion, classes, tmp_path / "confusion.png")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(classes)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(classes)
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    for (row, column), number in np.ndenumerate(confusion):
        assert shown.get((column, row), "0") == str(number)
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), confusion / 1000)
    accuracy = 100 * np.trace(confusion) / confusion.sum()
    assert figure.get_suptitle() == f"Predictions: {accuracy:.2f} % of 10,000 right"


def test_a_hundred_classes_have_colours_and_a_name_for_every_third(tmp_path: Path) -> None:
    names = [f"class {index}" for index in range(100)]
    axes = confusion_matrix(np.eye(100, dtype=int), names, tmp_path / "confusion.png").axes[0]
    assert not axes.texts
    assert [label.get_text() for label in axes.get_yticklabels()] == names[::3]


def test_a_matrix_that_does_not_fit_the_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 classes need a 3 x 3 matrix"):
        confusion_matrix(np.eye(2), ["a", "b", "c"], tmp_path / "confusion.png")


def test_class_names_in_any_script_or_with_markup_are_drawn(tmp_path: Path) -> None:
    figure = confusion_matrix([[1, 0], [0, 1]], ["猫\n$x^2$", "_dog"], tmp_path / "confusion.png")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [r"\u732b \$x^2\$", "_dog"]


def test_bars_are_as_long_as_the_scores_with_the_best_f1_on_top(tmp_path: Path) -> None:
    scores = [ClassScores("cat", 0.9, 0.8, 0.85, 10), ClassScores("dog", 0.2, 0.4, 0.27, 1200)]
    axes = per_class(scores, tmp_path / "bars.png").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dog (1,200)", "cat (10)"]
    bars = [[bar.get_width() for bar in bars] for bars in axes.containers if isinstance(bars, BarContainer)]
    assert bars == [[0.27, 0.85], [0.4, 0.8], [0.2, 0.9]]
    hatches = {bars[0].get_hatch() for bars in axes.containers if isinstance(bars, BarContainer)}
    assert len(hatches) == 3


def test_many_classes_have_marks_instead_of_bars(tmp_path: Path) -> None:
    scores = [ClassScores(f"class {index}", 0.5, 0.6, index / 40, 10) for index in range(30)]
    axes = per_class(scores, tmp_path / "marks.png").axes[0]
    assert not axes.containers
    np.testing.assert_allclose(
        np.asarray(axes.lines[0].get_xdata(), dtype=np.float64), [index / 40 for index in range(30)]
    )


def test_the_reliability_diagram_shows_accuracies_and_the_error(tmp_path: Path) -> None:
    figure = reliability([np.nan, 0.75], [np.nan, 0.5], [0, 40], 0.25, tmp_path / "reliability.png", title="Test")
    assert figure.get_suptitle() == "Test: calibration error (ECE) 25.00 %"
    accuracy, gap = (bars[0] for bars in figure.axes[0].containers if isinstance(bars, BarContainer))
    assert (accuracy.get_height(), gap.get_height(), gap.get_y()) == (0.5, 0.25, 0.5)
