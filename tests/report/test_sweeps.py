"""Plots of sweeps, of regressions and of accuracy against time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnscratch.report.parallel_coordinates import NOWHERE, parallel_coordinates, scale_of
from nnscratch.report.regression import r_squared, regression_scatter
from nnscratch.report.sweeps import accuracy_against_time, parameter_importance, sweep_history
from nnscratch.report.values import Goal, TimedAccuracy


@pytest.mark.parametrize(("goal", "best"), [("maximize", [0.5, 0.5, 0.5, 0.7]), ("minimize", [0.5, 0.5, 0.5, 0.5])])
def test_the_best_so_far_counts_completed_trials_only(goal: Goal, best: list[float], tmp_path: Path) -> None:
    statuses = ["completed", "pruned", "diverged", "completed"]
    figure = sweep_history([0.5, 0.9, None, 0.7], statuses, tmp_path / "h.png", goal=goal, metric="val_accuracy")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["completed", "pruned", "diverged", "best so far"]
    np.testing.assert_array_equal(figure.axes[0].lines[-1].get_ydata(), best)
    assert figure.axes[0].get_title("right") == f"best {100 * best[-1]:.2f} %"


@pytest.mark.parametrize("values", [[], [None, float("nan")]])
def test_a_sweep_without_a_value_says_so(values: list[float | None], tmp_path: Path) -> None:
    figure = sweep_history(values, ["failed"] * len(values), tmp_path / "h.png", goal="minimize")
    assert "no trial has completed yet" in [text.get_text() for text in figure.axes[0].texts]


def test_the_most_important_parameter_is_on_top(tmp_path: Path) -> None:
    axes = parameter_importance(["l2", "rate"], [0.25, 0.75], tmp_path / "i.png").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["l2", "rate"]
    assert [text.get_text() for text in axes.texts] == ["25 %", "75 %"]


def test_a_wide_range_is_logarithmic() -> None:
    scale = scale_of("rate", [1e-4, 1e-3, 1e-2, 3e-4, 3e-3, 2e-3])
    assert scale.is_logarithmic
    assert scale.heights[:3] == pytest.approx((0.0, 0.5, 1.0))
    assert [label for _, label in scale.ticks] == ["0.0001", "0.00032", "0.001", "0.0032", "0.01"]


def test_a_narrow_range_is_linear_and_a_gap_stays_a_gap() -> None:
    scale = scale_of("momentum", [0.5, 0.6, 0.7, 0.8, 0.9, None])
    assert not scale.is_logarithmic
    assert scale.heights[:-1] == pytest.approx((0.0, 0.25, 0.5, 0.75, 1.0))
    assert scale.heights[-1] is None


def test_a_few_numbers_lie_to_scale_at_ticks_of_their_own_and_equal_ones_at_one_height() -> None:
    rates = scale_of("rate", [1e-4, 1e-2, 1e-3, 1e-3])
    assert rates.is_logarithmic
    assert rates.heights == pytest.approx((0.0, 1.0, 0.5, 0.5))
    assert [label for _, label in rates.ticks] == ["0.0001", "0.001", "0.01"]


def test_words_are_evenly_spaced_categories() -> None:
    layers = scale_of("hidden_layers", [[512, 256], [256], [512, 256], True, None])
    assert [label for _, label in layers.ticks] == ["[256]", "[512, 256]", "true"]
    first, third = layers.heights[0], layers.heights[2]
    assert first is not None
    assert third is not None
    assert first < layers.ticks[1][0] < third


def test_every_trial_is_a_line_and_the_best_is_bold_and_black(tmp_path: Path) -> None:
    trials: list[dict[str, object]] = [{"rate": 0.1, "name": "adam"}, {"rate": 0.2, "name": "sgd"}, {"rate": 0.3}]
    figure = parallel_coordinates(trials, [2.0, 1.0, None], tmp_path / "p.png", goal="minimize", metric="val_loss")
    lost, worse, best = figure.axes[0].lines[:3]
    assert np.asarray(lost.get_ydata())[-1] == NOWHERE
    assert np.isnan(np.asarray(lost.get_ydata())[1])
    assert np.asarray(worse.get_ydata())[-1] == 1.0
    assert np.asarray(best.get_ydata())[-1] == 0.0
    assert best.get_color() == "black"
    assert best.get_linewidth() > worse.get_linewidth()
    assert figure.get_suptitle() == "Parameters of every trial: best 1, in black"


def test_the_first_of_tied_completed_trials_is_the_best(tmp_path: Path) -> None:
    trials: list[dict[str, object]] = [{"rate": 0.1}, {"rate": 0.2}, {"rate": 0.4}, {"rate": 0.3}]
    statuses = ["completed", "completed", "completed", "pruned"]
    figure = parallel_coordinates(trials, [0.5, 0.8, 0.8, 0.9], tmp_path / "p.png", goal="maximize", statuses=statuses)
    (best,) = [line for line in figure.axes[0].lines if line.get_linewidth() == 3.2]
    assert np.asarray(best.get_ydata())[0] == pytest.approx(1 / 3)
    assert (figure.get_suptitle() or "").endswith("best 0.8, in black")


@pytest.mark.parametrize("values", [[], [0.5], [None]])
def test_hardly_any_trials_are_no_error(values: list[float | None], tmp_path: Path) -> None:
    parallel_coordinates([{"rate": 0.1}] * len(values), values, tmp_path / "p.png", goal="maximize")
    assert (tmp_path / "p.png").exists()


def test_the_front_of_a_group_joins_the_points_that_nothing_faster_of_it_beats(tmp_path: Path) -> None:
    points = [
        TimedAccuracy("slow", 20.0, 0.5, "dense"),
        TimedAccuracy("better", 30.0, 0.7, "dense"),
        TimedAccuracy("fast", 1.0, 0.6, "dense"),
        TimedAccuracy("good", 10.0, 0.9, "convolutional"),
    ]
    axes = accuracy_against_time(points, tmp_path / "t.png").axes[0]
    dense, convolutional = (line.get_xydata() for line in axes.lines)
    np.testing.assert_array_equal(dense, [[1.0, 0.6], [30.0, 0.7]])
    np.testing.assert_array_equal(convolutional, [[10.0, 0.9]])
    assert {text.get_text() for text in axes.texts} == {"slow", "better", "fast", "good"}
    assert axes.get_xscale() == "log"


def test_r_squared_is_one_for_truth_and_zero_for_the_mean() -> None:
    assert r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1.0
    assert r_squared([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == 0.0
    assert np.isnan(r_squared([1.0, 1.0], [1.0, 2.0]))


def test_residuals_are_prediction_minus_truth(tmp_path: Path) -> None:
    figure = regression_scatter([1.0, 2.0, np.nan], [1.5, 1.0, 3.0], tmp_path / "r.png", targets=["price"])
    left, right = figure.axes
    np.testing.assert_array_equal(left.collections[0].get_offsets(), [[1.0, 1.5], [2.0, 1.0]])
    np.testing.assert_array_equal(right.collections[0].get_offsets(), [[1.5, 0.5], [1.0, -1.0]])
    assert left.get_title("left") == "price"
    assert right.get_title("right") == "mean absolute 0.75"


def test_a_very_bad_r2_is_told_by_its_power_of_ten(tmp_path: Path) -> None:
    figure = regression_scatter([1.0, 2.0], [16_001.0, -15_998.0], tmp_path / "r.png")
    assert figure.axes[0].get_title("right") == "R² -1.024·10⁹"


def test_each_target_has_a_row_of_its_own(tmp_path: Path) -> None:
    figure = regression_scatter(np.ones((4, 2)), np.zeros((4, 2)), tmp_path / "r.png")
    assert len(figure.axes) == 4
    with pytest.raises(ValueError, match="do not belong together"):
        regression_scatter(np.ones((4, 2)), np.ones((4, 1)), tmp_path / "r.png")
