"""Muon: directions against a singular value decomposition, steps by hand, and what is left to SGD."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import BatchNorm, Conv, Dense, Flatten, ReLU
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.muon import Muon, hidden_matrices
from nnscratch.training.optimizers import SGD, Optimizer


def two_layers(optimizer: Optimizer, inputs: int = 3, hidden: int = 2) -> Network:
    """A network of a hidden matrix, an output layer and their biases, with random gradients."""
    network = Network([Dense(hidden), Dense(4)], (inputs,))
    network.initialize(RandomStreams(0), np.float64)
    optimizer.bind(network.parameters)
    network.parameters.gradient[:] = np.random.default_rng(1).standard_normal(network.parameters.size)
    return network


def through_singular_values(G: Array, iterations: int) -> Array:
    """What Newton and Schulz's iteration makes of G, computed on its singular values alone."""
    P, S, Q = np.linalg.svd(G, full_matrices=False)
    s = S / np.linalg.norm(S)
    for _ in range(iterations):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return np.asarray((P * s) @ Q)


@pytest.mark.parametrize(("inputs", "hidden"), [(6, 3), (3, 6), (4, 4)])
@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_a_step_goes_along_the_gradients_singular_directions(inputs: int, hidden: int, iterations: int) -> None:
    network = two_layers(optimizer := Muon(0.5, momentum=0.0, iterations=iterations), inputs, hidden)
    named = network.parameters.named()
    before = named["0.dense.weight"].copy()
    G = network.parameters.named(network.parameters.gradient)["0.dense.weight"].copy()
    optimizer.step()
    expected = before - 0.5 * through_singular_values(G, iterations)
    np.testing.assert_allclose(named["0.dense.weight"], expected, rtol=1e-10)


def test_all_but_the_hidden_matrices_steps_exactly_as_sgd_does() -> None:
    network = two_layers(optimizer := Muon(0.3, sgd_learning_rate=0.1, sgd_momentum=0.9, weight_decay=0.01))
    alike = two_layers(sgd := SGD(0.1, 0.9, nesterov=True, weight_decay=0.01))
    for factor in (1.0, 0.7):
        for each in (optimizer, sgd):
            each.step(factor)
    for name in ("0.dense.bias", "1.dense.weight", "1.dense.bias"):
        np.testing.assert_array_equal(network.parameters.named()[name], alike.parameters.named()[name])


def test_the_last_matrix_is_that_of_the_output_layer_whether_it_is_trained_or_not() -> None:
    for frozen, hidden in (("2.dense", [(5, 8), (8, 6)]), ("0.dense", [(8, 6)])):
        network = Network([Dense(8), Dense(6), Dense(3)], (5,), freeze=[frozen])
        network.initialize(RandomStreams(0), np.float64)
        assert [each.shape for each in hidden_matrices(network.parameters)] == hidden


def test_five_iterations_make_all_directions_about_equally_long() -> None:
    rng = np.random.default_rng(0)
    P, _ = np.linalg.qr(rng.standard_normal((40, 20)))
    Q, _ = np.linalg.qr(rng.standard_normal((20, 20)))
    S = np.geomspace(1, 0.02, 20)
    network = two_layers(optimizer := Muon(1.0, momentum=0.0), 40, 20)
    W = network.parameters.named()["0.dense.weight"]
    W[...] = 0
    network.parameters.named(network.parameters.gradient)["0.dense.weight"][...] = P * S @ Q.T
    optimizer.step()
    lengths = np.linalg.svd(W, compute_uv=False)
    assert lengths.min() > 0.68
    assert lengths.max() < 1.21
    np.testing.assert_allclose(-W, P @ np.diag(np.diag(P.T @ -W @ Q)) @ Q.T, atol=1e-12)


def test_the_velocity_sums_gradients_and_the_step_looks_ahead() -> None:
    network = two_layers(optimizer := Muon(1.0, momentum=0.5, iterations=2))
    named, gradient = network.parameters.named(), network.parameters.named(network.parameters.gradient)
    first = gradient["0.dense.weight"].copy()
    optimizer.step()
    second = np.random.default_rng(7).standard_normal(first.shape)
    gradient["0.dense.weight"][...] = second
    before = named["0.dense.weight"].copy()
    optimizer.step()
    V = 0.5 * first + second
    expected = before - through_singular_values(second + 0.5 * V, 2)
    np.testing.assert_allclose(named["0.dense.weight"], expected, rtol=1e-10)


