"""Dropout: how much is left out, when, and by which stream."""

from __future__ import annotations

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.layers import Dense, Dropout
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams


def dropped(rate: float, N: int = 1000, step: int = 0, threads: int = 1) -> Array:
    network = Network([Dropout(rate)], (1000,))
    network.initialize(RandomStreams(5), np.float32, Workers(threads))
    network.moment.step = step
    return network.forward(np.ones((N, 1000), np.float32), training=True).copy()


def test_kept_numbers_are_divided_by_the_share_that_is_kept() -> None:
    assert np.unique(dropped(0.25)).tolist() == [0, np.float32(4 / 3)]


def test_about_the_wanted_share_is_left_out() -> None:
    assert abs(np.mean(dropped(0.1) == 0) - 0.1) < 0.002


def test_rate_zero_and_evaluation_change_nothing() -> None:
    assert (dropped(0.0) == 1).all()
    network = Network([Dropout(0.5)], (4,))
    network.initialize(RandomStreams(0))
    x = np.ones((2, 4), np.float32)
    y = network.forward(x)
    assert (y == 1).all()
    assert y is not x  # the next layer may write over it


def test_another_step_leaves_out_others_and_the_same_step_the_same() -> None:
    assert np.array_equal(dropped(0.5, step=3), dropped(0.5, step=3))
    assert abs(np.mean(dropped(0.5, step=3) == dropped(0.5, step=4)) - 0.5) < 0.01


def test_the_number_of_threads_changes_nothing() -> None:
    assert np.array_equal(dropped(0.5, threads=1), dropped(0.5, threads=3))


def test_two_dropout_layers_leave_out_different_numbers() -> None:
    network = Network([Dropout(0.5), Dropout(0.5)], (1000,))
    network.initialize(RandomStreams(0))
    y = network.forward(np.ones((100, 1000), np.float32), training=True)
    assert abs(np.mean(y != 0) - 0.25) < 0.01


def test_gradients_agree_with_central_differences_of_the_same_draw() -> None:
    network = Network([Dropout(0.3), Dense(8), Dropout(0.5), Dense(5)], (6,))
    network.initialize(RandomStreams(0), np.float64)
    x = np.random.default_rng(0).standard_normal((7, 6))
    rows = check_gradients(network, CrossEntropy(), x, np.arange(7) % 5)
    assert max(row.worst for row in rows) < 1e-6
