"""Batch and layer normalisation against their definitions, PyTorch and central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import LARGE, PIECE, Workers
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import BatchNorm, Conv, Dense, Flatten, LayerNorm
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams


def built(layer: Layer, shape: Shape, dtype: type = np.float64, threads: int = 1) -> Network:
    network = Network([layer], shape)
    network.initialize(RandomStreams(0), dtype, Workers(threads))
    network.skip_input_gradient(False)
    return network


def numbers(N: int, shape: Shape, offset: float = 3.0, dtype: type = np.float64) -> Array:
    return (2 * np.random.default_rng(0).standard_normal((N, *shape)) + offset).astype(dtype)


@pytest.mark.parametrize("shape", [(6,), (3, 4, 6)])
def test_batch_norm_gives_every_feature_mean_zero_and_variance_one(shape: Shape) -> None:
    y = built(BatchNorm(epsilon=1e-12), shape).forward(numbers(50, shape), training=True).reshape(-1, 6)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=0), 1, atol=1e-9)


def test_float32_statistics_survive_a_mean_far_from_zero() -> None:
    x = numbers(70_000, (4,), offset=1000.0, dtype=np.float32)
    assert x.size > PIECE
    y = built(BatchNorm(), (4,), np.float32).forward(x, training=True)
    exact = (x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)) / x.std(axis=0, dtype=np.float64)
    assert np.abs(y - exact).max() < 1e-3


def test_running_statistics_are_averages_with_the_unbiased_variance() -> None:
    layer = BatchNorm(momentum=0.75)
    network = built(layer, (3,))
    x = numbers(10, (3,))
    network.forward(x, training=True)
    np.testing.assert_allclose(layer.running_mean, 0.25 * x.mean(axis=0))
    np.testing.assert_allclose(layer.running_variance, 0.75 + 0.25 * x.var(axis=0, ddof=1))
    assert network.parameters.state.size == 6


def test_without_training_the_running_statistics_are_used_and_kept() -> None:
    layer = BatchNorm(epsilon=1e-9)
    network = built(layer, (2,))
    layer.running_mean[:], layer.running_variance[:] = [1, 2], [4, 9]
    y = network.forward(np.array([[3.0, 5.0]]))
    np.testing.assert_allclose(y, [[1, 1]])
    assert layer.running_mean.tolist() == [1, 2]


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("shift", [True, False])
def test_batch_norm_gradients_agree_with_central_differences(scale: bool, shift: bool) -> None:
    network = Network([Conv(4), BatchNorm(scale=scale, shift=shift), Flatten(), Dense(5)], (4, 3, 2))
    network.initialize(RandomStreams(0), np.float64)
    network.parameters.theta += 0.1
    rows = check_gradients(network, CrossEntropy(), numbers(5, (4, 3, 2)), np.array([0, 3, 1, 4, 4]))
    assert max(row.worst for row in rows) < 1e-6
    assert sum("batch_norm" in row.name for row in rows) == scale + shift


@pytest.mark.parametrize("layers", [[Dense(7), LayerNorm()], [LayerNorm(), Conv(4), LayerNorm(), Flatten()]])
def test_layer_norm_gradients_agree_with_central_differences(layers: list[Layer]) -> None:
    shape = (6,) if isinstance(layers[0], Dense) else (4, 3, 3)
    network = Network([*layers, Dense(5)], shape)
    network.initialize(RandomStreams(0), np.float64)
    network.parameters.theta += 0.1
    rows = check_gradients(network, CrossEntropy(), numbers(5, shape), np.array([0, 3, 1, 4, 4]))
    assert max(row.worst for row in rows) < 1e-6


def test_batch_norm_is_that_of_pytorch_in_training_and_after(oracle: Callable[[str], Any]) -> None:
    torch = oracle("torch")
    layer = BatchNorm(momentum=0.6)
    network = built(layer, (5, 4, 3))
    theirs = torch.nn.BatchNorm2d(3, momentum=0.4).double()
    x = numbers(6, (5, 4, 3))
    theirs_x = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    expected = theirs(theirs_x)
    y = network.forward(x, training=True)
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), expected.detach().numpy(), atol=1e-12)
    dy = np.random.default_rng(1).standard_normal(x.shape)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    dx = network.backward(dy)
    assert dx is not None
    np.testing.assert_allclose(dx.transpose(0, 3, 1, 2), theirs_x.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(layer.dgamma, theirs.weight.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(layer.dbeta, theirs.bias.grad.numpy(), atol=1e-12)
    after = theirs.eval()(torch.tensor(x.transpose(0, 3, 1, 2))).detach().numpy()
    np.testing.assert_allclose(network.forward(x).transpose(0, 3, 1, 2), after, atol=1e-12)


def test_layer_norm_is_that_of_pytorch(oracle: Callable[[str], Any]) -> None:
    torch = oracle("torch")
    layer = LayerNorm()
    network = built(layer, (7,))
    theirs = torch.nn.LayerNorm(7).double()
    x, dy = numbers(6, (7,)), np.random.default_rng(1).standard_normal((6, 7))
    theirs_x = torch.tensor(x, requires_grad=True)
    expected = theirs(theirs_x)
    np.testing.assert_allclose(network.forward(x, training=True), expected.detach().numpy(), atol=1e-12)
    expected.backward(torch.tensor(dy))
    dx = network.backward(dy)
    assert dx is not None
    np.testing.assert_allclose(dx, theirs_x.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(layer.dgamma, theirs.weight.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(layer.dbeta, theirs.bias.grad.numpy(), atol=1e-12)


def test_the_shift_has_a_learning_rate_of_its_own_and_no_decay() -> None:
    network = built(BatchNorm(scale=False, shift_learning_rate=64), (3,))
    (segment,) = network.parameters.segments
    assert segment.group.learning_rate_scale == 64
    assert not segment.group.decay


@pytest.mark.parametrize("shape", [(8, 8, 32), (7, 7, 96), (2, 3, 512), (600,)])
def test_batch_norm_of_several_pieces_is_its_definition(shape: Shape) -> None:
    """However many pixels lie side by side in a row, and however many rows make a piece."""
    N = 2 * PIECE // int(np.prod(shape)) + 1
    x, dy = numbers(N, shape), numbers(N, shape)[::-1].copy()
    layer = BatchNorm(momentum=0.0)
    network = built(layer, shape)
    y = network.forward(x, training=True).copy()
    dx = network.backward(dy.copy())
    assert dx is not None
    axes = tuple(range(x.ndim - 1))
    M = x.size // shape[-1]
    s = np.sqrt(x.var(axis=axes) + layer.epsilon)
    normal = (x - x.mean(axis=axes)) / s
    dbeta, dgamma = dy.sum(axis=axes), (dy * normal).sum(axis=axes)
    np.testing.assert_allclose(y, normal, atol=1e-10)
    np.testing.assert_allclose(dx, (dy - dbeta / M - normal * dgamma / M) / s, atol=1e-10)
    np.testing.assert_allclose((layer.dbeta, layer.dgamma), (dbeta, dgamma), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(layer.running_variance, x.var(axis=axes) * M / (M - 1))


def test_the_number_of_threads_changes_no_bit() -> None:
    x, dy = (numbers(600, (8, 8, 32), dtype=np.float32) for _ in range(2))
    assert x.size > LARGE
    results = []
    for threads in (1, 2):
        layer = BatchNorm()
        network = built(layer, (8, 8, 32), np.float32, threads)
        y = network.forward(x, training=True).copy()
        dx = network.backward(dy.copy())
        assert dx is not None
        results.append((y, dx.copy(), layer.dgamma.copy(), layer.running_variance.copy()))
    assert all(map(np.array_equal, *results))


def test_a_batch_of_one_example_leaves_the_running_statistics_as_they_were() -> None:
    network = built(BatchNorm(), (3,))
    network.forward(numbers(10, (3,)), training=True)
    before = network.parameters.state.copy()
    network.forward(numbers(1, (3,), offset=100.0), training=True)
    np.testing.assert_array_equal(network.parameters.state, before)


def test_a_single_example_is_normalised_by_the_running_statistics_in_training_too() -> None:
    layer = BatchNorm(epsilon=1e-9)
    network = built(layer, (2,))
    layer.running_mean[:], layer.running_variance[:] = [1, 2], [4, 9]
    assert network.forward(np.array([[3.0, 5.0]]), training=True) == pytest.approx(np.array([[1, 1]]))
    dx = network.backward(np.array([[10.0, 30.0]]))
    assert dx == pytest.approx(np.array([[5, 10]]))  # dy / s: the statistics do not depend on x
    assert layer.dgamma == pytest.approx([10, 30])
    assert layer.dbeta.tolist() == [10, 30]
