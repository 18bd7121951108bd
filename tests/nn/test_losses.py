"""Losses: known values, stability, gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import SettingError
from nnscratch.nn.gradient_check import check_gradients, check_loss
from nnscratch.nn.layers import Dense, Tanh
from nnscratch.nn.losses import CrossEntropy, Huber, Loss, MeanAbsoluteError, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams


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


@pytest.mark.parametrize("weights", [(1e39, 1.0, 1.0), (0.0, 1e-50, 1.0), (math.nan, 1.0, 1.0)])
def test_class_weights_that_single_precision_has_not_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match=r"must be 0, or from 1e-30 to 1e\+30"):
        CrossEntropy(class_weights=weights).prepare(np.arange(3), 3)


def test_balanced_class_weights_give_every_class_the_same_total_weight() -> None:
    loss = CrossEntropy(class_weights="balanced")
    t = np.array([0, 0, 0, 1])
    loss.prepare(t, 2)
    value, _ = loss(np.zeros((4, 2)), t)
    assert value == pytest.approx(np.log(2))
    assert loss.weights == pytest.approx([4 / 6, 4 / 2])


def test_balanced_class_weights_count_examples_by_their_weights_as_scikit_learn_does() -> None:
    utils = pytest.importorskip("sklearn.utils.class_weight")
    t = np.repeat([0, 1, 2], [90, 10, 20])
    w = np.concatenate([np.zeros(80), np.full(10, 3.0), np.full(10, 2.0), np.linspace(0.1, 1, 20)])
    w /= w.mean()
    loss = CrossEntropy(class_weights="balanced")
    loss.prepare(t, 3, w)
    assert loss.weights is not None
    totals = np.bincount(t, w * loss.weights[t])
    np.testing.assert_allclose(totals, totals[0], rtol=1e-6)
    expected = utils.compute_class_weight("balanced", classes=np.arange(3), y=t, sample_weight=w)
    np.testing.assert_allclose(loss.weights, expected, rtol=1e-6)


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
    [
        CrossEntropy(),
        CrossEntropy(0.2),
        CrossEntropy(0.2, class_weights=(1.0, 2.0, 0.5)),
        MeanSquaredError(),
        MeanAbsoluteError(),
        Huber(0.7),
    ],
    ids=["cross_entropy", "smoothed", "weighted", "mean_squared_error", "mean_absolute_error", "huber"],
)
def test_a_loss_gradient_agrees_with_central_differences(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((4, 3)), np.array([0, 2, 1, 1])
    loss.prepare(t, 3)
    expected = numeric_gradient(loss, y, t)
    np.testing.assert_allclose(loss(y, t)[1], expected, atol=1e-8)


ONE_OF_EACH = [CrossEntropy(0.1), MeanSquaredError(), MeanAbsoluteError(), Huber(0.5)]


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=lambda loss: loss.name)
def test_the_losses_of_the_examples_average_to_the_value(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    y, t = rng.standard_normal((6, 3)), rng.integers(0, 3, 6)
    assert loss(y.copy(), t)[0] == pytest.approx(float(np.mean(loss.per_example(y, t))))


def test_mean_absolute_error_averages_distances_and_its_gradient_is_their_sign() -> None:
    value, dy = MeanAbsoluteError()(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [5.0, 4.0]]))
    assert value == pytest.approx((2 + 2) / 4)
    np.testing.assert_array_equal(dy, np.array([[0, 0.25], [-0.25, 0]]))


def test_huber_is_half_the_square_up_to_delta_and_a_line_from_there() -> None:
    value, dy = Huber(2.0)(np.array([[1.0, 7.0]]), np.zeros((1, 2)))
    assert value == pytest.approx((0.5 * 1**2 + 2 * (7 - 2 / 2)) / 2)
    np.testing.assert_allclose(dy, [[0.5, 1.0]])


def test_with_smoothing_pytorch_weights_every_term_and_nnscratch_the_example(oracle: Callable[[str], Any]) -> None:
    torch = oracle("torch")
    y, t = np.random.default_rng(0).standard_normal((6, 3)), np.array([0, 1, 2, 2, 1, 0])
    weights, s = np.array([1.0, 3.0, 0.5]), 0.2
    loss = CrossEntropy(label_smoothing=s, class_weights=tuple(weights))
    loss.prepare(t, 3)
    log_p = y - np.log(np.exp(y).sum(axis=1, keepdims=True))
    q = (1 - s) * np.eye(3)[t] + s / 3
    theirs = torch.nn.functional.cross_entropy(
        torch.tensor(y), torch.tensor(t), torch.tensor(weights), label_smoothing=s, reduction="sum"
    )
    assert float(theirs) == pytest.approx(-(q * weights * log_p).sum())
    assert 6 * loss(y, t)[0] == pytest.approx(-(q * weights[t][:, None] * log_p).sum())


@pytest.mark.parametrize("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber(0.7)], ids=lambda loss: loss.name)
def test_losses_of_differences_equal_those_of_pytorch(loss: Loss, oracle: Callable[[str], Any]) -> None:
    torch = oracle("torch")
    theirs = {
        "mean_squared_error": torch.nn.MSELoss(),
        "mean_absolute_error": torch.nn.L1Loss(),
        "huber": torch.nn.HuberLoss(delta=0.7),
    }[loss.name]
    rng = np.random.default_rng(3)
    y, t = rng.standard_normal((7, 3)), rng.standard_normal((7, 3))
    outputs = torch.tensor(y, requires_grad=True)
    expected = theirs(outputs, torch.tensor(t))
    expected.backward()
    value, dy = loss(y, t)
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(dy, outputs.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("loss", [MeanAbsoluteError(), Huber(0.5)], ids=lambda loss: loss.name)
def test_the_gradient_check_leaves_outputs_on_a_kink_of_the_loss_out_and_checks_the_others(loss: Loss) -> None:
    on_a_kink = 0.0 if isinstance(loss, MeanAbsoluteError) else 0.5
    row = check_loss(loss, np.array([[on_a_kink, 0.3, -4.0]]), np.zeros((1, 3)))
    assert (row.checked, row.crossed_kinks, row.verdict) == (2, 1, "right")


@pytest.mark.parametrize("loss", [MeanAbsoluteError(), Huber(0.5)], ids=lambda loss: loss.name)
def test_the_gradient_check_of_a_network_finds_its_way_around_the_kinks_of_the_loss(loss: Loss) -> None:
    network = Network([Dense(5), Tanh(), Dense(2)], (4,))
    network.initialize(RandomStreams(0), np.float64)
    rng = np.random.default_rng(1)
    rows = check_gradients(network, loss, rng.standard_normal((6, 4)), rng.standard_normal((6, 2)))
    assert {row.verdict for row in rows} == {"right"}


def test_a_wrong_slope_of_a_loss_with_kinks_is_found() -> None:
    class TwiceAsSteep(MeanAbsoluteError):
        def derivative(self, difference: np.ndarray) -> None:
            super().derivative(difference)
            difference *= 2

    row = check_loss(TwiceAsSteep(), np.array([[0.2, 0.3, -4.0]]), np.zeros((1, 3)))
    assert row.verdict == "wrong"


class WeightsForgotten(MeanSquaredError):
    """Whose value has the weights, and whose gradient has not."""

    def weighted(self, y: np.ndarray, t: np.ndarray, w: np.ndarray | None) -> tuple[float, np.ndarray]:
        return super().weighted(y, t, w)[0], self(y, t)[1]


def test_weights_that_the_gradient_forgets_are_found() -> None:
    rng = np.random.default_rng(1)
    y, t, equal = rng.standard_normal((4, 2)), rng.standard_normal((4, 2)), np.ones(4)
    assert check_loss(WeightsForgotten(), y, t).verdict == "right"
    assert check_loss(WeightsForgotten(), y, t, w=np.array([0.5, 2.0, 0.5, 1.0])).verdict == "wrong"
    assert check_loss(WeightsForgotten(), y, t, w=equal).verdict == "wrong"  # by the other batches, weighted otherwise
    assert check_loss(MeanSquaredError(), y, t, w=equal).verdict == "right"


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=lambda loss: loss.name)
def test_the_weighted_loss_is_the_mean_of_weighted_examples_and_its_gradient_agrees(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    y, t, w = rng.standard_normal((5, 3)), rng.integers(0, 3, 5), np.array([0.0, 1.0, 2.0, 0.5, 1.5])
    assert loss.weighted(y, t, w)[0] == pytest.approx(float(np.sum(w * loss.per_example(y, t)) / np.sum(w)))

    class Weighted(Loss):
        def __call__(self, y: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray]:
            return loss.weighted(y, t, w)

    expected = numeric_gradient(Weighted(), y, t)
    np.testing.assert_allclose(loss.weighted(y, t, w)[1], expected, atol=1e-8)


def test_an_example_of_weight_two_counts_as_two_of_weight_one() -> None:
    y, t = np.array([[0.3], [1.0]]), np.array([[0.0], [4.0]])
    twice = MeanSquaredError()(y[[0, 1, 1]], t[[0, 1, 1]])[0]
    w = np.array([1.0, 2.0])
    assert MeanSquaredError().weighted(y, t, w / w.mean())[0] == pytest.approx(twice)
