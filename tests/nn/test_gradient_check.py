"""The check itself: errors planted in a layer are found, and blamed on that layer; right gradients pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.gradient_check import ArrayCheck, check_gradients, check_layers, check_loss
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import Dense, ReLU, Tanh
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2

TOLERANCE = 1e-6


@dataclass(eq=False)
class SignError(Dense):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.dW *= -1
        return dx


@dataclass(eq=False)
class MissingTranspose(Dense):
    """dx = dy W instead of dy W^T, which only a square W lets pass."""

    def backward(self, dy: Array) -> Array | None:
        super().backward(dy)
        return dy @ self.W


@dataclass(eq=False)
class WrongScale(Dense):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.db /= len(dy)
        return dx


@dataclass(eq=False)
class SlightlyWrong(Tanh):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        return None if dx is None else dx * (1 + 1e-5)


@dataclass(eq=False)
class NotANumber(Dense):
    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.dW[:] = np.nan
        return dx


def network_with(layer: Layer) -> tuple[Network, Array, Array]:
    """5 -> 6 -> [layer] -> 6 -> 3 in float64, a batch and its labels."""
    network = Network([Dense(6), Tanh(), layer, Tanh(), Dense(3)], (5,))
    network.initialize(RandomStreams(1), np.float64)
    rng = np.random.default_rng(0)
    return network, rng.standard_normal((4, 5)), rng.integers(0, 3, 4)


def wrong(rows: list[ArrayCheck]) -> set[str]:
    return {row.name for row in rows if not row.worst < TOLERANCE}


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        (SignError(6), {"2.dense.weight"}),
        (MissingTranspose(6), {"2.dense dx"}),
        (WrongScale(6), {"2.dense.bias"}),
        (SlightlyWrong(), {"2.tanh dx"}),
        (NotANumber(6), {"2.dense.weight"}),
        (Dense(6), set()),
    ],
)
def test_a_planted_error_is_blamed_on_its_layer_and_array_alone(layer: Layer, where: set[str]) -> None:
    network, x, _ = network_with(layer)
    assert wrong(check_layers(network, x)) == where


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        (SignError(6), {"2.dense.weight"}),
        (MissingTranspose(6), {"0.dense.weight", "0.dense.bias", "input"}),
        (WrongScale(6), {"2.dense.bias"}),
        (Dense(6), set()),
    ],
)
def test_end_to_end_a_wrong_dx_spoils_every_array_before_it(layer: Layer, where: set[str]) -> None:
    network, x, t = network_with(layer)
    assert wrong(check_gradients(network, CrossEntropy(), x, t, L2(0.1))) == where


def test_a_sign_error_gives_the_largest_possible_error_of_one() -> None:
    network, x, t = network_with(SignError(6))
    rows = {row.name: row for row in check_gradients(network, CrossEntropy(), x, t)}
    row = rows["2.dense.weight"]
    assert row.worst > 1 - 1e-6 or row.worst == pytest.approx(abs(row.analytic - row.numeric) / 1e-300)
    assert row.analytic == pytest.approx(-row.numeric, rel=1e-6)


def test_right_gradients_agree_to_eight_digits() -> None:
    network, x, t = network_with(Dense(6))
    assert max(row.worst for row in check_gradients(network, CrossEntropy(), x, t, L2(0.01))) < 1e-8


def test_a_gradient_that_is_tiny_beside_the_loss_is_still_resolved() -> None:
    # 1e-9 of a loss of about 1: one fixed step would drown in rounding.
    network, x, t = network_with(Dense(6))
    network.parameters.named()["4.dense.weight"][:] *= 1e-4
    rows = {row.name: row for row in check_gradients(network, CrossEntropy(), x, t)}
    assert abs(rows["0.dense.weight"].analytic) < 1e-5
    assert rows["0.dense.weight"].worst < TOLERANCE


def test_the_check_leaves_weights_and_input_as_they_were() -> None:
    network, x, t = network_with(Dense(6))
    theta, before = network.parameters.theta.copy(), x.copy()
    check_gradients(network, CrossEntropy(), x, t)
    check_layers(network, x)
    np.testing.assert_array_equal(network.parameters.theta, theta)
    np.testing.assert_array_equal(x, before)


def test_a_loss_whose_gradient_lacks_the_batch_size_is_found() -> None:
    class Sum(CrossEntropy):
        def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
            value, dy = super().__call__(y, t)
            return value, dy * len(t)

    y, t = np.random.default_rng(3).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    assert check_loss(CrossEntropy(), y, t).worst < 1e-8
    assert check_loss(Sum(), y, t).worst == pytest.approx(0.6, rel=1e-3)  # |4 - 1| / (4 + 1)


def test_an_input_on_a_kink_is_left_out_and_counted_and_its_neighbours_are_checked() -> None:
    network = Network([ReLU()], (3,))
    network.initialize(RandomStreams(0), np.float64)
    (row,) = check_layers(network, np.array([[0.0, 0.7, -0.7]]))
    assert (row.checked, row.crossed_kinks) == (2, 1)
    assert row.worst < 1e-9


def test_a_network_in_single_precision_is_refused() -> None:
    network = Network([Dense(2)], (3,))
    network.initialize(RandomStreams(0))
    with pytest.raises(ValueError, match="float64"):
        check_gradients(network, CrossEntropy(), np.ones((2, 3)), np.zeros(2, np.int64))
