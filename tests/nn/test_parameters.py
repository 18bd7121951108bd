"""The flat vector: names, groups, views, loading."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.errors import UserError
from nnscratch.nn.initializers import Constant
from nnscratch.nn.layers import Dense, ReLU
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Group, Parameters
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.nn.regularization import L2


def two_layers() -> Network:
    network = Network([Dense(3), ReLU(), Dense(2)], (4,))
    network.initialize(RandomStreams(0))
    return network


def test_names_are_the_layers_index_and_name_and_the_arrays() -> None:
    assert set(two_layers().parameters.named()) == {
        "0.dense.weight",
        "0.dense.bias",
        "2.dense.weight",
        "2.dense.bias",
    }


def test_weights_lie_side_by_side_and_so_do_biases() -> None:
    segments = two_layers().parameters.segments
    assert [(each.group.decay, each.stop - each.start) for each in segments] == [(False, 3 + 2), (True, 12 + 6)]


def test_a_layers_arrays_are_views_of_the_flat_vectors() -> None:
    network = two_layers()
    layer = network.layers[0]
    assert isinstance(layer, Dense)
    network.parameters.theta[:] = 7
    network.parameters.gradient[:] = 8
    assert (layer.W == 7).all()
    assert (layer.db == 8).all()


def test_frozen_parameters_come_last_so_that_the_rest_is_one_piece() -> None:
    parameters = Parameters()
    parameters.declare("frozen", (2,), Constant(1), group=Group(frozen=True))
    parameters.declare("free", (3,), Constant(2))
    parameters.allocate()
    parameters.initialize(RandomStreams(0))
    assert (parameters.size, parameters.trainable_size) == (5, 3)
    assert parameters.theta.tolist() == [2, 2, 2, 1, 1]


def test_nothing_is_allocated_before_initialize() -> None:
    assert not hasattr(Network([Dense(3)], (4,)).parameters, "theta")


def test_adding_a_layer_leaves_the_start_of_the_others_as_it_was() -> None:
    longer = Network([Dense(3), ReLU(), Dense(2), ReLU(), Dense(5)], (4,))
    longer.initialize(RandomStreams(0))
    short, long = two_layers().parameters.named(), longer.parameters.named()
    for name, array in short.items():
        np.testing.assert_array_equal(array, long[name])


def test_loading_another_networks_arrays_names_the_misfits_and_changes_nothing() -> None:
    parameters = two_layers().parameters
    before = parameters.theta.copy()
    arrays = {name: array.copy() + 1 for name, array in parameters.named().items()}
    arrays["9.dense.weight"] = arrays.pop("2.dense.bias")
    arrays["0.dense.bias"] = np.zeros(4)
    with pytest.raises(UserError, match=r"missing 2\.dense\.bias.*unknown 9\.dense\.weight.*\(4,\).*\(3,\)"):
        parameters.load(arrays)
    np.testing.assert_array_equal(parameters.theta, before)


def test_l2_counts_half_the_squared_weights_and_no_biases() -> None:
    network = two_layers()
    network.parameters.theta[:] = 2
    assert L2(0.5).penalty(network.parameters, 10) == pytest.approx(0.25 * 18 * 4)
    assert L2(0.5, divide_by_batch=True).penalty(network.parameters, 10) == pytest.approx(0.025 * 18 * 4)


def test_l2_adds_lambda_w_to_the_gradient_of_weights_alone() -> None:
    network = two_layers()
    network.parameters.theta[:] = 2
    network.parameters.gradient[:] = 1
    L2(0.5).add_gradient(network.parameters, 10)
    assert (network.parameters.named(network.parameters.gradient)["0.dense.weight"] == 2).all()
    assert (network.parameters.named(network.parameters.gradient)["0.dense.bias"] == 1).all()


def test_streams_of_different_purposes_differ_and_repeat() -> None:
    streams = RandomStreams(5)
    first = streams.stream("shuffle", 1).random(4)
    np.testing.assert_array_equal(first, streams.stream("shuffle", 1).random(4))
    assert not np.array_equal(first, streams.stream("shuffle", 2).random(4))
    assert not np.array_equal(first, streams.stream("dropout", 1).random(4))
    assert not np.array_equal(first, RandomStreams(6).stream("shuffle", 1).random(4))
