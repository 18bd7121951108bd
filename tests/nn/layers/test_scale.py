"""The fixed factor."""

from __future__ import annotations

import numpy as np

from nnscratch.nn.layers import Scale
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams


def test_numbers_and_gradients_are_multiplied_by_the_factor() -> None:
    network = Network([Scale(0.5)], (3,))
    network.initialize(RandomStreams(0))
    network.skip_input_gradient(False)
    assert network.forward(np.array([[2.0, 4.0, -6.0]], np.float32)).tolist() == [[1, 2, -3]]
    dx = network.backward(np.array([[2.0, 4.0, -6.0]], np.float32))
    assert dx is not None
    assert dx.tolist() == [[1, 2, -3]]
    assert network.parameters.size == 0
