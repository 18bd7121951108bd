"""Losses: known values, stability, gradients."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.errors import SettingError
from nnscratch.nn.losses import CrossEntropy, Loss, MeanSquaredError


def numeric_gradient(loss: Loss, y: np.ndarray, t: np.ndarray) -> np.ndarray:
    gradient = np.zeros_like(y)
    for index in np.ndindex(*y.shape):
        moved = y.copy()
        moved[index] += 1e-6
        up = loss(moved, t)[0]
        moved[index] -= 2e-6
        gradient[index] = (up - loss(moved, t)[0]) / 2e-6
    return gradient


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_number_of_classes() -> None:
    value, dy = CrossEntropy()(np.zeros((2, 10)), np.array([3, 7]))
    assert value == pytest.approx(np.log(10))
    assert dy[0, 3] == pytest.approx((0.1 - 1) / 2)
    assert dy[0, 0] == pytest.approx(0.1 / 2)


def test_cross_entropy_of_logits_of_ten_thousand_is_finite_in_float32() -> None:
    y = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    value, dy = CrossEntropy()(y, np.array([1, 1]))
    assert value == pytest.approx(1e4)  # (20,000 + 0) / 2
    assert np.isfinite(dy).all()


def test_label_smoothing_moves_its_share_of_the_truth_to_all_classes() -> None:
    y = np.log(np.array([[0.7, 0.2, 0.1]]))
    value, _ = CrossEntropy(label_smoothing=0.3)(y, np.array([0]))
    truth = np.array([0.8, 0.1, 0.1])
    assert value == pytest.approx(float(-(truth * np.log([0.7, 0.2, 0.1])).sum()))


def test_balanced_class_weights_give_every_class_the_same_total_weight() -> None:
    loss = CrossEntropy(class_weights="balanced")
    t = np.array([0, 0, 0, 1])
    loss.prepare(t, 2)
    value, _ = loss(np.zeros((4, 2)), t)
    assert value == pytest.approx(np.log(2))
    assert loss.weights == pytest.approx([4 / 6, 4 / 2])


def test_class_weights_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(SettingError, match=r"^class_weights has 2 numbers, the data has 3 classes$"):
        CrossEntropy(class_weights=(1.0, 2.0)).prepare(np.array([0, 1, 2]), 3)


def test_mean_squared_error_averages_over_examples_and_outputs() -> None:
    value, dy = MeanSquaredError()(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 4.0]]))
    assert value == pytest.approx((4 + 9) / 4)
    np.testing.assert_allclose(dy, np.array([[0, 1], [1.5, 0]]))


def test_mean_squared_error_takes_labels_as_vectors_with_a_one() -> None:
    y = np.array([[0.2, 0.8], [0.5, 0.5]])
    assert MeanSquaredError()(y, np.array([1, 0]))[0] == pytest.approx((0.04 + 0.04 + 0.25 + 0.25) / 4)


@pytest.mark.parametrize(
    "loss",
    [CrossEntropy(), CrossEntropy(0.2), CrossEntropy(0.2, class_weights=(1.0, 2.0, 0.5)), MeanSquaredError()],
    ids=["cross_entropy", "smoothed", "weighted", "mean_squared_error"],
)
def test_a_loss_gradient_agrees_with_central_differences(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((4, 3)), np.array([0, 2, 1, 1])
    loss.prepare(t, 3)
    expected = numeric_gradient(loss, y, t)
    np.testing.assert_allclose(loss(y, t)[1], expected, atol=1e-8)


@pytest.mark.parametrize("loss", [CrossEntropy(0.1), MeanSquaredError()], ids=["cross_entropy", "mean_squared_error"])
def test_the_losses_of_the_examples_average_to_the_value(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((6, 3)), rng.integers(0, 3, 6)
    assert loss(y.copy(), t)[0] == pytest.approx(float(np.mean(loss.per_example(y, t))))
