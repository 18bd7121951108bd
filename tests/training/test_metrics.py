"""Every figure against a hand-made example, and against scikit-learn where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnscratch.component import catalogue
from nnscratch.training.metrics import intervals
from nnscratch.training.metrics.classification import (
    ClassCounts,
    accuracy,
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    macro_f1,
    top_k_accuracy,
)
from nnscratch.training.metrics.known import goal_of, metrics_of, monitorable
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.metrics.probabilities import LogLoss, reliability
from nnscratch.training.metrics.ranking import AveragePrecision, RocAuc, ThresholdCurve
from nnscratch.training.metrics.regression import R2, mean_absolute_error, mean_squared_error, r2_score

T = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 1])


def test_confusion_matrix_counts_true_classes_down_and_predicted_across() -> None:
    assert confusion_matrix(T, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 1, 1], [0, 1, 0]]


def test_confusion_matrix_keeps_a_row_for_a_class_without_examples() -> None:
    assert confusion_matrix(T, PREDICTED, 4).shape == (4, 4)


def test_precision_recall_and_f1_of_the_example() -> None:
    figures = ClassCounts.of(confusion_matrix(T, PREDICTED, 4))
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
    assert r2_score(t, y)[0] == pytest.approx(1 - 2 / 8)


@pytest.mark.parametrize("constant", [1.0, 0.1])
def test_a_constant_target_has_no_r2_and_the_mean_is_over_those_that_vary(constant: float) -> None:
    t = np.column_stack([np.full(30, constant, np.float32), np.arange(30)])
    y = t + np.array([0.0, 1.0])
    assert np.isnan(r2_score(t, y)).tolist() == [True, False]
    assert R2()(t, y) == r2_score(t, y)[1]
    assert np.isnan(R2()(t[:, :1], y[:, :1]))


def test_classification_figures_equal_those_of_scikit_learn(oracle: Callable[[str], Any]) -> None:
    scikit_learn = oracle("sklearn.metrics")
    rng = np.random.default_rng(0)
    t = np.concatenate([np.arange(7), rng.integers(0, 6, 500)])  # class 6 is rare
    y = rng.normal(size=(len(t), 7)) + 1.5 * np.eye(7)[t]
    predicted = y.argmax(axis=1)
    counts = confusion_matrix(t, predicted, 7)
    assert np.array_equal(counts, scikit_learn.confusion_matrix(t, predicted))
    figures = ClassCounts.of(counts)
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
    assert r2_score(t, y)[:2] == pytest.approx(scikit_learn.r2_score(*wide, multioutput="raw_values")[:2])


def test_a_class_without_examples_does_not_lower_the_macro_averages() -> None:
    figures = ClassCounts.of(np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]]))
    assert figures.macro(figures.recall) == pytest.approx((1 + 1 / 2) / 2)
    assert figures.macro(figures.precision) == pytest.approx((2 / 3 + 1) / 2)


def some_predictions(classes: int, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities with ties among them."""
    rng = np.random.default_rng(seed)
    t = np.concatenate([np.arange(classes), rng.integers(0, classes, examples - classes)])
    y = np.round(rng.normal(size=(examples, classes)) + np.eye(classes)[t], 1)
    p = np.exp(y)
    return t, p / p.sum(axis=1, keepdims=True)