def test_normalize_brings_each_matrix_to_the_length_of_the_root_of_its_columns() -> None:
    network = two_layers(optimizer := Muon(0.3, momentum=0.0, normalize=True), 5, 4)
    W = network.parameters.named()["0.dense.weight"]
    before = W.copy()
    G = network.parameters.named(network.parameters.gradient)["0.dense.weight"].copy()
    optimizer.step()
    expected = before * 2 / np.linalg.norm(before) - 0.3 * through_singular_values(G, 5)
    np.testing.assert_allclose(W, expected, rtol=1e-10)


def test_the_output_layer_and_all_biases_take_the_steps_of_sgd() -> None:
    muon = Muon(0.5, sgd_learning_rate=0.01, sgd_momentum=0.8, sgd_weight_decay=0.2)
    sgd = SGD(0.01, momentum=0.8, nesterov=True, weight_decay=0.2)
    networks = [two_layers(muon), two_layers(sgd)]
    for optimizer in (muon, sgd):
        for _ in range(3):
            optimizer.step(factor=0.7, l2=0.1)
    ours, theirs = (network.parameters.named() for network in networks)
    for name in ("0.dense.bias", "1.dense.weight", "1.dense.bias"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12)
    assert not np.allclose(ours["0.dense.weight"], theirs["0.dense.weight"])


def test_a_convolutions_filters_are_the_columns_of_a_matrix() -> None:
    network = Network([Conv(4, kernel=3), Flatten(), Dense(2)], (5, 5, 2))
    network.initialize(RandomStreams(0), np.float64)
    optimizer = Muon(0.1, momentum=0.0)
    optimizer.bind(network.parameters)
    W = network.parameters.named()["0.conv.weight"]
    G = np.random.default_rng(0).standard_normal(W.shape)
    network.parameters.named(network.parameters.gradient)["0.conv.weight"][...] = G
    expected = W - 0.1 * through_singular_values(G.reshape(18, 4), 5).reshape(W.shape)
    optimizer.step()
    np.testing.assert_allclose(W, expected, rtol=1e-10)


def test_a_zero_gradient_moves_nothing() -> None:
    network = two_layers(optimizer := Muon())
    network.parameters.gradient[:] = 0
    before = network.parameters.theta.copy()
    optimizer.step()
    np.testing.assert_array_equal(network.parameters.theta, before)


def test_weight_decay_takes_its_share_of_the_hidden_matrix_too() -> None:
    network = two_layers(optimizer := Muon(0.5, weight_decay=0.1))
    network.parameters.gradient[:] = 0
    before = network.parameters.named()["0.dense.weight"].copy()
    optimizer.step()
    np.testing.assert_allclose(network.parameters.named()["0.dense.weight"], 0.95 * before, rtol=1e-12)


def test_decay_where_the_length_is_set_anyway_is_a_contradiction() -> None:
    assert [field for field, _ in Muon(normalize=True, weight_decay=0.1).contradictions()] == ["weight_decay"]
    assert not list(Muon(normalize=True, sgd_weight_decay=0.1).contradictions())


def test_muon_fits_a_small_problem_faster_than_sgd_at_its_best_rate() -> None:
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((256, 20)) * np.geomspace(1, 0.05, 20)).astype(np.float32)
    t = (np.sin(4 * x @ rng.standard_normal((20, 3))) @ rng.standard_normal((3, 4))).argmax(1)

    def last_loss(optimizer: Optimizer) -> float:
        network = Network([Dense(32, bias=False), BatchNorm(), ReLU(), Dense(32), ReLU(), Dense(4)], (20,))
        network.initialize(RandomStreams(0))
        optimizer.bind(network.parameters)
        for _ in range(60):
            value, dy = CrossEntropy()(network.forward(x, training=True), t)
            network.backward(dy)
            optimizer.step()
        return value

    sgd = min(last_loss(SGD(rate, momentum=0.9, nesterov=True)) for rate in (0.03, 0.1, 0.3, 1.0))
    assert last_loss(Muon(0.1, momentum=0.9)) < 0.7 * sgd
