"""The views of test-time augmentation, and their average."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.nn.layers import Dense, Flatten, Tanh
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.test_time_augmentation import VIEWS, Kind, View, averaged_outputs

SQUARE = np.arange(9.0).reshape(1, 3, 3, 1)


def network() -> Network:
    built = Network([Flatten(), Dense(4), Tanh()], (5, 6, 2))
    built.initialize(RandomStreams(0), np.float64)
    return built


def test_a_flip_exchanges_left_and_right() -> None:
    assert View(1.0, 0, True)(SQUARE)[0, :, :, 0].tolist() == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]


def test_a_shift_reflects_the_edge() -> None:
    assert View(1.0, 1)(SQUARE)[0, :, :, 0].tolist() == [[4, 3, 4], [1, 0, 1], [4, 3, 4]]
    assert View(1.0, -1)(SQUARE)[0, :, :, 0].tolist() == [[4, 5, 4], [7, 8, 7], [4, 5, 4]]


@pytest.mark.parametrize(("kind", "count"), [("none", 1), ("flip", 2), ("flip_translate", 6)])
def test_each_kind_has_its_views_with_weights_that_add_up_to_one(kind: Kind, count: int) -> None:
    weights = [view.weight for view in VIEWS[kind]]
    assert len(weights) == count
    assert sum(weights) == 1
    x = np.arange(20.0).reshape(1, 4, 5, 1)
    outputs = [view(x) for view in VIEWS[kind]]
    assert len({output.tobytes() for output in outputs}) == count


@pytest.mark.parametrize("kind", ["none", "flip", "flip_translate"])
def test_outputs_are_the_weighted_mean_over_the_views(kind: Kind) -> None:
    net = network()
    x = np.random.default_rng(0).standard_normal((3, 5, 6, 2))
    before = x.copy()
    expected = sum(view.weight * net.forward(view(x)).copy() for view in VIEWS[kind])
    np.testing.assert_allclose(averaged_outputs(net, x, kind), expected, atol=1e-15)
    assert np.array_equal(x, before)


def test_an_image_and_its_mirror_image_get_the_same_outputs() -> None:
    net = network()
    x = np.random.default_rng(0).standard_normal((3, 5, 6, 2))
    y = averaged_outputs(net, x, "flip").copy()
    np.testing.assert_allclose(averaged_outputs(net, View(1.0, 0, True)(x), "flip"), y, atol=1e-12)