def scikit_learns(scikit_learn: Any, t: np.ndarray, p: np.ndarray) -> dict[str, float]:
    predicted, truth = p.argmax(axis=1), np.eye(p.shape[1])[t]
    score = p[:, 1] if p.shape[1] == 2 else p
    return {
        "accuracy": scikit_learn.accuracy_score(t, predicted),
        "balanced_accuracy": scikit_learn.balanced_accuracy_score(t, predicted),
        "macro_f1": scikit_learn.f1_score(t, predicted, average="macro"),
        "cohen_kappa": scikit_learn.cohen_kappa_score(t, predicted),
        "log_loss": scikit_learn.log_loss(t, p),
        "brier_score": scikit_learn.brier_score_loss(t, score),
        "roc_auc": scikit_learn.roc_auc_score(t, score, multi_class="ovr"),
        "average_precision": scikit_learn.average_precision_score(t if p.shape[1] == 2 else truth, score),
    }


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_every_metric_of_labels_equals_that_of_scikit_learn(classes: int, oracle: Callable[[str], Any]) -> None:
    t, p = some_predictions(classes, 300, classes)
    expected = scikit_learns(oracle("sklearn.metrics"), t, p)
    ours = {metric.name: metric(t, p) for metric in metrics_of("classification")}
    # scikit-learn has no calibration error, and another rule for ties among five: both are compared elsewhere.
    del ours["expected_calibration_error"], ours["top5_accuracy"]
    assert ours == pytest.approx(expected, rel=1e-12)


def test_every_metric_of_numbers_equals_that_of_scikit_learn(oracle: Callable[[str], Any]) -> None:
    scikit_learn = oracle("sklearn.metrics")
    rng = np.random.default_rng(5)
    t = rng.normal(30, 5, size=(101, 2))
    y = t + rng.normal(size=t.shape)
    ours = {metric.name: metric(t, y) for metric in metrics_of("regression")}
    theirs = {
        "mean_squared_error": scikit_learn.mean_squared_error,
        "root_mean_squared_error": scikit_learn.root_mean_squared_error,
        "mean_absolute_error": scikit_learn.mean_absolute_error,
        "median_absolute_error": scikit_learn.median_absolute_error,
        "r2": scikit_learn.r2_score,
    }
    assert ours == pytest.approx({name: function(t, y) for name, function in theirs.items()}, rel=1e-12)


def test_curves_have_the_points_of_scikit_learns(oracle: Callable[[str], Any]) -> None:
    scikit_learn = oracle("sklearn.metrics")
    t, p = some_predictions(2, 200, 1)
    curve = ThresholdCurve.of(t == 1, p[:, 1])
    false, true, thresholds = scikit_learn.roc_curve(t, p[:, 1], drop_intermediate=False)
    assert curve.false_positive_rate == pytest.approx(false[1:])
    assert curve.recall == pytest.approx(true[1:])
    assert curve.thresholds == pytest.approx(thresholds[1:])
    precision, recall, _ = scikit_learn.precision_recall_curve(t, p[:, 1])
    assert curve.precision[::-1] == pytest.approx(precision[:-1])
    assert curve.recall[::-1] == pytest.approx(recall[:-1])


def test_guessing_alike_for_all_has_an_area_of_one_half_and_a_precision_of_the_share() -> None:
    t = np.array([0, 0, 0, 1])
    p = np.full((4, 2), 0.5)
    assert RocAuc()(t, p) == 0.5
    assert AveragePrecision()(t, p) == 0.25


def test_metrics_without_meaning_are_not_a_number_and_say_when() -> None:
    t, p = np.zeros(5, np.int64), np.tile([0.9, 0.1], (5, 1))
    undefined = {metric.name for metric in metrics_of("classification") if np.isnan(metric(t, p))}
    assert undefined == {"roc_auc", "average_precision", "cohen_kappa"}
    assert all(catalogue(Metric)[name].undefined for name in undefined)


def test_a_class_without_examples_has_no_part_in_means_over_classes() -> None:
    t, p = some_predictions(3, 60, 4)
    absent = np.column_stack([p, np.zeros(60)])
    for metric in metrics_of("classification"):
        if metric.name in ("balanced_accuracy", "macro_f1", "roc_auc", "average_precision"):
            assert metric(t, absent) == pytest.approx(metric(t, p)), metric.name


