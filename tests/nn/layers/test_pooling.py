"""Pooling layers against examples by hand, PyTorch and central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import AveragePool, Conv, Dense, Flatten, GlobalAveragePool, MaxPool
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams

SIZES = [(2, None), (3, None), (3, 2), (3, 1), (2, 3), (1, 2)]


def built(layer: Layer, shape: Shape, dtype: type = np.float64, threads: int = 1) -> Network:
    network = Network([layer], shape)
    network.initialize(RandomStreams(0), dtype, Workers(threads))
    network.skip_input_gradient(False)
    return network


def images(N: int, shape: Shape) -> Array:
    return np.random.default_rng(0).standard_normal((N, *shape))


SQUARE = np.array([[1.0, 2.0, 9.0], [4.0, 3.0, 9.0], [9.0, 9.0, 9.0]]).reshape(1, 3, 3, 1)


def test_max_pool_takes_the_largest_and_leaves_the_edge_out() -> None:
    network = built(MaxPool(2), (3, 3, 1))
    assert network.forward(SQUARE, training=True).tolist() == [[[[4.0]]]]
    dx = network.backward(np.full((1, 1, 1, 1), 5.0))
    assert dx is not None
    assert dx[0, :, :, 0].tolist() == [[0, 0, 0], [5, 0, 0], [0, 0, 0]]


def test_the_gradient_of_equal_pixels_goes_to_one_of_them() -> None:
    network = built(MaxPool(2), (2, 2, 1))
    network.forward(np.ones((1, 2, 2, 1)), training=True)
    dx = network.backward(np.ones((1, 1, 1, 1)))
    assert dx is not None
    assert sorted(dx.ravel().tolist()) == [0, 0, 0, 1]


def test_average_pool_takes_the_mean_and_shares_the_gradient() -> None:
    network = built(AveragePool(2), (3, 3, 1))
    assert network.forward(SQUARE, training=True).tolist() == [[[[2.5]]]]
    dx = network.backward(np.full((1, 1, 1, 1), 4.0))
    assert dx is not None
    assert dx[0, :, :, 0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_global_average_pool_is_the_mean_of_every_channel() -> None:
    x = images(2, (3, 4, 5))
    np.testing.assert_allclose(built(GlobalAveragePool(), (3, 4, 5)).forward(x), x.mean(axis=(1, 2)), atol=1e-15)


@pytest.mark.parametrize("kind", [MaxPool, AveragePool])
@pytest.mark.parametrize(("size", "stride"), SIZES)
def test_forward_and_backward_are_those_of_pytorch(
    kind: type[MaxPool] | type[AveragePool], size: int, stride: int | None, oracle: Callable[[str], Any]
) -> None:
    torch = oracle("torch")
    network = built(kind(size, stride), (8, 9, 3))
    x = images(4, (8, 9, 3))
    y = network.forward(x, training=True)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    theirs_x = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    function = torch.nn.functional.max_pool2d if kind is MaxPool else torch.nn.functional.avg_pool2d
    theirs = function(theirs_x, size, stride)
    theirs.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(y, theirs.detach().numpy().transpose(0, 2, 3, 1), atol=1e-14)
    dx = network.backward(dy)
    assert dx is not None
    np.testing.assert_allclose(dx, theirs_x.grad.numpy().transpose(0, 2, 3, 1), atol=1e-14)


@pytest.mark.parametrize("layer", [MaxPool(2), MaxPool(3, 2), MaxPool(2, 3), AveragePool(3, 2), GlobalAveragePool()])
def test_gradients_agree_with_central_differences(layer: Layer) -> None:
    network = Network([Conv(4), layer, Flatten(), Dense(5)], (7, 8, 2))
    network.initialize(RandomStreams(0), np.float64)
    rows = check_gradients(network, CrossEntropy(), images(3, (7, 8, 2)), np.array([0, 3, 1]), samples=20)
    assert max(row.worst for row in rows) < 1e-6
    assert all(row.checked for row in rows)


def test_the_sides_of_the_kinks_change_when_another_pixel_wins() -> None:
    network = built(MaxPool(2), (2, 2, 1))
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1)
    network.forward(x, training=True)
    before = [pattern.copy() for pattern in network.kinks()]
    network.forward(x[:, ::-1, ::-1], training=True)
    assert not all(map(np.array_equal, before, network.kinks()))


def test_large_batches_on_two_threads_are_pooled_as_small_ones() -> None:
    x = images(40, (32, 32, 16)).astype(np.float32)
    whole = built(MaxPool(2), (32, 32, 16), np.float32, threads=2).forward(x, training=True)
    np.testing.assert_array_equal(whole, x.reshape(40, 16, 2, 16, 2, 16).max(axis=(2, 4)))


def test_a_window_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ShapeError, match="a window of 5 does not fit into 4 x 6 pixels"):
        Network([MaxPool(5)], (4, 6, 1))
