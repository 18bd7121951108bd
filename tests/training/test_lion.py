"""Lion, and weight decay outside the gradient."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import Dense
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.optimizers import SGD, Lion, Optimizer


def after(optimizer: Optimizer, gradients: list[float], start: float = 2.0) -> tuple[Array, Array]:
    """Weights (decayed) and biases (not) of a layer that starts at `start`, after steps with these gradients."""
    network = Network([Dense(1)], (2,))
    network.initialize(RandomStreams(0), np.float64)
    parameters = network.parameters
    parameters.theta[:] = start
    optimizer.bind(parameters)
    for gradient in gradients:
        parameters.gradient[:] = gradient
        optimizer.step()
    named = parameters.named()
    return named["0.dense.weight"].ravel(), named["0.dense.bias"]


def test_first_lion_step_moves_each_weight_by_the_learning_rate_whatever_the_gradient() -> None:
    for gradient in (1e-6, 3.0, 1e6):
        assert after(Lion(learning_rate=0.1), [gradient])[0] == pytest.approx([1.9, 1.9])


def test_lion_steps_against_the_sign_of_its_interpolated_mean() -> None:
    # m = 0.01 * 1 after step 1; step 2 with g = -0.05: 0.9 * 0.01 - 0.1 * 0.05 > 0, so it goes on downwards;
    # with g = -0.2: 0.009 - 0.02 < 0, so it turns.
    assert after(Lion(learning_rate=0.1), [1.0, -0.05])[1] == pytest.approx([1.8])
    assert after(Lion(learning_rate=0.1), [1.0, -0.2])[1] == pytest.approx([2.0])


@pytest.mark.parametrize("optimizer", [SGD(0.1, weight_decay=0.5), Lion(0.1, weight_decay=0.5)])
def test_decoupled_decay_takes_rate_times_decay_of_the_weights_and_leaves_biases(optimizer: Optimizer) -> None:
    weights, biases = after(optimizer, [0.0])
    assert weights == pytest.approx([2 * (1 - 0.05)] * 2)
    assert biases == pytest.approx([2.0])


def test_decoupled_decay_stays_out_of_the_momentum() -> None:
    weights, _ = after(SGD(0.1, momentum=0.9, weight_decay=0.5), [0.0, 0.0])
    assert weights == pytest.approx([2 * 0.95**2] * 2)