def test_one_sure_and_wrong_prediction_makes_no_infinite_log_loss() -> None:
    assert LogLoss()(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(-np.log(np.finfo(float).eps))


def test_errors_and_losses_are_to_fall_and_all_else_to_rise() -> None:
    falling = {value for value in monitorable() if goal_of(value) == "minimize"}
    assert falling == {
        "val_loss", "val_log_loss", "val_brier_score", "val_expected_calibration_error", "val_mean_squared_error",
        "val_root_mean_squared_error", "val_mean_absolute_error", "val_median_absolute_error",
    }  # fmt: skip
    assert goal_of("train_loss") == "minimize"
    assert goal_of("train_accuracy") == "maximize"


def test_the_interval_of_an_accuracy_is_that_of_a_binomial_share() -> None:
    # 900 of 1000 right: standard error sqrt(0.9 * 0.1 / 1000) = 0.0095, 1.96 of them each way.
    assert intervals.of_share(900, 1000) == pytest.approx((0.9 - 1.96 * 0.0095, 0.9 + 1.96 * 0.0095), abs=0.002)
    counts = np.array([[500, 40], [60, 400]])
    drawn = intervals.of_counts(counts, {"accuracy": accuracy}, np.random.default_rng(0))
    assert intervals.of_share(900, 1000) == pytest.approx(drawn["accuracy"], abs=0.004)


@pytest.mark.parametrize(("right", "N"), [(0, 1), (1, 3), (7, 40), (50, 50), (599, 600), (123_456, 1_000_000)])
def test_the_interval_of_a_share_is_that_of_wilson_as_scipy_has_it(
    right: int, N: int, oracle: Callable[[str], Any]
) -> None:
    expected = oracle("scipy.stats").binomtest(right, N).proportion_ci(method="wilson")
    assert intervals.of_share(right, N) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_all_right_of_a_few_examples_is_no_certainty_and_one_more_right_is_never_worse() -> None:
    low, high = intervals.of_share(50, 50)
    assert (0.9 < low < 0.94, high) == (True, 1.0)
    assert intervals.of_share(0, 50) == pytest.approx((0.0, 1 - low))
    for N in (1, 11, 200):
        lows, highs = zip(*(intervals.of_share(right, N) for right in range(N + 1)), strict=True)
        assert list(lows) == sorted(lows)
        assert list(highs) == sorted(highs)
        assert max(highs[:-1]) < 1


def test_intervals_of_counts_are_those_of_examples_drawn_again_one_by_one() -> None:
    rng = np.random.default_rng(0)
    t, p = some_predictions(3, 200, 9)
    predicted = p.argmax(axis=1)
    figures = {"balanced": balanced_accuracy, "f1": macro_f1, "kappa": cohen_kappa}
    found = intervals.of_counts(confusion_matrix(t, predicted, 3), figures, rng)
    drawn: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(1000):
        rows = rng.integers(0, 200, 200)
        counts = ClassCounts.of(confusion_matrix(t[rows], predicted[rows], 3))
        for name, figure in figures.items():
            drawn[name].append(float(figure(counts)))
    for name, values in drawn.items():
        assert found[name] == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.012), name


def interval_of(values: Any) -> tuple[float, float]:
    found = intervals.between(values)
    assert found is not None
    return found


@pytest.mark.parametrize("examples", [400, 20_000])
def test_the_interval_of_a_mean_is_its_standard_error_also_in_blocks(examples: int) -> None:
    rng = np.random.default_rng(1)
    values = np.sort(rng.normal(3, 2, examples))[:, None]  # sorted: blocks must not follow the order
    low, high = interval_of(intervals.Resamples(examples, rng).means(values)[:, 0])
    half = 1.96 * float(values.std()) / np.sqrt(examples)
    assert (low, high) == pytest.approx((float(values.mean()) - half, float(values.mean()) + half), abs=0.12 * half)


def test_an_interval_covers_the_true_accuracy_in_about_95_of_100_samples() -> None:
    rng, covered = np.random.default_rng(3), 0
    for _ in range(200):
        low, high = intervals.of_share(int(rng.binomial(300, 0.8)), 300)
        covered += low <= 0.8 <= high
    assert 180 <= covered <= 198


