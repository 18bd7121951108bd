"""Residual blocks: the sum, its gradient, and who may write over what."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.errors import ShapeError
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.initializers import Whitening
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import GELU, BatchNorm, Conv, Dense, Flatten, Identity, MaxPool, ReLU, Residual, Scale, Tanh
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams


def test_a_residual_adds_its_input_to_what_its_layers_make_of_it() -> None:
    network = Network([Residual((Scale(3.0),))], (2,))
    network.initialize(RandomStreams(0))
    network.skip_input_gradient(False)
    x = np.array([[1.0, -2.0]], np.float32)
    assert network.forward(x, training=True).tolist() == [[4, -8]]
    dx = network.backward(np.array([[1.0, 10.0]], np.float32))
    assert dx is not None
    assert dx.tolist() == [[4, 40]]
    assert x.tolist() == [[1, -2]]


@pytest.mark.parametrize(
    "block",
    [
        Residual((Conv(4), ReLU(), Conv(4))),
        Residual((ReLU(), Conv(4), BatchNorm(), ReLU())),
        Residual((Tanh(), Identity())),
        Residual((Identity(),)),
        Residual((Residual((Conv(4), Tanh())), ReLU())),
        Residual((Conv(6, stride=2), ReLU()), (Conv(6, 1, stride=2, bias=False),)),
    ],
)
def test_gradients_agree_with_central_differences(block: Residual) -> None:
    layers: list[Layer] = [Conv(4), Tanh(), block, ReLU(), Flatten(), Dense(5)]
    network = Network(layers, (5, 4, 2))
    network.initialize(RandomStreams(0), np.float64)
    x = np.random.default_rng(0).standard_normal((3, 5, 4, 2))
    rows = check_gradients(network, CrossEntropy(), x, np.array([0, 3, 1]), samples=20)
    assert max(row.worst for row in rows) < 1e-6
    assert all(row.checked for row in rows)


def test_arrays_are_named_by_their_path() -> None:
    network = Network([Residual((Dense(3),), (Dense(3),))], (3,))
    network.initialize(RandomStreams(0))
    assert sorted(network.parameters.named()) == [
        "0.residual.0.dense.bias",
        "0.residual.0.dense.weight",
        "0.residual.shortcut.0.dense.bias",
        "0.residual.shortcut.0.dense.weight",
    ]


def test_shapes_that_cannot_be_added_are_refused_with_a_way_out() -> None:
    with pytest.raises(ShapeError, match=r"cannot be added to \(4, 4, 3\)") as refused:
        Network([Residual((Conv(8),))], (4, 4, 3))
    assert "shortcut" in str(refused.value)


def test_what_does_not_fit_inside_a_residual_is_named_once_and_by_its_place_in_a_config() -> None:
    with pytest.raises(ShapeError) as refused:
        Network([Tanh(), Residual((Tanh(),), (Tanh(), MaxPool(9)))], (4, 4, 3))
    assert str(refused.value) == ("layer 1.residual.shortcut.1.max_pool: a window of 9 does not fit into 4 x 4 pixels")
    assert refused.value.position == ("layers", 1, "shortcut", 1)


def test_weights_inside_start_from_the_data_that_arrives_there() -> None:
    layer = Conv(2, 1, weight_init=Whitening(1e-9), bias=False)
    network = Network([Residual((Scale(2.0), layer), (Conv(2, 1),))], (4, 4, 1))
    network.initialize(RandomStreams(0), np.float64)
    assert network.starts_from_data
    network.fit_to(np.random.default_rng(0).standard_normal((50, 4, 4, 1)))
    assert abs(abs(layer.W[0, 0, 0, 0]) - 0.5) < 0.05  # 1 over the deviation of 2 x


@pytest.mark.parametrize(("layers", "shortcut"), [((Conv(2),), (GELU(),)), ((GELU(),), (Conv(2, 1),))])
def test_a_path_without_weights_at_the_bottom_of_a_network_needs_no_gradient(
    layers: tuple[Layer, ...], shortcut: tuple[Layer, ...]
) -> None:
    network = Network([Residual(layers, shortcut), Flatten(), Dense(3)], (3, 3, 2))
    network.initialize(RandomStreams(0))
    network.forward(np.ones((2, 3, 3, 2), np.float32), training=True)
    assert network.backward(np.ones((2, 3), np.float32)) is None
    assert all(gradient.any() for gradient in network.parameters.named(network.parameters.gradient).values())