def test_an_interval_covers_a_high_accuracy_as_often() -> None:
    rng = np.random.default_rng(4)
    covered = []
    for share in rng.uniform(0.9, 1, 4000):
        low, high = intervals.of_share(int(rng.binomial(200, share)), 200)
        covered.append(low <= share <= high)
    assert 0.94 < np.mean(covered) < 0.97


def drawn_one_by_one(figure: Callable[[Any], float], N: int) -> tuple[float, float]:
    """The interval of a figure of rows, by its definition."""
    rng = np.random.default_rng(7)
    return interval_of(np.array([figure(rng.integers(0, N, N)) for _ in range(1000)]))


@pytest.mark.parametrize(("N", "share"), [(60, 0.2), (1500, 0.5), (4000, 0.01)])
def test_intervals_of_areas_are_those_of_examples_drawn_again_one_by_one(N: int, share: float) -> None:
    rng = np.random.default_rng(2)
    is_positive = rng.random(N) < share
    score = np.round(rng.normal(size=N) + 1.5 * is_positive, 2)  # with ties
    curve = ThresholdCurve.of(is_positive, score)
    areas = intervals.Resamples(N, rng).areas(curve, is_positive, score)
    for name, drawn in zip(("roc_auc", "average_precision"), areas, strict=True):
        expected = drawn_one_by_one(lambda rows: getattr(ThresholdCurve.of(is_positive[rows], score[rows]), name), N)  # noqa: B023
        width = expected[1] - expected[0]
        assert interval_of(drawn) == pytest.approx(expected, abs=0.12 * width), name


@pytest.mark.parametrize(("N", "step"), [(8, 0.01), (301, 0.01), (4000, 0.04)])
def test_the_interval_of_a_median_is_that_of_examples_drawn_again_one_by_one(N: int, step: float) -> None:
    values = np.round(np.random.default_rng(3).exponential(size=N) / step) * step
    drawn = intervals.Resamples(N, np.random.default_rng(0)).medians(values)
    expected = drawn_one_by_one(lambda rows: float(np.median(values[rows])), N)
    assert interval_of(drawn) == pytest.approx(expected, abs=max(0.15 * (expected[1] - expected[0]), 1e-9))


@pytest.mark.parametrize(("N", "power", "true"), [(150, 1.0, 0.0), (150, 1.5, 0.0668), (400, 1.1, 0.0141)])
def test_the_interval_of_a_calibration_error_covers_the_true_one_although_noise_only_adds_to_it(
    N: int, power: float, true: float
) -> None:
    rng, covered, by_chance, found = np.random.default_rng(4), 0, 0.0, 0.0
    for _ in range(60):
        confidence = 0.5 + 0.5 * rng.beta(2, 1, N)
        correct = rng.random(N) < confidence**power
        interval, chance = intervals.of_calibration(confidence, correct, intervals.Resamples(N, rng), rng)
        assert interval is not None
        covered += interval[0] <= true <= interval[1]
        by_chance += chance / 60
        found += reliability(confidence, correct).expected_calibration_error / 60
    assert 53 <= covered <= 60
    if power == 1:  # all of what is found is chance
        assert by_chance == pytest.approx(found, rel=0.1)


def test_resamples_that_are_all_alike_give_no_interval() -> None:
    is_positive = np.arange(20) < 10
    score = np.linspace(1, 0, 20)
    auc, precision = intervals.Resamples(20, np.random.default_rng(0)).areas(
        ThresholdCurve.of(is_positive, score), is_positive, score
    )
    assert intervals.between(auc) is None
    assert intervals.between(precision) is None
    all_right = intervals.of_counts(np.diag([10, 10]), {"kappa": cohen_kappa}, np.random.default_rng(0))
    assert all_right == {"kappa": None}
